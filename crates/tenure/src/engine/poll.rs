//! Waiting where the store has no queue: look, stay away for a random while, look again. Every
//! look is an attempt of its own, with an owner of its own: what is withdrawn late of one can
//! never touch the next.
//!
//! Of those in this process who wait for one key only the first looks; the others stand in line
//! behind it here. A release in this process is told at once; nobody else's is.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::protocol::{Backoff, Blocker};
use crate::runtime::{Moment, shielded};
use crate::store::{StoreError, StoreErrorClass};
use crate::types::{Error, ErrorKind, Key, Operation, Result};

use super::acquire::{Attempt, CONTACT_MIN, Look};
use super::core::Engine;
use super::guard::Guard;
use super::options::AcquireOptions;
use super::refusal;
use super::schedule::Timer;
use super::waiter::Silence;

/// The steps between looks: from a few looks' time on, so that contenders come apart.
const FIRST_STEP: Duration = Duration::from_millis(4);
const LAST_STEP: Duration = Duration::from_millis(100);

/// The lines of this process, key by key.
#[derive(Debug, Default)]
pub(crate) struct Polls {
    /// Only keys for which somebody waits.
    lines: Mutex<HashMap<Key, Arc<Line>>>,
    closed: CancellationToken,
}

#[derive(Debug, Default)]
struct Line {
    /// Fair: whoever has it looks, the others come after.
    fair: tokio::sync::Mutex<()>,
    freed: Notify,
    /// Since the first look that no answer has followed.
    silence: Mutex<Option<Silence>>,
}

impl Line {
    /// A look is sent.
    fn asked(&self, now: Moment) {
        self.silence().get_or_insert(Silence { since: now, failure: None });
    }

    /// What came of a look.
    fn heard(&self, looked: &std::result::Result<Look, StoreError>) {
        let mut silence = self.silence();
        match (looked, silence.as_mut()) {
            (Ok(_), _) => *silence = None,
            (Err(failure), Some(silence)) => {
                silence.failure = Some(failure.message.as_str().into());
            }
            (Err(_), None) => {}
        }
    }

    fn silence(&self) -> MutexGuard<'_, Option<Silence>> {
        self.silence.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Polls {
    /// The key was released by this process.
    pub(crate) fn freed(&self, key: &Key) {
        // Whoever is woken may want the table.
        let line = self.lines().get(key).cloned();
        if let Some(line) = line {
            shielded(|| line.freed.notify_one());
            self.forget_unless_used(key, &line);
        }
    }

    /// Ends all waiting.
    pub(crate) fn close(&self) {
        shielded(|| self.closed.cancel());
    }

    /// Takes the line out of the table if nobody but that and the caller has it.
    fn forget_unless_used(&self, key: &Key, line: &Arc<Line>) {
        let mut lines = self.lines();
        if Arc::strong_count(line) == 2 {
            lines.remove(key);
        }
    }

    fn line(&self, key: &Key) -> Arc<Line> {
        Arc::clone(self.lines().entry(key.clone()).or_default())
    }

    fn lines(&self) -> MutexGuard<'_, HashMap<Key, Arc<Line>>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The first of a line, until it is dropped: that wakes the next.
struct Front<'a>(Option<tokio::sync::MutexGuard<'a, ()>>);

impl Drop for Front<'_> {
    fn drop(&mut self) {
        let fair = self.0.take();
        shielded(|| drop(fair));
    }
}

/// One who waits, until it is dropped.
struct Waiting<'a> {
    engine: &'a Arc<Engine>,
    options: &'a AcquireOptions,
    line: Arc<Line>,
    started: Moment,
    give_up: Moment,
}

/// Waits for the lock until it is granted, or the time limit is over.
pub(super) async fn acquire(engine: &Arc<Engine>, options: &AcquireOptions) -> Result<Guard> {
    let started = engine.now();
    let give_up = options.wait.map_or(Moment::NEVER, |wait| started + wait);
    let line = engine.polls.line(&options.key);
    let waiting = Waiting { engine, options, line, started, give_up };
    let fair = tokio::select! {
        biased;
        fair = waiting.line.fair.lock() => Front(Some(fair)),
        () = engine.polls.closed.cancelled() => return Err(waiting.closed()),
        () = engine.runtime.sleep_until(give_up) => {
            return Err(waiting.in_vain(None));
        }
    };
    let outcome = waiting.poll_until_granted().await;
    drop(fair);
    outcome
}

