//! A claim that stands in line: its heartbeats, and how its waiting ends. It sends nothing itself.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::protocol::{Acquire, Backoff, Blocker, Op, Queueing, Request};
use crate::runtime::{Moment, shielded};
use crate::types::{Error, Key};

use super::lease::LeaseEntry;
use super::options::{HandoffBudget, LeaseOptions};

/// Number of heartbeats whose sending time is kept. A push that answers an older one is worthless.
const STAMPS_KEPT: usize = 16;

/// The blocker of a claim, and when the store told of it.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) blocker: Blocker,
    pub(super) at: Moment,
}

impl Seen {
    pub(super) fn new(blocker: Option<Blocker>, at: Moment) -> Option<Self> {
        blocker.map(|blocker| Self { blocker, at })
    }
}

/// The requests to which the store has not answered, if any.
#[derive(Debug, Clone, Default)]
pub(super) struct Silence {
    /// When the first of them was sent.
    since: Option<Moment>,
    /// Why the last one has no answer, if that is known.
    failure: Option<Arc<str>>,
}

impl Silence {
    /// A request is sent.
    pub(super) fn asked(&mut self, now: Moment) {
        self.since.get_or_insert(now);
    }

    /// The store has answered.
    pub(super) fn answered(&mut self) {
        *self = Self::default();
    }

    /// A request will have no answer.
    pub(super) fn failed(&mut self, why: &str) {
        if self.since.is_some() {
            self.failure = Some(why.into());
        }
    }

    pub(super) fn lasts(&self, now: Moment) -> Duration {
        self.since.map_or(Duration::ZERO, |since| now.since(since))
    }

    pub(super) fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// This one, or `other` if there is none.
    pub(super) fn or(self, other: impl FnOnce() -> Self) -> Self {
        if self.since.is_some() { self } else { other() }
    }
}

#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) key: Key,
    /// Sent with every heartbeat, except for the stamp.
    pub(super) acquire: Acquire,
    pub(super) options: LeaseOptions,
    state: Mutex<State>,
    /// Told when the waiting has ended.
    pub(super) done: Notify,
}

#[derive(Debug)]
struct State {
    stamp: u64,
    /// When each of the last heartbeats was sent, the newest last.
    sent: VecDeque<(u64, Moment)>,
    /// Number of requests whose reply has not arrived.
    unanswered: u32,
    backoff: Backoff,
    seen: Option<Seen>,
    silence: Silence,
    /// The budget of a grant by handoff; `None`: a grant begins a new one.
    budget: Option<HandoffBudget>,
    /// Whether it has stood in line, here or at the store.
    is_in_line: bool,
    outcome: Outcome,
}

impl State {
    fn answered(&mut self) {
        self.unanswered = self.unanswered.saturating_sub(1);
        self.silence.answered();
    }
}

/// How the waiting has ended.
#[derive(Debug)]
enum Outcome {
    Waiting,
    Granted(LeaseEntry),
    Failed(Error),
    /// The caller has its answer, or has given up.
    Taken,
}

impl Waiter {
    /// A waiter that has not asked for its place yet. `unanswered` requests of its owner were sent
    /// before and not answered.
    pub(super) fn new(
        key: Key,
        acquire: Acquire,
        options: LeaseOptions,
        unanswered: u32,
        backoff: Backoff,
        seen: Option<Seen>,
    ) -> Self {
        let state = State {
            stamp: 0,
            sent: VecDeque::new(),
            unanswered,
            backoff,
            seen,
            silence: Silence::default(),
            budget: None,
            is_in_line: false,
            outcome: Outcome::Waiting,
        };
        Self { key, acquire, options, state: Mutex::new(state), done: Notify::new() }
    }

    /// The next heartbeat, to be sent at `now`; `None` if it waits no more.
    pub(super) fn heartbeat(&self, now: Moment) -> Option<Request> {
        let mut state = self.state();
        if !matches!(state.outcome, Outcome::Waiting) {
            return None;
        }
        state.stamp += 1;
        state.unanswered += 1;
        state.silence.asked(now);
        let stamp = state.stamp;
        state.sent.push_back((stamp, now));
        if state.sent.len() > STAMPS_KEPT {
            state.sent.pop_front();
        }
        let queue = self.acquire.queue.as_ref().map(|q| Queueing { stamp, ..q.clone() });
        let acquire = Acquire { queue, ..self.acquire.clone() };
        Some(Request { key: self.key.clone(), op: Op::Acquire(acquire) })
    }

