//! One attempt at a lock: the claim of one owner, from the first request to the lease. An attempt
//! that is dropped before that is withdrawn, so that it leaves nothing at the store.

use std::sync::Arc;
use std::time::Duration;

use crate::mutants;
use crate::observe;
use crate::protocol::{
    Acquire, FenceRule, Guarded, LastRun, Op, Queueing, Reply, Request, Ticks, timing,
};
use crate::runtime::{Moment, answer_by, shown};
use crate::store::{StoreError, StoreErrorClass};
use crate::types::{Error, ErrorKind, Key, Operation, Owner, Result};

use super::Engine;
use super::cleanup::{Requests, let_go, withdraw_later};
use super::contact::FirstContact;
use super::lease::{Grant, LeaseEntry};
use super::options::{AcquireOptions, HandoffBudget};
use super::queue::inbox_address;
use super::tables::Tracked;
use super::waiter::{Seen, Waiter};

/// A waiter whose inbox does not open within this time waits by timed looks.
const INBOX_PATIENCE: Duration = Duration::from_secs(1);
/// After this time, a wait without limit is checked for a task that waits for itself.
const SUSPICION: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Attempt<'a> {
    engine: &'a Arc<Engine>,
    options: &'a AcquireOptions,
    /// When the waiting began.
    started: Moment,
    owner: Owner,
    /// The owners of earlier tries, which got no answer from a quorum. Their requests may still
    /// arrive at its nodes.
    given_up: Vec<Owner>,
    way: Way,
    /// Number of requests whose reply has not arrived.
    unanswered: u32,
    /// Set while it stands in line.
    waiter: Option<Arc<Waiter>>,
    /// Set while the store may have something of this owner that no table knows of.
    tracked: Option<Tracked<'a>>,
}

/// How the claim gets its lease.
#[derive(Debug)]
pub(super) enum Way {
    /// When the key is free.
    Free,
    /// By force, ahead of the line.
    Steal,
    /// From this owner, which has let go of it for that.
    Adopt(Owner),
    /// When the key is free and a run is due.
    Begin(Ticks),
}

/// The store's answer to one request.
#[derive(Debug)]
pub(super) enum Tried {
    Granted(LeaseEntry),
    Busy {
        seen: Option<Seen>,
        /// The key may be free after this time.
        look_in: Duration,
        /// No run is due, because of this one.
        ran: Option<Box<LastRun>>,
    },
}

/// Why one request brought no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// The store has failed, and the fate of the request may be unknown.
    Store(StoreError),
    /// Trying again is of no use.
    Refused(Error),
}

/// Refuses an acquire that this engine and its store cannot carry out.
pub(crate) fn check_acquire(engine: &Engine, options: &AcquireOptions) -> Result<()> {
    let failing = || engine.failing(Operation::Acquire, &options.key);
    if engine.tables.is_closed() {
        return Err(failing().by_close());
    }
    engine.check_key(Operation::Acquire, &options.key)?;
    let fits = options.fits(engine.capabilities());
    fits.map_err(|message| failing().with(ErrorKind::Invalid, message))
}

impl<'a> Attempt<'a> {
    pub(super) fn new(
        engine: &'a Arc<Engine>,
        options: &'a AcquireOptions,
        way: Way,
        started: Moment,
    ) -> Result<Self> {
        check_acquire(engine, options)?;
        observe::attempt(&engine.name);
        let owner = engine.random_owner(options.owner.as_deref());
        Ok(Self {
            engine,
            options,
            started,
            owner,
            given_up: Vec::new(),
            way,
            unanswered: 0,
            waiter: None,
            tracked: None,
        })
    }

    pub(super) fn key(&self) -> &Key {
        &self.options.key
    }

    /// Whether others of this process wait for the same claim, so that asking is of no use.
    pub(super) fn is_behind_others(&self) -> bool {
        let Self { engine, options, .. } = self;
        options.stands_in_line() && engine.tables.is_waited_for(&options.key, options.claim)
    }

    /// Asks once, at `sent`, which is now, without standing in line.
    pub(super) async fn try_once(&mut self, sent: Moment, limit: Moment) -> Result<Tried, Failure> {
        self.begin().map_err(Failure::Refused)?;
        let answer = self.engine.ask_last(self.steps(), sent, limit).await;
        self.hear(answer, sent)
    }

