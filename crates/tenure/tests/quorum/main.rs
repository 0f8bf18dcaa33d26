//! The parts that only a quorum has: votes, agreement on fences, top-ups, and nodes that fail one
//! by one.

#![allow(clippy::disallowed_methods, reason = "tests measure time and limit it")]
#![allow(clippy::print_stdout, reason = "tests say what they measured")]

mod chaos;
mod forgetting;
mod late;
mod nodes;
mod opening;
mod runs;
mod servers;
mod tries;
mod values;
mod votes;