impl Waiting<'_> {
    async fn poll_until_granted(&self) -> Result<Guard> {
        let Self { engine, options, started, give_up, .. } = *self;
        let begun = engine.now();
        // However short the wait is, the store gets some time; but not after a wait in line here,
        // where those in front have asked it.
        let contact = started + CONTACT_MIN;
        let patience = give_up.max(contact).min(begun + engine.options.store_timeout);
        if begun >= patience {
            return Err(self.in_vain(None));
        }
        let mut last = None;
        let (mut contention, mut outage) = (None, engine.backoff());
        let (mut has_contact, mut heard): (bool, Option<StoreError>) = (false, None);
        loop {
            let mut attempt = Attempt::new(engine, options)?;
            attempt.started = self.started;
            let sent = engine.now();
            let limit = if has_contact { give_up } else { patience };
            self.line.asked(sent);
            let looked = attempt.look(limit).await;
            self.line.heard(&looked);
            let (pause, seen) = match looked {
                Ok(Look::Granted(held)) => {
                    // While this task did not run, the lease may have ended.
                    if held.lease.verdict(engine.now()).is_ok() {
                        return Ok(attempt.into_guard(held));
                    }
                    drop(attempt);
                    engine.let_go(&held);
                    continue;
                }
                Ok(Look::Busy { blocker, look_in }) => {
                    self.check_not_oneself()?;
                    (has_contact, heard) = (true, None);
                    outage = engine.backoff();
                    let took = engine.now().since(sent);
                    let steps = contention.get_or_insert_with(|| {
                        Backoff::new(FIRST_STEP.max(took * 2), LAST_STEP.max(took * 8))
                    });
                    let apart = steps.apart(engine.jitter());
                    let pause = if look_in.is_zero() { apart } else { apart.min(look_in) };
                    (pause, blocker.map(|blocker| (blocker, engine.now())))
                }
                Ok(Look::Refused(error)) => return Err(error),
                Err(_)
                    if engine.now() >= give_up
                        && (has_contact || begun >= contact)
                        && heard.is_none()
                        && self.silent(&last).is_none() =>
                {
                    return Err(self.in_vain(last));
                }
                Err(failure) => {
                    let now = engine.now();
                    let pause = outage.next(engine.jitter());
                    let end = if has_contact { give_up } else { patience };
                    if failure.class != StoreErrorClass::Transient {
                        return Err(attempt.unknown(failure));
                    }
                    if now + pause >= end {
                        // What was heard before says more than that the time is over.
                        let told = heard.filter(|_| now >= end).unwrap_or(failure);
                        return Err(attempt.unknown(told));
                    }
                    heard = Some(failure);
                    (pause, None)
                }
            };
            // What is left of it is withdrawn from here on.
            drop(attempt);
            last = seen.or(last);
            if has_contact && heard.is_none() && engine.now() >= give_up {
                return Err(self.in_vain(last));
            }
            self.backoff_sleep(pause).await?;
        }
    }

    /// Until it is time to look again, or this process has released the key.
    async fn backoff_sleep(&self, pause: Duration) -> Result<()> {
        let Self { engine, line, give_up, .. } = self;
        tokio::select! {
            biased;
            () = engine.polls.closed.cancelled() => Err(self.closed()),
            () = line.freed.notified() => Ok(()),
            () = engine.runtime.sleep_until((engine.now() + pause).min(*give_up)) => Ok(()),
        }
    }

    /// A fixed owner value must not wait for its own lease.
    fn check_not_oneself(&self) -> Result<()> {
        let Some(value) = &self.options.owner else { return Ok(()) };
        let is_mine = |timer: &Timer| match timer {
            Timer::Lease(lease) => lease.key == self.options.key && lease.owner.value() == &**value,
            Timer::Waiter(_) | Timer::Cleanup(_) => false,
        };
        if self.engine.schedule.all().iter().any(|(_, timer)| is_mine(timer)) {
            let reply = crate::protocol::Reply::SelfHeld;
            return Err(refusal::of(self.engine, &self.options.key, reply));
        }
        Ok(())
    }

    /// The limit of the wait is over: others have the key, unless the store has been silent.
    fn in_vain(&self, seen: Option<(Blocker, Moment)>) -> Error {
        self.silent(&seen)
            .unwrap_or_else(|| refusal::busy(self.engine, &self.options.key, seen, self.started))
    }

    fn silent(&self, seen: &Option<(Blocker, Moment)>) -> Option<Error> {
        let silence = self.line.silence().clone()?;
        refusal::silent(self.engine, &self.options.key, &silence, LAST_STEP, seen)
    }

    fn closed(&self) -> Error {
        let error = self.engine.error(Operation::Acquire, &self.options.key, ErrorKind::Closed);
        error("this Locks was closed while waiting".into())
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.engine.polls.forget_unless_used(&self.options.key, &self.line);
    }
}
