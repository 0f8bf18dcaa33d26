//! What a key looks like from outside, for people and for `status`.

use std::sync::Arc;
use std::time::Duration;

use crate::types::{Fence, Label, Owner};

/// The state of a key at the moment that the store looked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// Free, held, or somebody else's kind of thing.
    pub state: State,
    /// The limit that the live claims share; `None` without live claims.
    pub limit: Option<u32>,
    /// The last fence that was minted; `None` if there is no record.
    pub fence: Option<Fence>,
    /// Live holders, the oldest first.
    pub holders: Vec<HolderView>,
    /// Live waiters, the next first.
    pub waiters: Vec<WaiterView>,
    /// What each node of a quorum said; empty for every other store.
    pub nodes: Vec<NodeView>,
    /// Whether the store grants nothing new for now, whatever the state.
    pub guarded: Option<Guarded>,
}

/// The restart guard: a store that may have forgotten leases grants nothing new until they end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Guarded {
    /// Since when the store is known: since it restarted, lost its memory, or was first asked.
    pub known_for: Duration,
    /// For how long it grants nothing new.
    pub left: Duration,
}

impl Guarded {
    /// What people are told of it, with the time of day at which it ends (UTC); `now` is the wall
    /// clock in microseconds.
    #[must_use]
    pub fn told(&self, now: u64) -> String {
        let left = u64::try_from(self.left.as_micros()).unwrap_or(u64::MAX);
        // The second in which it has ended.
        let end = now.saturating_add(left).div_ceil(1_000_000) % 86_400;
        let seconds = |span: Duration| Duration::from_secs(span.as_secs());
        format!(
            "nothing new is granted until {:02}:{:02}:{:02} UTC (for {:?} more): the store's \
             memory is known for {:?} only, since it restarted, was emptied, or is new here, and \
             a lease that it forgot may still be held",
            end / 3_600,
            end / 60 % 60,
            end % 60,
            seconds(self.left + Duration::from_millis(999)),
            seconds(self.known_for),
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
    /// What it said, or why it said nothing.
    pub said: Box<str>,
    /// How long that took.
    pub took: Duration,
}

/// Whether a key is held.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// Nobody holds it.
    Free,
    /// Somebody holds it, by Tenure.
    Held,
    /// The key is something else; the text says what.
    Foreign(Box<str>),
}

/// One holder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HolderView {
    /// Its identity.
    pub owner: Owner,
    /// Who to ask.
    pub label: Label,
    /// How many units it has.
    pub units: u32,
    /// Its fencing token.
    pub fence: Fence,
    /// For how long it has held them.
    pub since: Duration,
    /// How long its lease lasts yet, if it is not renewed.
    pub remaining: Duration,
}

/// One waiter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaiterView {
    /// Who to ask.
    pub label: Label,
    /// How many units it wants.
    pub units: u32,
    /// For how long it has waited.
    pub waiting: Duration,
}

impl Inspection {
    /// A key of which the store knows nothing.
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
        }
    }
}
