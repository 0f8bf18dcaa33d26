//! The answers of the library as Python's values. The data classes are those of `tenure._data`.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyTuple, PyType};
use tenure::protocol::{HolderView, Inspection, NodeView, State, WaiterView};
use tenure::{Begun, Key, LastRun, Leader, LostReason, Released, RunState, Ticket};

use crate::guard::{Guard, Held};
use crate::locks::Locks;
use crate::stream::{Source, Stream};

/// One answer.
pub(crate) enum Answer {
    Nothing,
    Bool(bool),
    Count(u32),
    MaybeCount(Option<u32>),
    Text(Arc<str>),
    Guard(Option<Held>),
    Begun(Begun),
    LastRun(Option<LastRun>),
    Leader(Option<Leader>),
    Released(Released),
    Reason(LostReason),
    Ticket(Ticket),
    Inspection(Box<Inspection>),
    Listed(Box<(Key, Inspection)>),
    Page(Vec<(Key, Inspection)>),
    Item(Option<Box<Answer>>),
    Stream(Box<Source>),
    Locks(tenure::Locks),
}

impl From<()> for Answer {
    fn from((): ()) -> Self {
        Self::Nothing
    }
}

impl Answer {
    /// The value.
    pub(crate) fn into_python(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        match self {
            Self::Nothing => Ok(py.None()),
            Self::Bool(answer) => answer.into_py_any(py),
            Self::Count(count) => count.into_py_any(py),
            Self::MaybeCount(count) => count.into_py_any(py),
            Self::Text(text) => (&*text).into_py_any(py),
            Self::Guard(held) => held.map(Guard::new).into_py_any(py),
            Self::Begun(Begun::Ours(run)) => Guard::new(Held::Run(run)).into_py_any(py),
            Self::Begun(Begun::Skipped(last)) => last_run(py, &last).map(Bound::unbind),
            Self::LastRun(None) | Self::Leader(None) | Self::Item(None) => Ok(py.None()),
            Self::LastRun(Some(last)) => last_run(py, &last).map(Bound::unbind),
            Self::Leader(Some(leader)) => {
                let fields = (leader.term().get(), leader.label().as_str(), leader.value());
                made(py, "Leader", fields).map(Bound::unbind)
            }
            Self::Released(released) => name_of(released).into_py_any(py),
            Self::Reason(reason) => reason.to_string().into_py_any(py),
            Self::Ticket(ticket) => ticket.to_string().into_py_any(py),
            Self::Inspection(seen) => inspection(py, &seen).map(Bound::unbind),
            Self::Listed(entry) => {
                let (key, seen) = *entry;
                (key.as_str(), inspection(py, &seen)?).into_py_any(py)
            }
            Self::Page(page) => {
                let entry = |(key, seen): &(Key, Inspection)| {
                    Ok((key.as_str().to_owned(), inspection(py, seen)?.unbind()))
                };
                page.iter().map(entry).collect::<PyResult<Vec<_>>>()?.into_py_any(py)
            }
            Self::Item(Some(item)) => PyTuple::new(py, [item.into_python(py)?])?.into_py_any(py),
            Self::Stream(source) => Stream::new(*source).into_py_any(py),
            Self::Locks(locks) => Locks::from(locks).into_py_any(py),
        }
    }
}

fn name_of(released: Released) -> &'static str {
    match released {
        Released::Released => "released",
        Released::Gone => "gone",
        _ => "others",
    }
}

/// Makes a data class.
fn made<'py>(
    py: Python<'py>,
    class: &str,
    fields: impl pyo3::call::PyCallArgs<'py>,
) -> PyResult<Bound<'py, PyAny>> {
    static MODULE: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    let module = MODULE.get_or_try_init(py, || py.import("tenure._data").map(Bound::unbind))?;
    module.bind(py).getattr(class)?.cast_into::<PyType>()?.call1(fields)
}

fn seconds(span: Duration) -> f64 {
    span.as_secs_f64()
}

fn last_run<'py>(py: Python<'py>, last: &LastRun) -> PyResult<Bound<'py, PyAny>> {
    let (state, why) = match &last.state {
        RunState::Running => ("running", None),
        RunState::Ok => ("ok", None),
        RunState::Failed(why) => ("failed", Some(why.as_str())),
        _ => ("unfinished", None),
    };
    let begun = last.begun.duration_since(UNIX_EPOCH).unwrap_or_default();
    let fields = (
        last.owner.value(),
        last.label.as_str(),
        seconds(begun),
        state,
        why,
        last.took.map(seconds),
    );
    made(py, "LastRun", fields)
}

fn inspection<'py>(py: Python<'py>, seen: &Inspection) -> PyResult<Bound<'py, PyAny>> {
    let (state, foreign) = match &seen.state {
        State::Free => ("free", None),
        State::Held => ("held", None),
        State::Foreign(what) => ("foreign", Some(&**what)),
        _ => ("unknown", None),
    };
    let holders = tuple(py, &seen.holders, holder)?;
    let waiters = tuple(py, &seen.waiters, waiter)?;
    let nodes = tuple(py, &seen.nodes, node)?;
    let guarded = seen.guarded.map(|guarded| seconds(guarded.left));
    let last = seen.last_run.as_deref().map(|last| last_run(py, last)).transpose()?;
    let fence = seen.fence.map(tenure::Fence::get);
    let fields = (state, foreign, seen.limit, fence, holders, waiters, nodes, guarded, last);
    made(py, "Inspection", fields)
}

fn tuple<'py, T>(
    py: Python<'py>,
    items: &[T],
    each: impl Fn(Python<'py>, &T) -> PyResult<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyTuple>> {
    let items = items.iter().map(|item| each(py, item)).collect::<PyResult<Vec<_>>>()?;
    PyTuple::new(py, items)
}

fn holder<'py>(py: Python<'py>, holder: &HolderView) -> PyResult<Bound<'py, PyAny>> {
    let fields = (
        holder.owner.value(),
        holder.label.as_str(),
        holder.units,
        holder.exclusive,
        holder.fence.get(),
        holder.value.as_ref().map(tenure::Value::as_str),
        seconds(holder.since),
        seconds(holder.remaining),
        holder.kept,
    );
    made(py, "Holder", fields)
}

fn waiter<'py>(py: Python<'py>, waiter: &WaiterView) -> PyResult<Bound<'py, PyAny>> {
    let (label, waiting) = (waiter.label.as_str(), seconds(waiter.waiting));
    made(py, "Waiter", (label, waiter.units, waiter.exclusive, waiting))
}

fn node<'py>(py: Python<'py>, node: &NodeView) -> PyResult<Bound<'py, PyAny>> {
    made(py, "Node", (&*node.name, node.answered, &*node.said, seconds(node.took), node.holds))
}
