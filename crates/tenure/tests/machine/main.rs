//! The machine of one key: what went wrong with it once.

mod acts;
mod regressions;
