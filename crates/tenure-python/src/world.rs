//! `tenure.testing`: a store in memory that fails on request, and a clock that the test moves.

use pyo3::prelude::*;
use tenure::testing;

use crate::locks::Locks;
use crate::options::Span;

/// A clock that the test moves.
#[pyclass(frozen, module = "tenure._tenure")]
pub(crate) struct Clock(testing::Clock);

#[pymethods]
impl Clock {
    #[new]
    fn new() -> Self {
        Self(testing::Clock::new())
    }

    fn advance(&self, span: Span) {
        self.0.advance(span.0);
    }
}

/// A store in memory, for one test.
#[pyclass(frozen, module = "tenure._tenure")]
pub(crate) struct World(testing::World);

#[pymethods]
impl World {
    #[new]
    fn new(clock: Option<&Clock>) -> Self {
        Self(clock.map_or_else(testing::World::new, |clock| testing::World::with_clock(&clock.0)))
    }

    fn locks(&self) -> Locks {
        self.0.locks().into()
    }

    /// The locks of another process.
    fn another(&self) -> Locks {
        self.0.another().into()
    }

    fn busy(&self, key: &str) -> Busy {
        Busy(Some(self.0.busy(key)))
    }

    fn lose(&self, key: &str) {
        self.0.lose(key);
    }

    fn fail(&self, failing: bool) {
        self.0.fail(failing);
    }

    fn fail_next(&self, count: usize) {
        self.0.fail_next(count);
    }

    fn lose_answers(&self, count: usize) {
        self.0.lose_answers(count);
    }
}

/// Somebody else's hold on a key.
#[pyclass(module = "tenure._tenure")]
pub(crate) struct Busy(Option<testing::Busy>);

#[pymethods]
impl Busy {
    /// Frees the key.
    fn free(&mut self) {
        self.0 = None;
    }
}
