//! Streams that a program follows: states of a key, leaders of an election, keys of a store.

use pyo3::prelude::*;
use tenure::{Leaders, List, Watch};

use crate::answer::Answer;
use crate::operation::Operation;
use crate::slot::Slot;

/// The library's streams.
pub(crate) enum Source {
    Leaders(Leaders),
    List(List),
    Watch(Watch),
}

/// A stream. One `next` at a time.
#[pyclass(frozen, module = "tenure._tenure")]
pub(crate) struct Stream(Slot<Source>);

impl Stream {
    pub(crate) fn new(source: Source) -> Self {
        Self(Slot::new(source))
    }
}

#[pymethods]
impl Stream {
    /// The next item, in a tuple of one; `None` at the end.
    fn next(&self) -> PyResult<Operation> {
        let loan = self.0.lend()?;
        Ok(Operation::new(async move {
            let Some(mut loan) = loan else { return Ok(Answer::Item(None)) };
            let item = match loan.value() {
                Source::Leaders(leaders) => leaders.next().await.transpose()?.map(Answer::Leader),
                Source::List(list) => {
                    list.next().await.transpose()?.map(Box::new).map(Answer::Listed)
                }
                Source::Watch(watch) => {
                    watch.next().await.transpose()?.map(Box::new).map(Answer::Inspection)
                }
            };
            Ok(Answer::Item(item.map(Box::new)))
        }))
    }
}
