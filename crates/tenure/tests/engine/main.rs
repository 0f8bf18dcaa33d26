//! The engine over stores, clocks and runtimes of the tests' own: what is dropped, given up, cut
//! off or closed at any moment leaves nothing behind, and costs the store little.

#![allow(clippy::disallowed_methods, reason = "tests measure time and limit it")]

mod closing;
mod contention;
mod dropped;
mod failing_renewals;
mod given_up_owners;
mod given_up_waits;
mod groups;
mod heartbeats;
mod inbox;
mod last_handle;
mod late_answers;
mod links;
mod lost_replies;
mod observed;
mod runs;
mod skewed_clocks;
mod still;
mod store_wrapper;
mod tickets;
mod turns;
