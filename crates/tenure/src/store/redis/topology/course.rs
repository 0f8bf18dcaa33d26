//! The way of a step through a cluster: whether another try may do better, and when.

use std::time::Duration;

use crate::store::StoreError;

use super::super::client::{Address, Failure, Redirect};
use super::super::slots::Slot;

/// The first and the longest pause before a step is sent again that no node takes now.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(2);
pub(super) const LONGEST_PAUSE: Duration = Duration::from_millis(100);
/// So many times in a row a step follows at once where it is sent; then it pauses.
const HOPS_MAX: u32 = 4;

/// The way of a step through the cluster.
pub(super) struct Course {
    pub(super) slot: Slot,
    /// The node that was asked last.
    pub(super) asked: Option<Address>,
    pub(super) hops: u32,
    pause: Duration,
}

impl Course {
    pub(super) fn new(slot: Slot) -> Self {
        Self { slot, asked: None, hops: 0, pause: FIRST_PAUSE }
    }

    /// One step further. Whether it is too early for the next try: nobody takes the step now.
    pub(super) fn must_wait(&mut self, last: &StoreError) -> bool {
        self.hops += 1;
        let is_sent_on =
            matches!(redirect(last), Some(Redirect::Moved { .. } | Redirect::Ask { .. }));
        !is_sent_on && self.hops > 1 || self.hops > HOPS_MAX
    }

    pub(super) fn next_pause(&mut self) -> Duration {
        let next = (self.pause * 2).min(LONGEST_PAUSE);
        std::mem::replace(&mut self.pause, next)
    }
}

/// Whether another try may do better, at another node or later. A failure with a source is a
/// node's answer.
pub(super) fn may_settle(error: &StoreError) -> bool {
    let is_unsent = error.class.may_pass() && !error.may_have_run;
    is_unsent && error.source.is_none() || redirect(error).is_some()
}

/// The error of a step that nobody has taken.
pub(super) fn given_up(error: StoreError, may_have_run: bool) -> StoreError {
    let failure = error.source.as_ref().and_then(|source| source.downcast_ref::<Failure>());
    let told = failure.map(|failure| failure.clone().unsettled());
    StoreError { may_have_run, source: None, ..told.unwrap_or(error) }
}

pub(super) fn redirect(error: &StoreError) -> Option<Redirect> {
    error.source.as_ref()?.downcast_ref::<Failure>()?.redirect()
}
