//! Locks of a process that forks: they stay with the parent, and the child has none.
//!
//! Each test forks a process of its own ([`tenure_testkit::alone`]), with all threads of Tenure.
//! Rust's runtime locks a mutex while a thread starts or ends. A child that was forked at that
//! moment can never start a thread, and the threads of a test program come and go with its tests.

mod anew;
mod busy_parent;
mod held;
mod inherited;
mod servers;
mod several;
mod sqlite;
mod stores;
mod subscriber;
