//! Waiting where the store has no queue: ask, stay away for a random pause, ask again. Each try is
//! an attempt of its own with an owner of its own, so a late withdrawal of one never touches the
//! next.
//!
//! Of the tasks of this process that wait for one key, only the first polls. A release by this
//! process ends its pause at once; a release by others does not.

use std::sync::Arc;
use std::time::Duration;

use crate::protocol::{Backoff, Reply};
use crate::runtime::{Moment, timeout};
use crate::store::{StoreError, StoreErrorClass};
use crate::types::{Error, Operation, Result};

use super::Engine;
use super::attempt::{self, Attempt, Failure, Tried, Way};
use super::cleanup::let_go;
use super::contact::CONTACT_MIN;
use super::lease::LeaseEntry;
use super::options::AcquireOptions;
use super::poll_queue::Line;
use super::waiter::Seen;

/// The first and the longest pause between tries. A store that is slow gets longer ones, so that
/// contenders come apart.
const FIRST_STEP: Duration = Duration::from_millis(4);
const LAST_STEP: Duration = Duration::from_millis(100);

/// A task that waits, until it is dropped.
struct Waiting<'a> {
    engine: &'a Arc<Engine>,
    options: &'a AcquireOptions,
    line: Arc<Line>,
    started: Moment,
    give_up: Moment,
}

/// The answers that a task has got so far.
struct Heard {
    /// When its first try was sent.
    begun: Moment,
    /// How long the first answer may take.
    patience: Moment,
    has_contact: bool,
    /// The failure since the last answer.
    failure: Option<StoreError>,
    seen: Option<Seen>,
    /// The pauses while others hold the key, once that is known.
    contention: Option<Backoff>,
    /// The pauses while the store fails.
    outage: Backoff,
}

/// Waits until the lock is granted, or the limit of the wait has passed.
pub(super) async fn acquire(engine: &Arc<Engine>, options: &AcquireOptions) -> Result<LeaseEntry> {
    let started = engine.now();
    let give_up = options.wait.map_or(Moment::NEVER, |wait| started + wait);
    let line = engine.tables.poll_queue().line(&options.key);
    let waiting = Waiting { engine, options, line, started, give_up };
    let _front = match waiting.unless_closed(give_up, waiting.line.front()).await? {
        Some(front) => front,
        None => return Err(waiting.in_vain(None)),
    };
    waiting.poll_until_granted().await
}

