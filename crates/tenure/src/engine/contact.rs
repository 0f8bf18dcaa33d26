//! The first contact of an acquire: its request is repeated until the store has answered, for a
//! while. It sends nothing itself.

use std::time::Duration;

use crate::protocol::Backoff;
use crate::runtime::Moment;
use crate::store::{StoreError, StoreErrorClass};

use super::Engine;

/// Minimum time for the first round trip, even if the caller's wait limit is shorter.
pub(super) const CONTACT_MIN: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(super) struct FirstContact<'a> {
    engine: &'a Engine,
    /// When the first try is sent.
    pub(super) started: Moment,
    /// How long the answer may take.
    pub(super) patience: Moment,
    backoff: Option<Backoff>,
    heard: Option<StoreError>,
}

impl<'a> FirstContact<'a> {
    /// It is counted from here, not from the start of the wait: an attempt that begins anew gets as
    /// much time.
    pub(super) fn new(engine: &'a Engine, give_up: Moment) -> Self {
        let started = engine.now();
        let patience =
            give_up.max(started + CONTACT_MIN).min(started + engine.options.store_timeout);
        Self { engine, started, patience, backoff: None, heard: None }
    }

    /// A try has failed. Answers when to send the next, or the failure to be told.
    pub(super) fn failed(&mut self, failure: StoreError) -> Result<Moment, StoreError> {
        let Self { engine, patience, .. } = *self;
        let now = engine.now();
        let pauses = self.backoff.get_or_insert_with(|| engine.backoff());
        let next = now + pauses.next(engine.jitter());
        if failure.class != StoreErrorClass::Transient {
            return Err(failure);
        }
        if next >= patience {
            // An earlier failure tells more than "the time is over".
            return Err(self.heard.take().filter(|_| now >= patience).unwrap_or(failure));
        }
        self.heard = Some(failure);
        Ok(next)
    }
}
