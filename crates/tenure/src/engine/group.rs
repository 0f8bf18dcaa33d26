//! Acquiring several keys in one step of the store: all of them, or none. It never waits for a
//! key.

use std::sync::Arc;
use std::time::Duration;

use tracing::Span;

use crate::observe::{self, within};
use crate::protocol::{Group, Op, Reply};
use crate::runtime::{Moment, shielded};
use crate::store::StoreError;
use crate::types::{Error, Key, Operation, Result};

use super::Engine;
use super::attempt::{Attempt, Failure, Tried, Way, guarded};
use super::cleanup::let_go;
use super::contact::FirstContact;
use super::lease::LeaseEntry;
use super::options::AcquireOptions;
use super::waiter::Seen;

/// Asks once; `None` if others have one of the keys.
pub(crate) async fn try_acquire_all(
    engine: &Arc<Engine>,
    options: &[AcquireOptions],
) -> Result<Option<Vec<LeaseEntry>>> {
    within(acquiring(engine, options), ask_once(engine, options)).await
}

async fn ask_once(
    engine: &Arc<Engine>,
    options: &[AcquireOptions],
) -> Result<Option<Vec<LeaseEntry>>> {
    let now = engine.now();
    let mut together = Together::new(engine, options, now)?;
    match together.try_once(now, Moment::NEVER).await {
        Ok(All::Granted(held)) => Ok(Some(together.into_held(held))),
        Ok(All::Blocked { key, seen }) => {
            // Nobody holds it, so "others have it" is no answer.
            if let Some(error) = seen.and_then(|seen| guarded(engine, &key, &seen)) {
                return Err(error);
            }
            observe::busy(&engine.name, &key, Duration::ZERO);
            Ok(None)
        }
        Err(Failure::Refused(error)) => Err(error),
        Err(Failure::Store(failure)) => Err(together.unknown(failure)),
    }
}

/// Asks until the store has answered; `None` if one of the keys must be waited for.
pub(crate) async fn acquire_at_once(
    engine: &Arc<Engine>,
    options: &[AcquireOptions],
    give_up: Moment,
) -> Result<Option<Vec<LeaseEntry>>> {
    within(acquiring(engine, options), first_contact(engine, options, give_up)).await
}

async fn first_contact(
    engine: &Arc<Engine>,
    options: &[AcquireOptions],
    give_up: Moment,
) -> Result<Option<Vec<LeaseEntry>>> {
    let mut together = Together::new(engine, options, engine.now())?;
    if together.attempts.iter().any(Attempt::is_behind_others) {
        return Ok(None);
    }
    let mut contact = FirstContact::new(engine, give_up);
    let mut sent = contact.started;
    loop {
        let failure = match together.try_once(sent, contact.patience).await {
            Ok(All::Granted(held)) => return Ok(Some(together.into_held(held))),
            Ok(All::Blocked { .. }) => return Ok(None),
            Err(Failure::Refused(error)) => return Err(error),
            Err(Failure::Store(failure)) => failure,
        };
        let next = contact.failed(failure).map_err(|told| together.unknown(told))?;
        // The next try tells of a fork.
        let _forked = engine.sleep_until(next).await;
        sent = engine.now();
    }
}

/// One span for each key, each within the one before.
fn acquiring(engine: &Engine, options: &[AcquireOptions]) -> Span {
    options.iter().fold(Span::none(), |outer, options| {
        let inner = || outer.in_scope(|| observe::acquiring(&engine.name, &options.key));
        shielded(inner).unwrap_or_else(Span::none)
    })
}

/// An attempt at each key, of which all are sent as one request. One that is dropped before it is
/// held is withdrawn by itself.
struct Together<'a> {
    engine: &'a Arc<Engine>,
    attempts: Vec<Attempt<'a>>,
}

/// The store's answer to one request.
enum All {
    Granted(Vec<LeaseEntry>),
    /// None of them was granted.
    Blocked {
        key: Key,
        seen: Option<Seen>,
    },
}

