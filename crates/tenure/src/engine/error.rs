//! The errors of an engine's operations: what each outcome tells the caller. It decides nothing.

use std::sync::Arc;
use std::time::Duration;

use crate::process::Forked;
use crate::protocol::{Blocker, Guarded, Reply};
use crate::runtime::{Moment, shown};
use crate::store::StoreError;
use crate::types::{Claim, Error, ErrorKind, Key, Operation};

use super::waiter::{Seen, Silence};

/// An operation that fails: makes its errors, with key and store named.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Failing<'a> {
    pub(super) operation: Operation,
    pub(super) key: Option<&'a Key>,
    /// The store's name, without secrets.
    pub(super) store: &'a Arc<str>,
}

impl Failing<'_> {
    /// An error of this kind; `message` says what happened and what to do.
    pub(crate) fn with(self, kind: ErrorKind, message: impl Into<String>) -> Error {
        let error = Error::new(kind, self.operation, message).with_store(self.store);
        self.key.into_iter().fold(error, Error::with_key)
    }

    /// The store has failed.
    pub(crate) fn by_store(self, failure: StoreError) -> Error {
        let error = failure.into_error(self.operation, self.store);
        self.key.into_iter().fold(error, Error::with_key)
    }

    /// The engine is closed.
    pub(super) fn by_close(self) -> Error {
        self.with(ErrorKind::Closed, "this Locks was closed; connect again")
    }

    /// A forked process uses what it inherited.
    pub(crate) fn by_fork(self) -> Error {
        self.with(ErrorKind::Forked, Forked.to_string())
    }

    /// The store gave a reply that is no answer to the request.
    pub(crate) fn by_reply(self, reply: &Reply) -> Error {
        match reply {
            Reply::Mismatch(what) => self.with(ErrorKind::Mismatch, told(what)),
            other => {
                let message =
                    format!("the store answered {other:?}; this is a defect in the store");
                self.with(ErrorKind::Internal, message)
            }
        }
    }

    /// A claim was answered by neither a grant nor a place in line.
    pub(super) fn by_refusal(self, reply: &Reply) -> Error {
        match reply {
            Reply::Mismatch(what) => self.with(ErrorKind::Mismatch, told(what)),
            Reply::Refused(why) | Reply::Full(why) => self.with(ErrorKind::Refused, &**why),
            Reply::SelfHeld => self.with(
                ErrorKind::Invalid,
                "a holder with the same fixed owner value has it, and waiting for it would be \
                 waiting for oneself; try without waiting, or use another owner value",
            ),
            Reply::Gone => self.with(
                ErrorKind::Lost,
                "there is nothing to adopt: the ticket was used before, or its time is over",
            ),
            Reply::Withdrawn => self.with(
                ErrorKind::Unavailable,
                "this attempt was withdrawn or forced out before it was answered; try again",
            ),
            other => {
                let message = format!("the store answered {other:?} to an acquire");
                self.with(ErrorKind::Internal, message)
            }
        }
    }

    /// The limit of the wait has passed, and the key is busy.
    pub(super) fn busy(self, seen: Option<&Seen>, waited: Duration, now: Moment) -> Error {
        let waited = shown(waited);
        let Some(Seen { blocker, at }) = seen else {
            let message = format!("waited {waited}; others hold it or stand in front");
            return self.with(ErrorKind::Busy, message);
        };
        // Stores do not know since when another library holds it.
        let is_dated = !blocker.held_for.is_zero();
        let held_for = is_dated.then(|| shown(blocker.held_for + now.since(*at)));
        let message = format!(
            "waited {waited}; it is held by {}{}{}",
            blocker.label,
            held_for.map(|span| format!(" for {span}")).unwrap_or_default(),
            report(blocker),
        );
        self.with(ErrorKind::Busy, message)
    }

    /// The limit of the wait has passed, and the store was silent for so long that nobody knows
    /// whether the key is busy. `None` if the silence is too short for that.
    pub(super) fn silent(
        self,
        silence: &Silence,
        heartbeat: Duration,
        seen: Option<&Seen>,
        now: Moment,
    ) -> Option<Error> {
        let lasts = silence.lasts(now);
        if lasts <= silence_limit(heartbeat) {
            return None;
        }
        let before = |seen: &Seen| format!("; before that it was held by {}", seen.blocker.label);
        let message = format!(
            "the store has not answered for {}{}; {}",
            shown(lasts),
            seen.map(before).unwrap_or_default(),
            silence.failure().unwrap_or("is it up, and reachable from here?"),
        );
        Some(self.with(ErrorKind::Unavailable, message).with_may_hold(true))
    }

    /// The store knows of no holder, and grants nothing new for now.
    pub(super) fn guarded(self, guarded: Guarded, blocker: &Blocker, wall_micros: u64) -> Error {
        let told = guarded.told(wall_micros);
        let report = report(blocker);
        let message = format!("{told}{report}; try again then, or wait without a limit");
        self.with(ErrorKind::Unavailable, message)
    }
}

/// Longest silence after which a waiter with this interval of heartbeats still takes the key to be
/// busy.
fn silence_limit(heartbeat: Duration) -> Duration {
    heartbeat * 2 + Duration::from_secs(1)
}

/// A mismatch for people. To a store, a read-write lock is a limit that is never reached.
fn told(mismatch: &str) -> String {
    let readers = format!("a limit of {}", Claim::MAX);
    mismatch.replace(&readers, "no limit (a read-write lock)")
}

/// The answers of a quorum's nodes, for a message.
fn report(blocker: &Blocker) -> String {
    blocker.report.as_ref().map(|nodes| format!(" ({nodes})")).unwrap_or_default()
}
