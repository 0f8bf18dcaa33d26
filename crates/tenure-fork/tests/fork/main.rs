//! What becomes of locks when their process forks.
//!
//! The tests fork the test program itself, with all its threads: those of Tenure, those of other
//! tests, and those that the test harness has. SQLite counts what is open in the whole process,
//! so its tests are a program of their own (`sqlite.rs`).

mod anew;
mod crowd;
mod held;
mod inherited;
mod servers;
mod stores;
mod subscriber;
