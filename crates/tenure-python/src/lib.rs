//! The native half of the Python package `tenure`: the library's verbs as operations that Python
//! waits for, on a thread or on an event loop. The names and scopes that people use are Python,
//! in `python/tenure`.
//!
//! No thread of the library ever attaches to the interpreter. An operation is polled by the Python
//! thread that waits for it, and a completion goes into the queue of that thread's loop.

mod answer;
mod completions;
mod error;
mod guard;
mod lock;
mod locks;
mod logging;
mod operation;
mod options;
mod slot;
mod stream;
mod world;

/// The module `tenure._tenure`.
#[pyo3::pymodule]
mod _tenure {
    #[pymodule_export]
    use super::completions::Completions;
    #[pymodule_export]
    use super::guard::Guard;
    #[pymodule_export]
    use super::lock::Lock;
    #[pymodule_export]
    use super::locks::{Locks, connect, connect_later, default_locks, set_default};
    #[pymodule_export]
    use super::logging::{Lines, log_to};
    #[pymodule_export]
    use super::operation::Operation;
    #[pymodule_export]
    use super::stream::Stream;
    #[pymodule_export]
    use super::world::{Busy, Clock, World};
}
