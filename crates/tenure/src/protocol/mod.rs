//! The protocol of one key: its transitions, the count of a quorum's votes, the waits between
//! tries. It is pure: `now` and randomness are arguments, and it never does I/O.

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
pub use validity::slack;
pub use votes::{Verdict, Vote, Votes, majority};