impl<'a> Together<'a> {
    fn new(
        engine: &'a Arc<Engine>,
        options: &'a [AcquireOptions],
        started: Moment,
    ) -> Result<Self> {
        let attempt = |options| Attempt::new(engine, options, Way::Free, started);
        Ok(Self { engine, attempts: options.iter().map(attempt).collect::<Result<_>>()? })
    }

    /// Asks once, at `sent`, which is now.
    async fn try_once(&mut self, sent: Moment, limit: Moment) -> Result<All, Failure> {
        let Self { engine, attempts } = self;
        attempts.iter_mut().try_for_each(Attempt::begin).map_err(Failure::Refused)?;
        let members = attempts.iter().map(|attempt| (attempt.key().clone(), attempt.claim()));
        let group = Group::new(members).expect("each key once");
        let first = group.first().clone();
        match engine.ask(&first, Op::AcquireAll(group), sent, limit).await {
            Ok(Reply::AllGranted { fences }) if fences.len() == attempts.len() => {
                let replies = fences.into_iter().map(|fence| Reply::Granted { fence });
                self.granted(replies, sent)
            }
            Ok(Reply::Blocked { key, by }) => self.blocked(key, *by, sent),
            // Nobody knows the meaning, so each key is withdrawn.
            Ok(other) => {
                let failing = engine.failing(Operation::Acquire, &first);
                Err(Failure::Refused(failing.by_refusal(&other)))
            }
            Err(failure) => Err(self.failed(failure, sent)),
        }
    }

    fn granted(
        &mut self,
        replies: impl Iterator<Item = Reply>,
        sent: Moment,
    ) -> Result<All, Failure> {
        let (mut held, mut failed) = (Vec::with_capacity(self.attempts.len()), None);
        for (attempt, reply) in self.attempts.iter_mut().zip(replies) {
            match attempt.hear(Ok(reply), sent) {
                Ok(Tried::Granted(entry)) => held.push(entry),
                Ok(Tried::Busy { .. }) => unreachable!("it was granted"),
                Err(failure) => _ = failed.get_or_insert(failure),
            }
        }
        let Some(failure) = failed else { return Ok(All::Granted(held)) };
        held.iter().for_each(|entry| let_go(self.engine, entry));
        Err(failure)
    }

    /// None was granted, because of one key.
    fn blocked(&mut self, key: Key, by: Reply, sent: Moment) -> Result<All, Failure> {
        let by = match by {
            Reply::Unknown(_) => match StoreError::unless_failed(by) {
                Err(failure) => return Err(self.failed(failure, sent)),
                Ok(by) => by,
            },
            by => by,
        };
        let mut told = None;
        for attempt in &mut self.attempts {
            if *attempt.key() == key {
                told = Some(attempt.hear(Ok(by.clone()), sent));
            } else {
                attempt.request_is_over();
            }
        }
        match told {
            Some(Ok(Tried::Busy { seen, .. })) => Ok(All::Blocked { key, seen }),
            Some(Err(failure)) => Err(failure),
            Some(Ok(Tried::Granted(entry))) => {
                let_go(self.engine, &entry);
                Err(Failure::Refused(self.nonsense(&key, &by)))
            }
            None => Err(Failure::Refused(self.nonsense(&key, &by))),
        }
    }

    /// The store has failed, for every key.
    fn failed(&mut self, failure: StoreError, sent: Moment) -> Failure {
        for attempt in &mut self.attempts {
            let _same = attempt.hear(Err(failure.clone()), sent);
        }
        Failure::Store(failure)
    }

    fn nonsense(&self, key: &Key, by: &Reply) -> Error {
        self.engine.failing(Operation::Acquire, key).by_reply(by)
    }

    fn into_held(self, held: Vec<LeaseEntry>) -> Vec<LeaseEntry> {
        let pairs = self.attempts.into_iter().zip(held);
        pairs.map(|(attempt, entry)| attempt.into_held(entry)).collect()
    }

    /// The store has failed. The claims are withdrawn when this is dropped.
    fn unknown(&self, failure: StoreError) -> Error {
        self.attempts[0].unknown(failure)
    }
}