    /// A request is sent for it from here on.
    pub(super) fn begin(&mut self) -> Result<()> {
        self.track()?;
        self.unanswered += 1;
        Ok(())
    }

    /// The store has answered a request that was sent at `sent`.
    pub(super) fn hear(
        &mut self,
        answer: Result<Reply, StoreError>,
        sent: Moment,
    ) -> Result<Tried, Failure> {
        let Self { engine, options, .. } = *self;
        let reply = match answer {
            Ok(reply) => reply,
            Err(failure) => {
                // A request that never ran leaves nothing to withdraw.
                if !failure.may_have_run {
                    self.request_is_over();
                }
                return Err(Failure::Store(failure));
            }
        };
        let (Reply::Granted { fence } | Reply::Transferred { fence }) = reply else {
            self.request_is_over();
            let refused =
                |reply| engine.failing(Operation::Acquire, &options.key).by_refusal(reply);
            return match reply {
                Reply::Busy { blocker, look_in } => {
                    let seen = Seen::new(blocker, engine.now());
                    Ok(Tried::Busy { seen, look_in, ran: None })
                }
                Reply::AlreadyRan(run) => {
                    Ok(Tried::Busy { seen: None, look_in: Duration::ZERO, ran: Some(run) })
                }
                other => Err(Failure::Refused(refused(&other))),
            };
        };
        let sent_at = if mutants::has!(ValidityFromReply) { engine.now() } else { sent };
        let lease_for = options.lease_options.ttl;
        let now = engine.now();
        if now >= timing::deadline(sent_at, lease_for) {
            return Err(Failure::Store(answered_late(lease_for)));
        }
        self.unanswered -= 1;
        let budget = HandoffBudget::new(now, false);
        let grant = Grant { fence, sent_at, lease_for, held_from: now, budget };
        let lease = engine.new_lease(&options.key, &self.owner, options.lease_options, grant);
        let held = engine.tables.enter_lease(lease);
        held.lease.set_unanswered(self.unanswered);
        if engine.tables.is_closed() {
            // The close may not have seen it. This attempt gives it back when it is dropped.
            let_go(engine, &held);
            return Err(Failure::Refused(self.closed()));
        }
        Ok(Tried::Granted(held))
    }

    /// A request left no lease. An earlier one may still be under way.
    pub(super) fn request_is_over(&mut self) {
        self.unanswered -= 1;
        self.tracked = self.tracked.take().filter(|_| self.unanswered > 0);
    }

    /// The store may come to know of this owner from here on, so a close waits from here on.
    fn track(&mut self) -> Result<()> {
        let engine = self.engine;
        let tracked = self.tracked.take().unwrap_or_else(|| engine.track());
        if !engine.tables.is_closed() {
            self.tracked = Some(tracked);
            return Ok(());
        }
        self.tracked = Some(tracked).filter(|_| self.unanswered > 0);
        Err(self.closed())
    }

    /// Repeats the request until the store has answered.
    pub(super) async fn first_contact(&mut self, give_up: Moment) -> Result<Tried> {
        let engine = self.engine;
        let mut contact = FirstContact::new(engine, give_up);
        let mut sent = contact.started;
        loop {
            let failure = match self.try_once(sent, contact.patience).await {
                Ok(tried) => return Ok(tried),
                Err(Failure::Refused(error)) => return Err(error),
                Err(Failure::Store(failure)) => failure,
            };
            let next = contact.failed(failure).map_err(|told| self.unknown(told))?;
            self.give_up_owner();
            // The next try tells of a fork.
            let _forked = engine.sleep_until(next).await;
            sent = engine.now();
        }
    }

    /// The next try over a quorum has a new owner: the quorum withdraws the one that it could not
    /// answer, now or later. A transfer is not withdrawn, and from the first owner that has the
    /// lease no other can take it.
    fn give_up_owner(&mut self) {
        let Self { engine, options, .. } = *self;
        let is_withdrawn = matches!(self.way, Way::Steal | Way::Begin(_));
        if !engine.capabilities().composite || !is_withdrawn || self.unanswered == 0 {
            return;
        }
        let owner = engine.random_owner(options.owner.as_deref());
        let last = std::mem::replace(&mut self.owner, owner);
        if let Some(tracked) = self.tracked.take() {
            let requests = Requests::UnderWay;
            withdraw_later(engine, tracked, &options.key, &last, options.lease_options, requests);
        }
        self.given_up.push(last);
        self.unanswered = 0;
    }