    /// When the heartbeat with this stamp was sent; `None` if that was too long ago.
    pub(super) fn sent_at(&self, stamp: u64) -> Option<Moment> {
        self.state().sent.iter().find(|(s, _)| *s == stamp).map(|(_, sent)| *sent)
    }

    /// A heartbeat was answered: it stands in line.
    pub(super) fn queued(&self, seen: Option<Seen>, fresh: Backoff) {
        let mut state = self.state();
        state.answered();
        state.seen = seen;
        state.backoff = fresh;
        state.is_in_line = true;
    }

    /// A heartbeat was answered, and brought no place.
    pub(super) fn refused(&self) {
        self.state().answered();
    }

    /// A heartbeat will have no answer.
    pub(super) fn failed(&self, why: &str) {
        self.state().silence.failed(why);
    }

    /// How long to wait after a heartbeat that brought no place.
    pub(super) fn pause(&self, random: u32) -> Duration {
        self.state().backoff.next(random)
    }

    /// It stands in line from here on: behind others of this process.
    pub(super) fn stand_behind(&self) {
        self.state().is_in_line = true;
    }

    /// Whether it has stood in line, here or at the store.
    pub(super) fn is_in_line(&self) -> bool {
        self.state().is_in_line
    }

    /// The budget of a grant from now on; `None`: it begins a new one.
    pub(super) fn set_budget(&self, budget: Option<HandoffBudget>) {
        self.state().budget = budget;
    }

    pub(super) fn budget(&self) -> Option<HandoffBudget> {
        self.state().budget
    }

    /// The waiter in front has left the store silent to this one too, until it hears otherwise.
    pub(super) fn inherit(&self, silence: Silence) {
        let mut state = self.state();
        state.silence = std::mem::take(&mut state.silence).or(|| silence);
    }

    /// The store has granted it the lease, so the next of its line inherits no silence.
    pub(super) fn granted(&self) {
        self.state().silence.answered();
    }

    pub(super) fn silence(&self) -> Silence {
        self.state().silence.clone()
    }

    /// Its blocker, as last seen.
    pub(super) fn seen(&self) -> Option<Seen> {
        self.state().seen.clone()
    }

    /// Hands it the lease, if it still waits. `answers` is the number of its own requests that
    /// this answers: a push answers none.
    pub(super) fn grant(&self, held: &LeaseEntry, answers: u32) -> bool {
        let mut state = self.state();
        state.unanswered = state.unanswered.saturating_sub(answers);
        if !matches!(state.outcome, Outcome::Waiting) {
            return false;
        }
        held.lease.set_unanswered(state.unanswered);
        state.outcome = Outcome::Granted(held.clone());
        drop(state);
        self.tell();
        true
    }

    /// Ends the waiting with an error, if it still waits.
    pub(super) fn fail(&self, error: Error) -> bool {
        let mut state = self.state();
        if !matches!(state.outcome, Outcome::Waiting) {
            return false;
        }
        state.outcome = Outcome::Failed(error);
        drop(state);
        self.tell();
        true
    }

    /// Takes the outcome, once; `None` while it waits.
    pub(super) fn take(&self) -> Option<Result<LeaseEntry, Error>> {
        let mut state = self.state();
        match std::mem::replace(&mut state.outcome, Outcome::Taken) {
            Outcome::Granted(held) => Some(Ok(held)),
            Outcome::Failed(error) => Some(Err(error)),
            Outcome::Waiting => {
                state.outcome = Outcome::Waiting;
                None
            }
            Outcome::Taken => None,
        }
    }

    /// The caller gives up, and nothing is sent from here on. Answers the lease if it was granted
    /// meanwhile.
    pub(super) fn give_up(&self) -> Option<LeaseEntry> {
        match std::mem::replace(&mut self.state().outcome, Outcome::Taken) {
            Outcome::Granted(held) => Some(held),
            Outcome::Waiting | Outcome::Failed(_) | Outcome::Taken => None,
        }
    }

    /// Whether the store was ever asked for its place, or may yet be by an earlier request.
    pub(super) fn has_asked(&self) -> bool {
        let state = self.state();
        state.stamp > 0 || state.unanswered > 0
    }

    /// Whether a request is under way. Once it waits no more, none is sent.
    pub(super) fn may_arrive(&self) -> bool {
        self.state().unanswered > 0
    }

    /// A waker of the program that panics does not harm the caller, such as a holder that releases.
    fn tell(&self) {
        shielded(|| self.done.notify_one());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