impl Waiting<'_> {
    /// Ends with `work`, at `limit`, or with an error when the engine is closed.
    async fn unless_closed<T>(
        &self,
        limit: Moment,
        work: impl Future<Output = T>,
    ) -> Result<Option<T>> {
        let closed = self.engine.tables.poll_queue().closed();
        let work = async {
            tokio::select! {
                biased;
                () = closed => Err(self.failing().by_close()),
                done = work => Ok(done),
            }
        };
        timeout(&*self.engine.runtime, limit, work).await.transpose()
    }

    async fn poll_until_granted(&self) -> Result<LeaseEntry> {
        let Self { engine, options, started, give_up, .. } = *self;
        let begun = engine.now();
        // Minimum time for the first round trip, but not after a wait in line here: the task in
        // front has asked the store.
        let patience = give_up.max(started + CONTACT_MIN).min(begun + engine.options.store_timeout);
        if begun >= patience {
            return Err(self.in_vain(None));
        }
        let mut heard = Heard {
            begun,
            patience,
            has_contact: false,
            failure: None,
            seen: None,
            contention: None,
            outage: engine.backoff(),
        };
        loop {
            let mut attempt = Attempt::new(engine, options, Way::Free, started)?;
            let sent = engine.now();
            let pause = match self.try_once(&mut attempt, sent, heard.limit(give_up)).await {
                Ok(Tried::Granted(held)) => {
                    // While this task did not run, the lease may have ended.
                    if held.lease.verdict(engine.now()).is_ok() {
                        return Ok(attempt.into_held(held));
                    }
                    drop(attempt);
                    let_go(engine, &held);
                    continue;
                }
                Ok(Tried::Busy { seen, look_in, .. }) => {
                    self.check_not_oneself()?;
                    let apart = heard.busy(engine, seen, engine.now().since(sent));
                    if look_in.is_zero() { apart } else { apart.min(look_in) }
                }
                Err(Failure::Refused(error)) => return Err(error),
                Err(Failure::Store(failure)) => self.pause_after(failure, &mut heard, &attempt)?,
            };
            // This withdraws what is left of it.
            drop(attempt);
            if heard.has_contact && heard.failure.is_none() && engine.now() >= give_up {
                return Err(self.in_vain(heard.seen.as_ref()));
            }
            let until = (engine.now() + pause).min(give_up);
            self.unless_closed(until, self.line.freed()).await?;
        }
    }

    /// Asks once, and notes for the whole line whether the store answers.
    async fn try_once(
        &self,
        attempt: &mut Attempt<'_>,
        sent: Moment,
        limit: Moment,
    ) -> Result<Tried, Failure> {
        self.line.silence().asked(sent);
        let tried = attempt.try_once(sent, limit).await;
        match &tried {
            Ok(_) | Err(Failure::Refused(_)) => self.line.silence().answered(),
            Err(Failure::Store(failure)) => self.line.silence().failed(&failure.message),
        }
        tried
    }

    /// How long to stay away after a failure, or the error that ends the wait.
    fn pause_after(
        &self,
        failure: StoreError,
        heard: &mut Heard,
        attempt: &Attempt<'_>,
    ) -> Result<Duration> {
        let now = self.engine.now();
        let has_asked_before = heard.has_contact || heard.begun >= self.started + CONTACT_MIN;
        let seen = heard.seen.as_ref();
        if now >= self.give_up && has_asked_before && heard.failure.is_none() {
            // Only the time is over, unless the store has been silent for long.
            if self.silent(seen).is_none() {
                return Err(self.in_vain(seen));
            }
        }
        let pause = heard.outage.next(self.engine.jitter());
        let is_repeated = match failure.class {
            StoreErrorClass::ReadOnly => heard.has_contact,
            class => class.may_pass(),
        };
        if !is_repeated {
            return Err(attempt.unknown(failure));
        }
        let end = heard.limit(self.give_up);
        if now + pause >= end {
            // An earlier failure tells more than "the time is over".
            let told = heard.failure.take().filter(|_| now >= end).unwrap_or(failure);
            return Err(attempt.unknown(told));
        }
        heard.failure = Some(failure);
        Ok(pause)
    }

    /// A fixed owner value must not wait for its own lease.
    fn check_not_oneself(&self) -> Result<()> {
        let Self { engine, options, .. } = self;
        let Some(value) = &options.owner else { return Ok(()) };
        let leases = engine.tables.leases_of(&options.key);
        if leases.iter().any(|lease| lease.owner.value() == &**value) {
            return Err(self.failing().by_refusal(&Reply::SelfHeld));
        }
        Ok(())
    }

    /// The limit of the wait has passed: others have the key, unless the store has been silent.
    fn in_vain(&self, seen: Option<&Seen>) -> Error {
        let Self { engine, options, started, .. } = self;
        self.silent(seen).unwrap_or_else(|| attempt::busy(engine, &options.key, seen, *started))
    }

    fn silent(&self, seen: Option<&Seen>) -> Option<Error> {
        let silence = self.line.silence().clone();
        self.failing().silent(&silence, LAST_STEP, seen, self.engine.now())
    }

    fn failing(&self) -> super::error::Failing<'_> {
        self.engine.failing(Operation::Acquire, &self.options.key)
    }
}

impl Heard {
    /// The time limit of the next try.
    fn limit(&self, give_up: Moment) -> Moment {
        if self.has_contact { give_up } else { self.patience }
    }

    /// Others have the key, as the store has answered after `took`. Answers how long to stay away.
    fn busy(&mut self, engine: &Engine, seen: Option<Seen>, took: Duration) -> Duration {
        (self.has_contact, self.failure) = (true, None);
        self.seen = seen.or(self.seen.take());
        self.outage = engine.backoff();
        let steps = self
            .contention
            .get_or_insert_with(|| Backoff::new(FIRST_STEP.max(took * 2), LAST_STEP.max(took * 8)));
        steps.apart(engine.jitter())
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.engine.tables.poll_queue().leave(&self.options.key, &self.line);
    }
}
