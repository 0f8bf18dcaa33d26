//! The guard of one lock, several at once, a leadership or a run, in one shape for Python.

use pyo3::prelude::*;
use pyo3::types::PyDict;
use tenure::{ErrorKind, Label, Lease, MultiLease, Outcome, Released};

use crate::answer::Answer;
use crate::error;
use crate::operation::Operation;
use crate::options::Span;
use crate::slot::Slot;

/// The library's guards.
pub(crate) enum Held {
    One(tenure::Guard),
    Many(tenure::MultiGuard),
    Leader(tenure::Leadership),
    Run(tenure::OnceGuard),
}

/// The library's leases.
#[derive(Clone)]
enum Leased {
    One(Lease),
    Many(MultiLease),
}

/// A lock that is held, until it is released, handed over or collected.
#[pyclass(frozen, module = "tenure._tenure")]
pub(crate) struct Guard {
    lease: Leased,
    held: Slot<Held>,
}

/// Calls a method that both leases have.
macro_rules! of_lease {
    ($lease:expr, $leased:ident => $answer:expr) => {
        match $lease {
            Leased::One($leased) => $answer,
            Leased::Many($leased) => $answer,
        }
    };
}

impl Guard {
    /// The guard of what is held.
    pub(crate) fn new(held: Held) -> Self {
        let lease = match &held {
            Held::One(guard) => Leased::One(guard.lease()),
            Held::Many(guard) => Leased::Many(guard.lease()),
            Held::Leader(leadership) => Leased::One(leadership.lease()),
            Held::Run(run) => Leased::One(run.lease()),
        };
        Self { lease, held: Slot::new(held) }
    }

    fn leases(&self) -> &[Lease] {
        match &self.lease {
            Leased::One(lease) => std::slice::from_ref(lease),
            Leased::Many(lease) => lease.leases(),
        }
    }

    fn only(&self, py: Python<'_>, what: &str) -> PyResult<&Lease> {
        match &self.lease {
            Leased::One(lease) => Ok(lease),
            Leased::Many(_) => {
                let message = format!("several keys have no one {what}; see fences and keys");
                Err(error::invalid(py, &message))
            }
        }
    }

    /// Refuses a verb that this kind does not have, before the guard is taken: it stays held.
    fn must_be(&self, py: Python<'_>, has: fn(&Held) -> bool, verb: &str) -> PyResult<()> {
        let mut loan = self.held.lend()?.ok_or_else(|| given_back(py))?;
        if has(loan.value()) { Ok(()) } else { Err(kind_has_none(py, verb)) }
    }

    /// The guard, for a verb that ends it.
    fn taken(&self, py: Python<'_>) -> PyResult<Held> {
        self.held.take()?.ok_or_else(|| given_back(py))
    }
}

fn given_back(py: Python<'_>) -> PyErr {
    error::invalid(py, "the lock was given back before, or handed over")
}

fn kind_has_none(py: Python<'_>, verb: &str) -> PyErr {
    error::invalid(py, &format!("this kind of lock has no {verb}"))
}

#[pymethods]
impl Guard {
    /// The keys, sorted, each once.
    #[getter]
    fn keys(&self) -> Vec<&str> {
        self.leases().iter().map(|lease| lease.key().as_str()).collect()
    }

    #[getter]
    fn fence(&self, py: Python<'_>) -> PyResult<u64> {
        self.only(py, "fence").map(|lease| lease.fence().get())
    }

