//! Locks of a process that forks: they stay with the parent, and the child has none.
//!
//! Each test forks a process of its own (`alone`), with all threads of Tenure.

mod anew;
mod crowd;
mod held;
mod inherited;
mod servers;
mod stores;
mod subscriber;
