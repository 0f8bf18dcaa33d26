//! A fault that was ordered, and what became of it.

use super::fault::{Call, Fate, Which};
use crate::reply::Reply;

/// A fault and what became of it.
#[derive(Debug)]
pub(super) struct Plan {
    which: Which,
    pub(super) fate: Fate,
    /// How many calls have matched.
    matched: u64,
    pub(super) strikes: u64,
    pub(super) call: Option<Call>,
    pub(super) reply: Option<Reply>,
    pub(super) copy: Option<Copied>,
    pub(super) delivered: bool,
    pub(super) lifted: bool,
}

/// A call as it travelled, and what its link had said about itself before.
#[derive(Debug, Clone)]
pub(super) struct Copied {
    pub(super) greeting: Vec<Vec<u8>>,
    pub(super) call: Vec<u8>,
}

impl Plan {
    pub(super) fn new(which: Which, fate: Fate) -> Self {
        Self {
            which,
            fate,
            matched: 0,
            strikes: 0,
            call: None,
            reply: None,
            copy: None,
            delivered: false,
            lifted: false,
        }
    }

    /// Counts the call if it matches; whether it is the one that is meant.
    pub(super) fn means(&mut self, call: &Call) -> bool {
        if self.lifted || !(self.which.matches)(call) {
            return false;
        }
        self.matched += 1;
        self.which.nth.is_none_or(|nth| nth == self.matched)
    }
}