    /// All owners that its requests had.
    pub(super) fn owners(&self) -> impl Iterator<Item = &Owner> {
        self.given_up.iter().chain([&self.owner])
    }

    /// Takes a place in the queue and waits there. The keepalive task sends the heartbeats.
    pub(super) async fn stand_in_line(
        &mut self,
        seen: Option<Seen>,
        give_up: Moment,
    ) -> Result<LeaseEntry> {
        let engine = self.engine;
        let waiter = self.enter_line(seen, give_up).await?;
        // Beside a permit that it holds, a task may wait for that of another.
        let may_wait_for_itself = give_up == Moment::NEVER && self.options.wants_whole_key();
        let mut suspicion = may_wait_for_itself.then_some(self.started + SUSPICION);
        loop {
            let until = suspicion.unwrap_or(give_up);
            let in_time = answer_by(&*engine.runtime, until, waiter.done.notified()).await;
            match waiter.take() {
                Some(Ok(held)) => return Ok(held),
                Some(Err(error)) => {
                    if error.kind() == ErrorKind::Closed {
                        // The close withdraws waiters itself.
                        self.waiter = None;
                    }
                    return Err(error);
                }
                None if in_time.is_some() => {}
                None if suspicion.take().is_some() => self.warn_if_waiting_for_itself(),
                None => return Err(self.waited_in_vain(&waiter)),
            }
        }
    }

    async fn enter_line(&mut self, seen: Option<Seen>, give_up: Moment) -> Result<Arc<Waiter>> {
        let Self { engine, options, .. } = *self;
        let inbox = inbox_address(engine, give_up.min(engine.now() + INBOX_PATIENCE)).await;
        let window = options.lease_options.window();
        let claim = Acquire { queue: Some(Queueing { window, stamp: 0, inbox }), ..self.claim() };
        let (key, backoff) = (options.key.clone(), engine.backoff());
        let waiter = Waiter::new(key, claim, options.lease_options, self.unanswered, backoff, seen);
        let waiter = Arc::new(waiter);
        self.track()?;
        self.waiter = Some(Arc::clone(&waiter));
        engine.tables.enter_waiter(&waiter, options.stands_in_line(), engine.now());
        if engine.tables.is_closed() {
            return Err(self.closed());
        }
        // A close from here on finds the waiter, and withdraws what it has asked for.
        self.tracked = None;
        Ok(waiter)
    }

    /// Warns if this task already holds the lock it waits for.
    fn warn_if_waiting_for_itself(&self) {
        let Self { engine, options, .. } = self;
        let leases = engine.tables.leases_of(&options.key);
        if leases.iter().any(|lease| lease.is_given_to_current_task()) {
            observe::waits_for_itself(&engine.name, &options.key);
        }
    }

    /// The steps of one try. In front of its request stand the withdrawals of earlier tries, so
    /// that no node grants while an earlier request can still take effect there.
    fn steps(&self) -> Vec<Request> {
        let tombstone = self.options.lease_options.tombstone();
        let withdrawal = |owner: &Owner| Op::Withdraw { owner: owner.clone(), tombstone };
        let ops = self.given_up.iter().map(withdrawal).chain([self.op()]);
        ops.map(|op| Request { key: self.options.key.clone(), op }).collect()
    }

    fn op(&self) -> Op {
        match &self.way {
            Way::Free => Op::Acquire(self.claim()),
            Way::Steal => Op::Steal(self.claim()),
            Way::Begin(ticks) => Op::Begin { acquire: self.claim(), ticks: *ticks },
            Way::Adopt(from) => Op::Transfer {
                from: from.clone(),
                to: self.owner.clone(),
                label: self.options.label.clone(),
                ttl: self.options.lease_options.ttl,
            },
        }
    }

    pub(super) fn claim(&self) -> Acquire {
        let AcquireOptions { label, claim, lease_options, value, .. } = self.options;
        Acquire {
            owner: self.owner.clone(),
            label: label.clone(),
            claim: *claim,
            ttl: lease_options.ttl,
            queue: None,
            fence: FenceRule::Mint,
            value: value.clone(),
        }
    }

