//! One call of `acquire` or `try_acquire`, from the program's first word to its last: for each key
//! that it asks for.

use std::time::Duration;

use tenure::Key;

use crate::kind::Kind;
use crate::world::Pid;

/// How an attempt wants to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    None,
    Until(Duration),
    Endless,
}

/// How an attempt ended without a guard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Busy,
    /// The store could not be reached or did not answer in time, or the `Locks` was closed.
    Failed,
    /// The program closed its `Locks`.
    Closed,
    /// The program dropped it.
    Dropped,
}

/// The claim that is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    pub(crate) pid: Pid,
    pub(crate) key: Key,
    pub(crate) kind: Kind,
    pub(crate) ttl: Duration,
    pub(crate) patience: Patience,
    pub(crate) renews: bool,
    pub(crate) min_hold: Duration,
    pub(crate) max_hold: Option<Duration>,
}

/// Where an attempt stands in its program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The call has not returned.
    Pending,
    /// Its guard is in the program's hands.
    Held,
    /// Nobody wants it any more, since this true time.
    Over(u64),
}

/// An attempt, and how far it has come.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) wish: Wish,
    pub(crate) began: u64,
    pub(crate) stage: Stage,
    /// When the server last granted it.
    pub(crate) granted: Option<u64>,
    /// A request of its was carried out when nobody could be expected to withdraw it any more:
    /// after its lease would have ended, or after the server forgot the withdrawal.
    pub(crate) ghost: bool,
}

impl Wish {
    /// How long a place in line outlives its last heartbeat.
    pub(crate) fn window(&self) -> Duration {
        self.ttl.clamp(Duration::from_secs(1), Duration::from_secs(3))
    }
}
