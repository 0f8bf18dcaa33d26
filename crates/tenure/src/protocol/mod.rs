//! The protocol of one key: what a key does, when to retry. `now` and randomness are arguments.

mod backoff;
mod inspection;
mod resource;
mod step;
pub(crate) mod validity;
mod votes;

pub use backoff::Backoff;
pub use inspection::{Guarded, HolderView, Inspection, NodeView, State, WaiterView};
pub use resource::{At, Holder, Place, Resource, Tombstone};
pub use step::{Acquire, Blocker, FenceRule, Grant, Op, Queueing, Reply, Step};
pub use votes::{Verdict, Vote, Votes, majority};