    /// Its lease is held, and the caller's from here on.
    pub(super) fn into_held(mut self, held: LeaseEntry) -> LeaseEntry {
        (self.waiter, self.tracked) = (None, None);
        held.lease.give_to_current_task();
        // From the times at hand: after the verdict on the lease, nothing may take time.
        let waited = held.lease.held_from.since(self.started);
        observe::granted(&self.engine.name, &self.options.key, held.lease.fence(), waited);
        held
    }

    /// The store has failed. The claim is withdrawn when this is dropped.
    pub(super) fn unknown(&self, failure: StoreError) -> Error {
        let error = self.engine.failing(Operation::Acquire, &self.options.key).by_store(failure);
        error.with_may_hold(self.tracked.is_some() || !self.given_up.is_empty())
    }

    /// The limit of the wait in line has passed.
    fn waited_in_vain(&self, waiter: &Waiter) -> Error {
        let Self { engine, options, .. } = self;
        let first = || engine.tables.first_in_line(&options.key);
        let seen = waiter.seen().or_else(|| first()?.1.seen());
        let silence =
            waiter.silence().or(|| first().map(|(_, first)| first.silence()).unwrap_or_default());
        let heartbeat = options.lease_options.heartbeat();
        let failing = engine.failing(Operation::Acquire, &options.key);
        let silent = failing.silent(&silence, heartbeat, seen.as_ref(), engine.now());
        silent.unwrap_or_else(|| self.busy(seen.as_ref()))
    }

    pub(super) fn busy(&self, seen: Option<&Seen>) -> Error {
        busy(self.engine, &self.options.key, seen, self.started)
    }

    fn closed(&self) -> Error {
        self.engine.failing(Operation::Acquire, &self.options.key).by_close()
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        let Self { engine, options, .. } = *self;
        if !engine.process.is_current() {
            return;
        }
        let mut tracked = self.tracked.take();
        let waiter = self.waiter.take();
        let held = waiter.as_ref().and_then(|waiter| {
            let request = tracked.take().unwrap_or_else(|| engine.track());
            let held = waiter.give_up();
            tracked = Some(request).filter(|_| waiter.has_asked());
            held
        });
        // Before the waiter leaves: a close finds the claim in one table or the other.
        if let Some(tracked) = tracked.filter(|_| !mutants::has!(NoWithdrawal)) {
            // Only a withdrawal leaves the tick to others.
            let begins = matches!(self.way, Way::Begin(_));
            let may_arrive =
                begins || self.unanswered > 0 || waiter.as_ref().is_some_and(|w| w.may_arrive());
            let (key, requests) = (&options.key, Requests::of(may_arrive));
            withdraw_later(engine, tracked, key, &self.owner, options.lease_options, requests);
        }
        if waiter.is_some() {
            engine.tables.leave_waiter(&self.owner, engine.now());
        }
        if let Some(held) = held {
            let_go(engine, &held);
        }
    }
}

/// The limit of a wait has passed: the error names the blocker.
pub(super) fn busy(engine: &Engine, key: &Key, seen: Option<&Seen>, started: Moment) -> Error {
    if let Some(error) = seen.and_then(|seen| guarded(engine, key, seen)) {
        return error;
    }
    let now = engine.now();
    let waited = now.since(started);
    observe::busy(&engine.name, key, waited);
    engine.failing(Operation::Acquire, key).busy(seen, waited, now)
}

/// The error of a key that nobody holds, as far as the store knows, while it grants nothing new.
pub(super) fn guarded(engine: &Engine, key: &Key, seen: &Seen) -> Option<Error> {
    let Guarded { known_for, left } = seen.blocker.guarded?;
    let passed = engine.now().since(seen.at);
    let guarded = Guarded { known_for: known_for + passed, left: left.saturating_sub(passed) };
    let failing = engine.failing(Operation::Acquire, key);
    Some(failing.guarded(guarded, &seen.blocker, engine.runtime.wall_micros()))
}

fn answered_late(ttl: Duration) -> StoreError {
    StoreError {
        class: StoreErrorClass::Transient,
        message: format!(
            "the answer was read later than the ttl of {ttl} after the request: the store was \
             slow, or this task was not run",
            ttl = shown(ttl)
        ),
        may_have_run: true,
        source: None,
    }
}
