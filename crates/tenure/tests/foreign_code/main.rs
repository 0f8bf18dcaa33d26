//! Code of others that Tenure calls: loggers, recorders of numbers, wakers, files. Here it blocks
//! for ever, or panics; no renewal and no loss waits for it.
//!
//! A logger, a recorder, a hook of panics and the threads belong to a whole process. A test of
//! such a thing runs in a process of its own (`tenure_testkit::alone`).

#![allow(clippy::disallowed_methods, reason = "tests block threads and limit their time")]
#![allow(clippy::print_stderr, reason = "a hook of panics says what happened")]

mod blocked_logger;
mod panicking_logger;
mod password_file;
mod stores;
mod wakers;
