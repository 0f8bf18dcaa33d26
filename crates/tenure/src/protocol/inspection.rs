//! The state of a key as people and `status` see it. It is plain data and never changes the key.

use std::sync::Arc;
use std::time::Duration;

use crate::runtime::shown;
use crate::types::{Claim, Fence, Label, Owner, Value};

use super::runs::LastRun;

/// The state of a key at the moment that the store looked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// Free, held, or a foreign value.
    pub state: State,
    /// The limit that all live shares have; 1 if all live claims are exclusive; `None` without live
    /// claims.
    pub limit: Option<u32>,
    /// The last fence that was minted; `None` if there is no record.
    pub fence: Option<Fence>,
    /// Live holders, the oldest first.
    pub holders: Vec<HolderView>,
    /// Live waiters, the next first.
    pub waiters: Vec<WaiterView>,
    /// The answer of each node of a quorum; empty for every other store.
    pub nodes: Vec<NodeView>,
    /// Set while the store grants nothing new, whatever the state.
    pub guarded: Option<Guarded>,
    /// The last run, if the key is that of a job that runs once per tick.
    pub last_run: Option<Box<LastRun>>,
    /// The value in the lock's place, if the state is [`State::Foreign`] and the store can show it.
    pub foreign: Option<Box<ForeignView>>,
    /// The primary of the server that was asked, if that is a replica: it grants nothing, and may
    /// know less than its primary.
    pub replica_of: Option<Box<str>>,
}

/// A value in a lock's place that is no lock of Tenure's. It is shown, never trusted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ForeignView {
    /// The name under which the server keeps it.
    pub name: Box<str>,
    /// Its type, in the server's word: `string`, `hash`, `list` and others.
    pub kind: Box<str>,
    /// The beginning of it, at most 256 bytes; `None` for a type that is not shown.
    pub value: Option<Box<str>>,
    /// Whether `value` is all of it.
    pub is_whole: bool,
    /// Time until it ends by itself; `None`: it stays.
    pub remaining: Option<Duration>,
    /// The line for a shell that deletes it, without secrets. If the value is short, it deletes
    /// this value alone, and no later one.
    pub delete: Box<str>,
}

/// The restart guard: a store that may have forgotten leases grants nothing new until they end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Guarded {
    /// Time for which the store is known: since it restarted, lost its memory, or was first asked.
    pub known_for: Duration,
    /// Time for which it still grants nothing new.
    pub left: Duration,
}

impl Guarded {
    /// The text for people, with the time of day at which the guard ends (UTC). `now` is the wall
    /// clock in microseconds since 1970.
    #[must_use]
    pub fn told(&self, now: u64) -> String {
        let left = u64::try_from(self.left.as_micros()).unwrap_or(u64::MAX);
        // Rounded up: in the second that is shown, the guard has ended.
        let end = now.saturating_add(left).div_ceil(1_000_000) % 86_400;
        format!(
            "nothing new is granted until {:02}:{:02}:{:02} UTC (for {} more): the store's \
             memory is known for {} only, since it restarted, was emptied, or is new here, and \
             a lease that it forgot may still be held",
            end / 3_600,
            end / 60 % 60,
            end % 60,
            shown(Duration::from_secs((self.left + Duration::from_millis(999)).as_secs())),
            shown(self.known_for),
        )
    }
}

/// One node of a quorum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeView {
    /// The node's name, without secrets.
    pub name: Arc<str>,
    /// Whether it answered at all.
    pub answered: bool,
    /// Whether it answered that somebody holds the key.
    pub holds: bool,
    /// Its answer, or why there is none.
    pub said: Box<str>,
    /// Time until the answer.
    pub took: Duration,
}

/// Whether a key is held.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// Nobody holds it.
    Free,
    /// A client of Tenure holds it.
    Held,
    /// A value that is no lock of Tenure's; the text says what it is.
    Foreign(Box<str>),
}

/// One holder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HolderView {
    /// Its identity.
    pub owner: Owner,
    /// The name for people.
    pub label: Label,
    /// How many units it has; all of the limit if it is exclusive.
    pub units: u32,
    /// Whether it holds the key whole, whatever the limit.
    pub exclusive: bool,
    /// Its fencing token.
    pub fence: Fence,
    /// The value beside its claim.
    pub value: Option<Value>,
    /// Time since the grant.
    pub since: Duration,
    /// Time until its lease ends, unless it is renewed.
    pub remaining: Duration,
    /// Whether it has released the key, which stays taken until `remaining` is over (`min_hold`).
    pub kept: bool,
}

/// One waiter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaiterView {
    /// The name for people.
    pub label: Label,
    /// How many units it wants; all of the limit if it is exclusive.
    pub units: u32,
    /// Whether it wants the key whole, whatever the limit.
    pub exclusive: bool,
    /// Time since it began to wait.
    pub waiting: Duration,
}

impl Inspection {
    /// The state of a key of which the store knows nothing.
    #[must_use]
    pub fn free() -> Self {
        let state = State::Free;
        Self {
            state,
            limit: None,
            fence: None,
            holders: vec![],
            waiters: vec![],
            nodes: vec![],
            guarded: None,
            last_run: None,
            foreign: None,
            replica_of: None,
        }
    }
}

/// The limit that is shown for live claims.
pub(super) fn limit_of(claims: impl Iterator<Item = Claim>) -> Option<u32> {
    claims.map(|claim| if claim.is_exclusive() { 1 } else { claim.limit() }).max()
}
