//! What becomes of locks when their process forks.
//!
//! Each test forks a process of its own (`alone`), with all threads of Tenure.

mod anew;
mod crowd;
mod held;
mod inherited;
mod servers;
mod stores;
mod subscriber;
