//! The entries of the schedule: all that the keepalive task looks after. They are data; the files
//! above do the work.

use std::any::Any;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::mutants::{self, Mutant};
use crate::protocol::{Backoff, Op};
use crate::runtime::Moment;
use crate::types::Key;

use super::lease::LeaseState;
use super::schedule::{Expires, Expiry};
use super::waiter::Waiter;

#[derive(Debug, Clone)]
pub(super) enum Timer {
    Lease(Arc<LeaseState>),
    Waiter(Arc<Waiter>),
    Cleanup(Arc<Cleanup>),
}

/// A release or withdrawal that must still reach the store. It is repeated until it is answered,
/// or until what it undoes has ended by itself.
#[derive(Debug)]
pub(super) struct Cleanup {
    pub(super) key: Key,
    pub(super) op: Op,
    /// After this moment nothing is left to undo.
    pub(super) until: Moment,
    pub(super) backoff: Mutex<Backoff>,
    /// A handoff may have granted to the first in line without telling it.
    pub(super) recheck_queue: bool,
    /// The engine, which works on until this entry leaves the schedule, even after the last guard
    /// and the last `Locks` are gone.
    pub(super) _engine: Arc<dyn Any + Send + Sync>,
}

impl Cleanup {
    /// How long to wait before it is repeated.
    pub(super) fn pause(&self, random: u32) -> Duration {
        self.backoff.lock().unwrap_or_else(PoisonError::into_inner).next(random)
    }
}

impl Expires for Timer {
    fn expire(&self, now: Moment) -> Expiry {
        match self {
            Self::Lease(lease)
                if lease.is_held() && !mutants::is_set(Mutant::AlarmWaitsForCall) =>
            {
                if now < lease.alarm() {
                    Expiry::At(lease.alarm())
                } else if lease.set_lost(lease.expiry()) {
                    Expiry::Expired
                } else {
                    Expiry::Nothing
                }
            }
            Self::Lease(_) | Self::Waiter(_) | Self::Cleanup(_) => Expiry::Nothing,
        }
    }

    fn announce(&self) {
        if let Self::Lease(lease) = self {
            lease.announce(lease.expiry());
        }
    }
}
