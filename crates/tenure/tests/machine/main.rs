//! The machine of one key under random and under exhaustive sequences of requests. Every step
//! is judged by [`checks`] from outside: from what was before, what was asked, and what is after.
//! It never looks at how the machine comes to its answers.

mod acts;
mod answers;
mod checks;
mod drain;
mod exhaustive;
mod line;
mod properties;
mod regressions;
