//! The protocol of one key: what a key does, when to retry. `now` and randomness are arguments.

mod backoff;
mod inspection;
mod key_state;
mod request;
pub(crate) mod validity;
mod votes;

pub use backoff::Backoff;
pub use inspection::{Guarded, HolderView, Inspection, NodeView, State, WaiterView};
pub use key_state::{Holder, KeyState, Place, StepContext, Tombstone};
pub use request::{Acquire, Blocker, FenceRule, Grant, Op, Queueing, Reply, Request};
pub use votes::{Verdict, Vote, Votes, majority};
