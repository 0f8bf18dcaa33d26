//! The machine of one key, by itself and against the stores: each of them answers as it does.
//!
//! The machine goes through random and through exhaustive sequences of requests. Every step is
//! judged by [`checks`] from outside: from what was before, what was asked, and what is after. It
//! never looks at how the machine comes to its answers.

#![allow(clippy::disallowed_methods, reason = "tests limit their time")]

mod acts;
mod answers;
mod checks;
mod differential;
mod drain;
mod exhaustive;
mod groups;
mod line;
mod memory;
mod properties;
mod regressions;
mod runs;
mod units;
mod values;
