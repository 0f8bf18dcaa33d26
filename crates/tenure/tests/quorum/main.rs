//! What only a quorum does: votes, ballots, top-ups, and nodes that fail one by one.

#![allow(clippy::disallowed_methods, reason = "tests measure time and limit it")]

mod nodes;
mod opening;
mod votes;
