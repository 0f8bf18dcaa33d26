//! A value that one operation at a time uses, and that comes back when that one is dropped.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

/// A guard or a stream, unless it is lent or gone.
pub(crate) struct Slot<T>(Arc<Mutex<Place<T>>>);

enum Place<T> {
    Here(T),
    Lent,
    Gone,
}

impl<T> Slot<T> {
    /// The place of `value`.
    pub(crate) fn new(value: T) -> Self {
        Self(Arc::new(Mutex::new(Place::Here(value))))
    }

    fn place(&self) -> MutexGuard<'_, Place<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the value was taken for good.
    pub(crate) fn is_gone(&self) -> bool {
        matches!(*self.place(), Place::Gone)
    }

    /// Takes the value for good; `None` if that was done before.
    pub(crate) fn take(&self) -> PyResult<Option<T>> {
        let mut place = self.place();
        match std::mem::replace(&mut *place, Place::Gone) {
            Place::Here(value) => Ok(Some(value)),
            Place::Gone => Ok(None),
            Place::Lent => {
                *place = Place::Lent;
                Err(in_use())
            }
        }
    }

    /// Borrows the value for one operation; `None` if it is gone.
    pub(crate) fn lend(&self) -> PyResult<Option<Loan<T>>> {
        let mut place = self.place();
        match std::mem::replace(&mut *place, Place::Lent) {
            Place::Here(value) => {
                Ok(Some(Loan { place: Self(Arc::clone(&self.0)), value: Some(value) }))
            }
            Place::Gone => {
                *place = Place::Gone;
                Ok(None)
            }
            Place::Lent => Err(in_use()),
        }
    }
}

fn in_use() -> PyErr {
    PyRuntimeError::new_err("another call on the same object is under way; await that one first")
}

/// A value on loan.
pub(crate) struct Loan<T> {
    place: Slot<T>,
    /// `None` only while it is dropped.
    value: Option<T>,
}

impl<T> Loan<T> {
    /// The value.
    pub(crate) fn value(&mut self) -> &mut T {
        self.value.as_mut().expect("it is on loan")
    }
}

impl<T> Drop for Loan<T> {
    fn drop(&mut self) {
        if let Some(value) = self.value.take() {
            *self.place.place() = Place::Here(value);
        }
    }
}
