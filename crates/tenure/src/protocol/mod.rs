//! The protocol of one key: its transitions, the count of a quorum's votes, the times of leases and
//! tries. It is pure: `now` and randomness are arguments, and it never does I/O.

mod inspection;
mod key_state;
mod request;
mod runs;
pub(crate) mod timing;
mod votes;

pub use inspection::{ForeignView, Guarded, HolderView, Inspection, NodeView, State, WaiterView};
pub use key_state::{Holder, KeyState, Part, Place, StepContext, Tombstone};
pub use request::{Acquire, Blocker, FenceRule, Grant, Group, Op, Queueing, Reply, Request};
pub use runs::{Count, LastRun, Outcome, Run, RunEnd, RunState, Runs, TickClock, Ticks};
pub use timing::{Backoff, slack};
pub use votes::{Verdict, Vote, Votes, majority};
