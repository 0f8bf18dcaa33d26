//! A claim that stands in line: its heartbeats, and what became of it.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::protocol::{Acquire, Backoff, Blocker, Op, Queueing, Request};
use crate::runtime::{Moment, shielded};
use crate::types::{Error, Key};

use super::handoff_budget::HandoffBudget;
use super::lease::LeaseEntry;
use super::options::LeaseOptions;

/// Pushes that answer an older heartbeat than the last so many are worth nothing.
const STAMPS_KEPT: usize = 16;

#[derive(Debug)]
pub(crate) struct Waiter {
    pub(crate) key: Key,
    /// What is sent with every heartbeat, but for the stamp.
    pub(crate) acquire: Acquire,
    pub(crate) lease_options: LeaseOptions,
    state: Mutex<State>,
    pub(crate) done: Notify,
}

#[derive(Debug)]
struct State {
    stamp: u64,
    /// When each of the last heartbeats was sent, the newest last.
    sent: VecDeque<(u64, Moment)>,
    /// Requests whose reply has not arrived.
    unanswered: u32,
    backoff: Backoff,
    blocker: Option<(Blocker, Moment)>,
    /// Since the first heartbeat that no answer has followed.
    silence: Option<Silence>,
    /// The turn of this process that a grant belongs to; `None`: it begins one.
    budget: Option<HandoffBudget>,
    /// Whether it has stood in line, here or at the store.
    is_in_line: bool,
    outcome: Outcome,
}

/// A store that does not answer.
#[derive(Debug, Clone)]
pub(crate) struct Silence {
    /// When the first request was sent that no answer has followed.
    pub(crate) since: Moment,
    /// Why the last request has no answer, if that is known.
    pub(crate) failure: Option<Arc<str>>,
}

/// What became of the claim.
#[derive(Debug)]
enum Outcome {
    Waiting,
    Granted(LeaseEntry),
    Failed(Error),
    /// The caller has its answer, or has given up.
    Taken,
}

impl Waiter {
    /// A waiter that has not asked for its place yet; so many requests of its owner were sent
    /// before and never answered.
    pub(crate) fn new(
        key: Key,
        acquire: Acquire,
        lease_options: LeaseOptions,
        unanswered: u32,
        backoff: Backoff,
        blocker: Option<(Blocker, Moment)>,
    ) -> Self {
        let state = State {
            stamp: 0,
            sent: VecDeque::new(),
            unanswered,
            backoff,
            blocker,
            silence: None,
            budget: None,
            is_in_line: false,
            outcome: Outcome::Waiting,
        };
        Self { key, acquire, lease_options, state: Mutex::new(state), done: Notify::new() }
    }

    /// The next heartbeat, to be sent at `now`; `None` if it waits no more.
    pub(crate) fn heartbeat(&self, now: Moment) -> Option<Request> {
        let mut state = self.state();
        if !matches!(state.outcome, Outcome::Waiting) {
            return None;
        }
        state.stamp += 1;
        state.unanswered += 1;
        state.silence.get_or_insert(Silence { since: now, failure: None });
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
    pub(crate) fn sent_at(&self, stamp: u64) -> Option<Moment> {
        self.state().sent.iter().find(|(s, _)| *s == stamp).map(|(_, sent)| *sent)
    }

    /// A heartbeat was answered: it stands in line.
    pub(crate) fn queued(&self, blocker: Option<Blocker>, now: Moment, fresh: Backoff) {
        let mut state = self.state();
        state.unanswered = state.unanswered.saturating_sub(1);
        state.blocker = blocker.map(|b| (b, now));
        state.silence = None;
        state.backoff = fresh;
        state.is_in_line = true;
    }

    /// A heartbeat brought nothing; `failure` says why it has no answer, if it has none. Answers
    /// how long to wait before the next.
    pub(crate) fn put_off(&self, random: u32, failure: Option<&str>) -> Duration {
        let mut state = self.state();
        match (failure, &mut state.silence) {
            (Some(failure), Some(silence)) => silence.failure = Some(failure.into()),
            (Some(_), None) => {}
            (None, _) => {
                state.unanswered = state.unanswered.saturating_sub(1);
                state.silence = None;
            }
        }
        state.backoff.next(random)
    }

    /// It stands in line from here on: behind others of this process.
    pub(crate) fn stand_behind(&self) {
        self.state().is_in_line = true;
    }

    /// Whether it has stood in line, here or at the store.
    pub(crate) fn is_in_line(&self) -> bool {
        self.state().is_in_line
    }

    /// The turn of this process that a grant from now on belongs to, unless it begins one.
    pub(crate) fn set_budget(&self, budget: Option<HandoffBudget>) {
        self.state().budget = budget;
    }

    pub(crate) fn budget(&self) -> Option<HandoffBudget> {
        self.state().budget
    }

    /// The one in front of it has asked since then without an answer.
    pub(crate) fn inherit_silence(&self, silence: Option<Silence>) {
        let mut state = self.state();
        if state.silence.is_none() {
            state.silence = silence;
        }
    }

    /// How the store leaves it without an answer.
    pub(crate) fn silence(&self) -> Option<Silence> {
        self.state().silence.clone()
    }

    /// Who was last seen in the way, and when.
    pub(crate) fn blocker(&self) -> Option<(Blocker, Moment)> {
        self.state().blocker.clone()
    }

    /// Hands it the lease, if it still waits. `answers` says how many of its own requests this
    /// answers: a push answers none.
    pub(crate) fn grant(&self, held: &LeaseEntry, answers: u32) -> bool {
        let mut state = self.state();
        state.unanswered = state.unanswered.saturating_sub(answers);
        if !matches!(state.outcome, Outcome::Waiting) {
            return false;
        }
        held.lease.needs_tombstone.store(state.unanswered > 0, Ordering::Release);
        state.outcome = Outcome::Granted(held.clone());
        drop(state);
        self.tell();
        true
    }

    /// Ends the waiting with an error.
    pub(crate) fn fail(&self, error: Error) {
        let mut state = self.state();
        if matches!(state.outcome, Outcome::Waiting) {
            state.outcome = Outcome::Failed(error);
            drop(state);
            self.tell();
        }
    }

    /// Takes the answer, once.
    pub(crate) fn take(&self) -> Option<Result<LeaseEntry, Error>> {
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
    pub(crate) fn give_up(&self) -> Option<LeaseEntry> {
        match std::mem::replace(&mut self.state().outcome, Outcome::Taken) {
            Outcome::Granted(held) => Some(held),
            Outcome::Waiting | Outcome::Failed(_) | Outcome::Taken => None,
        }
    }

    /// Whether the store was ever asked for its place, or may yet be by an earlier request.
    pub(crate) fn has_asked(&self) -> bool {
        let state = self.state();
        state.stamp > 0 || state.unanswered > 0
    }

    /// Whether a request is under way. Once it waits no more, none is sent.
    pub(crate) fn may_arrive(&self) -> bool {
        self.state().unanswered > 0
    }

    /// Whoever brings the news, such as a holder that releases, does not suffer from a waker.
    fn tell(&self) {
        shielded(|| self.done.notify_one());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