    #[getter]
    fn fences<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let fences = PyDict::new(py);
        for lease in self.leases() {
            fences.set_item(lease.key().as_str(), lease.fence().get())?;
        }
        Ok(fences)
    }

    #[getter]
    fn owner(&self, py: Python<'_>) -> PyResult<&str> {
        self.only(py, "owner").map(|lease| lease.owner().value())
    }

    /// Seconds until the deadline; zero once the lock is lost or given back.
    #[getter]
    fn remaining(&self) -> f64 {
        of_lease!(&self.lease, lease => lease.remaining()).as_secs_f64()
    }

    #[getter]
    fn held(&self) -> bool {
        of_lease!(&self.lease, lease => lease.held())
    }

    /// Whether it was released or handed over from here.
    #[getter]
    fn given_back(&self) -> bool {
        self.held.is_gone()
    }

    fn check(&self, py: Python<'_>) -> PyResult<()> {
        of_lease!(&self.lease, lease => lease.check()).map_err(|e| error::raised(py, &e))
    }

    /// Ends with the reason when the lock is lost.
    fn lost(&self) -> Operation {
        let lease = self.lease.clone();
        Operation::new(
            async move { Ok(Answer::Reason(of_lease!(&lease, lease => lease.lost().await))) },
        )
    }

    fn extend_to(&self, span: Span) -> Operation {
        let lease = self.lease.clone();
        Operation::new(async move {
            of_lease!(&lease, lease => lease.extend_to(span.0).await).map(Answer::from)
        })
    }

    fn extend_by(&self, span: Span) -> Operation {
        let lease = self.lease.clone();
        Operation::new(async move {
            let left = of_lease!(&lease, lease => lease.remaining());
            let span = left.saturating_add(span.0);
            of_lease!(&lease, lease => lease.extend_to(span).await).map(Answer::from)
        })
    }

    /// Gives it back.
    fn release(&self, py: Python<'_>) -> PyResult<Operation> {
        let held = self.taken(py)?;
        Ok(Operation::new(async move {
            let released = match held {
                Held::One(guard) => guard.release().await,
                Held::Many(guard) => guard.release().await,
                Held::Leader(leadership) => leadership.resign().await,
                Held::Run(run) => {
                    match run.finish(Outcome::failed("given back unfinished")).await {
                        Ok(()) => Ok(Released::Released),
                        Err(error) if error.kind() == ErrorKind::Lost => Ok(Released::Gone),
                        Err(error) => Err(error),
                    }
                }
            };
            released.map(Answer::Released)
        }))
    }

    /// Gives it back in the background, if that was not done before.
    fn drop_guard(&self, py: Python<'_>) -> PyResult<()> {
        let held = self.held.take()?;
        py.detach(|| drop(held));
        Ok(())
    }

    fn hand_over(&self, py: Python<'_>, keep: Span) -> PyResult<Operation> {
        self.must_be(py, |held| matches!(held, Held::One(_)), "ticket")?;
        let Held::One(guard) = self.taken(py)? else { unreachable!("looked at above") };
        Ok(Operation::new(async move { guard.hand_over(keep.0).await.map(Answer::Ticket) }))
    }

    fn downgrade(&self, py: Python<'_>) -> PyResult<Operation> {
        let mut loan = self.held.lend()?.ok_or_else(|| given_back(py))?;
        let Held::One(_) = loan.value() else { return Err(kind_has_none(py, "downgrade")) };
        Ok(Operation::new(async move {
            let Held::One(guard) = loan.value() else { unreachable!("looked at above") };
            guard.downgrade().await.map(Answer::from)
        }))
    }

    fn try_upgrade(&self, py: Python<'_>) -> PyResult<Operation> {
        let mut loan = self.held.lend()?.ok_or_else(|| given_back(py))?;
        let Held::One(_) = loan.value() else { return Err(kind_has_none(py, "upgrade")) };
        Ok(Operation::new(async move {
            let Held::One(guard) = loan.value() else { unreachable!("looked at above") };
            guard.try_upgrade().await.map(Answer::Bool)
        }))
    }

    fn set_value(&self, py: Python<'_>, value: String) -> PyResult<Operation> {
        let mut loan = self.held.lend()?.ok_or_else(|| given_back(py))?;
        let Held::Leader(_) = loan.value() else { return Err(kind_has_none(py, "value")) };
        Ok(Operation::new(async move {
            let Held::Leader(leader) = loan.value() else { unreachable!("looked at above") };
            leader.set_value(value).await.map(Answer::from)
        }))
    }

    /// Ends a run, with why it failed.
    fn finish(&self, py: Python<'_>, failed: Option<String>) -> PyResult<Operation> {
        self.must_be(py, |held| matches!(held, Held::Run(_)), "end")?;
        let Held::Run(run) = self.taken(py)? else { unreachable!("looked at above") };
        let outcome = failed.map_or(Outcome::Ok, |why| Outcome::Failed(Label::new(why)));
        Ok(Operation::new(async move { run.finish(outcome).await.map(Answer::from) }))
    }
}
