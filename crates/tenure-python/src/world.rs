//! `tenure.testing`: a store in memory that fails on request, and a clock that the test moves.

use pyo3::exceptions::PyAssertionError;
use pyo3::prelude::*;
use tenure::testing;

use crate::error;
use crate::locks::Locks;
use crate::options::Span;

/// Refuses a key that the library would panic at.
fn check_key(py: Python<'_>, key: &str) -> PyResult<()> {
    tenure::Key::new(key)
        .map(drop)
        .map_err(|refused| error::invalid(py, &format!("the key {key:?} is not valid: {refused}")))
}

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

    fn busy(&self, py: Python<'_>, key: &str) -> PyResult<Busy> {
        check_key(py, key)?;
        match self.0.try_busy(key) {
            Some(busy) => Ok(Busy(Some(busy))),
            None => Err(PyAssertionError::new_err(format!("{key:?} is not free"))),
        }
    }

    fn lose(&self, py: Python<'_>, key: &str) -> PyResult<()> {
        check_key(py, key)?;
        self.0.lose(key);
        Ok(())
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
