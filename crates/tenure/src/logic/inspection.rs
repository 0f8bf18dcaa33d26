//! What a key looks like from outside, for people and for `status`.

use std::sync::Arc;
use std::time::Duration;

use crate::words::{Fence, Label, Owner};

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
        Self { state, limit: None, fence: None, holders: vec![], waiters: vec![], nodes: vec![] }
    }
}
