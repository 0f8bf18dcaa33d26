//! Acquiring: one owner per attempt, and no attempt that leaves a trace when it fails, times out
//! or is dropped.

use std::sync::Arc;
use std::time::Duration;

use crate::process::of_process;
use crate::protocol::{Acquire, Blocker, FenceRule, Op, Queueing, Reply};
use crate::runtime::Moment;
use crate::store::{StoreError, StoreErrorClass};
use crate::types::{Error, ErrorKind, Operation, Owner, Result};

use super::core::Engine;
use super::guard::Guard;
use super::handoff_budget::HandoffBudget;
use super::in_flight::Tracked;
use super::lease::LeaseEntry;
use super::options::AcquireOptions;
use super::poll;
use super::refusal;
use super::taker::Taker;
use super::waiter::Waiter;
use crate::mutants::{self, Mutant};
use crate::observe;
use crate::observe::within;
use crate::protocol::validity;

/// However short the wait is, the store gets so long to answer at all.
pub(super) const CONTACT_MIN: Duration = Duration::from_millis(100);
/// A waiter whose inbox does not open within so long waits by timed looks.
const INBOX_PATIENCE: Duration = Duration::from_secs(1);
/// Who waits so long, without limit, may be waiting for itself.
const SUSPICION: Duration = Duration::from_secs(1);

/// One look: a guard, or `None` if others have the key.
pub(crate) async fn try_acquire(
    engine: &Arc<Engine>,
    options: &AcquireOptions,
) -> Result<Option<Guard>> {
    let span = observe::acquiring(&engine.name, &options.key);
    within(span, look_once(engine, options)).await
}

async fn look_once(engine: &Arc<Engine>, options: &AcquireOptions) -> Result<Option<Guard>> {
    let mut attempt = Attempt::new(engine, options)?;
    match attempt.look(Moment::NEVER).await {
        Ok(Look::Granted(held)) => Ok(Some(attempt.into_guard(held))),
        // Nobody has it: that is no answer to whether others do.
        Ok(Look::Busy {
            blocker: Some(Blocker { guarded: Some(guarded), report, .. }), ..
        }) => Err(refusal::guarded(engine, &options.key, guarded, report.as_deref())),
        Ok(Look::Busy { .. }) => {
            observe::busy(&engine.name, &options.key, Duration::ZERO);
            Ok(None)
        }
        Ok(Look::Refused(error)) => Err(error),
        Err(failure) => Err(attempt.unknown(failure)),
    }
}

/// Stands in line until it is granted, or the time limit is over.
pub(crate) async fn acquire(engine: &Arc<Engine>, options: &AcquireOptions) -> Result<Guard> {
    let span = observe::acquiring(&engine.name, &options.key);
    if engine.store.capabilities().fifo {
        return within(span, wait(engine, options)).await;
    }
    let granted = within(span, of_process(poll::acquire(engine, options))).await;
    granted.unwrap_or_else(|_| Err(engine.forked(Operation::Acquire, Some(&options.key))))
}

async fn wait(engine: &Arc<Engine>, options: &AcquireOptions) -> Result<Guard> {
    let started = engine.now();
    let give_up = options.wait.map_or(Moment::NEVER, |wait| started + wait);
    loop {
        let mut attempt = Attempt::new(engine, options)?;
        attempt.started = started;
        let is_behind = attempt.is_behind_others();
        let contact =
            if is_behind { Contact::Busy(None) } else { attempt.first_contact(give_up).await? };
        let held = match contact {
            Contact::Granted(held) => held,
            Contact::Busy(seen) if engine.now() >= give_up => {
                return Err(attempt.busy(seen, started));
            }
            Contact::Busy(seen) => {
                let granted = of_process(attempt.stand_in_line(seen, started, give_up)).await;
                let forked = |_| engine.forked(Operation::Acquire, Some(&options.key));
                granted.map_err(forked)??
            }
        };
        // While this task did not run, the lease may have ended: then start afresh.
        if held.lease.verdict(engine.now()).is_ok() {
            return Ok(attempt.into_guard(held));
        }
        // What is left of it is withdrawn.
        drop(attempt);
        engine.let_go(&held);
    }
}

/// Takes the lock from whoever holds it, ahead of the line.
pub(crate) async fn steal(engine: &Arc<Engine>, options: &AcquireOptions) -> Result<Guard> {
    take(engine, options, Way::Steal).await
}

/// Takes over the lease of `from`, who has let go of it.
pub(crate) async fn adopt(
    engine: &Arc<Engine>,
    options: &AcquireOptions,
    from: Owner,
) -> Result<Guard> {
    take(engine, options, Way::Adopt(from)).await
}

async fn take(engine: &Arc<Engine>, options: &AcquireOptions, way: Way) -> Result<Guard> {
    let started = engine.now();
    let mut attempt = Attempt::new(engine, options)?;
    attempt.way = way;
    match attempt.first_contact(Moment::NEVER).await? {
        Contact::Granted(held) => Ok(attempt.into_guard(held)),
        Contact::Busy(seen) => Err(attempt.busy(seen, started)),
    }
}

/// The claim of one owner, from the first request to the guard. What is dropped before that is
/// withdrawn.
#[derive(Debug)]
pub(super) struct Attempt<'a> {
    engine: &'a Arc<Engine>,
    options: &'a AcquireOptions,
    /// When the waiting began.
    pub(super) started: Moment,
    owner: Owner,
    way: Way,
    /// Requests whose reply has not arrived.
    unanswered: u32,
    /// In line, once it stands there.
    waiter: Option<Arc<Waiter>>,
    /// The store may have something of this owner that nobody else looks after.
    tracked: Option<Tracked<'a>>,
}

/// How the claim comes by its lease.
#[derive(Debug)]
enum Way {
    /// When it is free.
    Free,
    /// By force.
    Steal,
    /// From this owner, who hands it over.
    Adopt(Owner),
}

/// What one look at the key found.
pub(super) enum Look {
    Granted(LeaseEntry),
    /// Who is in the way, and after what time it may be free.
    Busy {
        blocker: Option<Blocker>,
        look_in: Duration,
    },
    Refused(Error),
}

/// What the first answer of the store was.
enum Contact {
    Granted(LeaseEntry),
    /// Who was in the way, and when that was seen.
    Busy(Option<(Blocker, Moment)>),
}

impl<'a> Attempt<'a> {
    pub(super) fn new(engine: &'a Arc<Engine>, options: &'a AcquireOptions) -> Result<Self> {
        if engine.is_closed() {
            let error = engine.error(Operation::Acquire, &options.key, ErrorKind::Closed);
            return Err(error("this Locks was closed; connect again".into()));
        }
        engine.check_key(Operation::Acquire, &options.key)?;
        if let Err(message) = options.fits(engine.store.capabilities()) {
            let error = engine.error(Operation::Acquire, &options.key, ErrorKind::Invalid);
            return Err(error(message));
        }
        observe::attempt(&engine.name);
        let owner = engine.random_owner(options.owner.as_deref());
        let started = engine.now();
        Ok(Self {
            engine,
            options,
            started,
            owner,
            way: Way::Free,
            unanswered: 0,
            waiter: None,
            tracked: None,
        })
    }

    /// Whether others of this process wait for the same: nothing is to be had in front of them.
    fn is_behind_others(&self) -> bool {
        let first = self.engine.local_queue.first(&self.options.key);
        self.options.stands_in_line()
            && first.is_some_and(|(_, waiter)| waiter.acquire.claim == self.options.claim)
    }

    /// Asks once, without standing in line.
    pub(super) async fn look(&mut self, limit: Moment) -> Result<Look, StoreError> {
        let Self { engine, options, .. } = *self;
        let sent = engine.now();
        if let Err(closed) = self.track() {
            return Ok(Look::Refused(closed));
        }
        self.unanswered += 1;
        let reply = match engine.ask(&options.key, self.op(), limit).await {
            Ok(reply) => reply,
            Err(failure) => {
                // A request that never ran leaves nothing to withdraw.
                if !failure.may_have_run {
                    self.request_is_over();
                }
                return Err(failure);
            }
        };
        let (Reply::Granted { fence } | Reply::Transferred { fence }) = reply else {
            self.request_is_over();
            return Ok(match reply {
                Reply::Busy { blocker, look_in } => Look::Busy { blocker, look_in },
                other => Look::Refused(refusal::of(engine, &options.key, other)),
            });
        };
        let from = if mutants::is_set(Mutant::ValidityFromReply) { engine.now() } else { sent };
        let lease_options = options.lease_options;
        let now = engine.now();
        if now >= validity::deadline(from, lease_options.ttl) {
            return Err(StoreError {
                class: StoreErrorClass::Transient,
                message: format!(
                    "the answer was read later than the ttl of {:?} after the request: the store \
                     was slow, or this task was not run",
                    lease_options.ttl
                ),
                may_have_run: true,
                source: None,
            });
        }
        self.unanswered -= 1;
        let granted = (from, lease_options.ttl);
        let budget = HandoffBudget::first(now);
        let held = engine.enter_lease(
            &options.key,
            &self.owner,
            fence,
            lease_options,
            granted,
            (now, budget),
        );
        held.lease.needs_tombstone.store(self.unanswered > 0, std::sync::atomic::Ordering::Release);
        if engine.is_closed() {
            let error = engine.error(Operation::Acquire, &options.key, ErrorKind::Closed);
            return Ok(Look::Refused(error("this Locks was closed meanwhile".into())));
        }
        Ok(Look::Granted(held))
    }

    /// A request left no lease. An earlier one may still be under way.
    fn request_is_over(&mut self) {
        self.unanswered -= 1;
        self.tracked = self.tracked.take().filter(|_| self.unanswered > 0);
    }

    /// From here on the store may come to know of this owner. Who closes from here on waits for
    /// what becomes of it.
    fn track(&mut self) -> Result<()> {
        let Self { engine, options, .. } = *self;
        let tracked = self.tracked.take().unwrap_or_else(|| engine.in_flight.track());
        if !engine.is_closed() {
            self.tracked = Some(tracked);
            return Ok(());
        }
        self.tracked = Some(tracked).filter(|_| self.unanswered > 0);
        let error = engine.error(Operation::Acquire, &options.key, ErrorKind::Closed);
        Err(error("this Locks was closed meanwhile".into()))
    }

    /// Polls until the store has answered once.
    async fn first_contact(&mut self, give_up: Moment) -> Result<Contact> {
        let engine = self.engine;
        // Not when the waiting began: whoever starts afresh gets as much time again.
        let started = engine.now();
        let patience =
            give_up.max(started + CONTACT_MIN).min(started + engine.options.store_timeout);
        let mut backoff = engine.backoff();
        let mut heard: Option<StoreError> = None;
        loop {
            match self.look(patience).await {
                Ok(Look::Granted(held)) => return Ok(Contact::Granted(held)),
                Ok(Look::Busy { blocker, .. }) => {
                    return Ok(Contact::Busy(blocker.map(|b| (b, engine.now()))));
                }
                Ok(Look::Refused(error)) => return Err(error),
                Err(failure) => {
                    let now = engine.now();
                    let next = now + backoff.next(engine.jitter());
                    if failure.class != StoreErrorClass::Transient {
                        return Err(self.unknown(failure));
                    }
                    if next >= patience {
                        // What was heard before says more than that the time is over.
                        let told = heard.filter(|_| now >= patience).unwrap_or(failure);
                        return Err(self.unknown(told));
                    }
                    heard = Some(failure);
                    // The next look tells of a fork.
                    let _forked = engine.sleep_until(next).await;
                }
            }
        }
    }

    /// Takes a place in the queue and waits there. The keepalive task sends the heartbeats.
    async fn stand_in_line(
        &mut self,
        seen: Option<(Blocker, Moment)>,
        started: Moment,
        give_up: Moment,
    ) -> Result<LeaseEntry> {
        let Self { engine, options, .. } = *self;
        let inbox = engine.inbox(give_up.min(engine.now() + INBOX_PATIENCE)).await;
        let acquire =
            self.claim(Some(Queueing { window: options.lease_options.window(), stamp: 0, inbox }));
        let (key, backoff) = (options.key.clone(), engine.backoff());
        let waiter =
            Waiter::new(key, acquire, options.lease_options, self.unanswered, backoff, seen);
        let waiter = Arc::new(waiter);
        self.track()?;
        self.waiter = Some(Arc::clone(&waiter));
        engine.enter_waiter(&waiter, options.stands_in_line());
        if engine.is_closed() {
            let error = engine.error(Operation::Acquire, &options.key, ErrorKind::Closed);
            return Err(error("this Locks was closed while waiting".into()));
        }
        // Whoever closes from here on finds the waiter, and withdraws what it has asked for.
        self.tracked = None;
        let mut alarm = engine.runtime.sleep_until(give_up);
        let long = if give_up == Moment::NEVER { started + SUSPICION } else { Moment::NEVER };
        let mut suspicion = engine.runtime.sleep_until(long);
        loop {
            tokio::select! {
                biased;
                () = waiter.done.notified() => {}
                () = &mut alarm => {
                    let queue = &engine.local_queue;
                    let seen = waiter.blocker().or_else(|| queue.blocker(&options.key));
                    let silence = waiter.silence().or_else(|| queue.silence(&options.key));
                    let heartbeat = options.lease_options.heartbeat();
                    let silent = silence
                        .and_then(|s| refusal::silent(engine, &options.key, &s, heartbeat, &seen));
                    return Err(silent.unwrap_or_else(|| self.busy(seen, started)));
                }
                () = &mut suspicion => {
                    suspicion = engine.runtime.sleep_until(Moment::NEVER);
                    self.tell_who_waits_for_itself();
                }
            }
            match waiter.take() {
                Some(Ok(held)) => return Ok(held),
                Some(Err(error)) => {
                    if error.kind() == ErrorKind::Closed {
                        // Closing withdraws what waits.
                        self.waiter = None;
                    }
                    return Err(error);
                }
                None => {}
            }
        }
    }

    /// Without a limit, nobody would ever say so.
    fn tell_who_waits_for_itself(&self) {
        let Self { engine, options, .. } = self;
        if engine.schedule.leases_of(&options.key).iter().any(|lease| lease.is_of(Taker::present()))
        {
            observe::waits_for_itself(&engine.name, &options.key);
        }
    }

    fn op(&self) -> Op {
        match &self.way {
            Way::Free => Op::Acquire(self.claim(None)),
            Way::Steal => Op::Steal(self.claim(None)),
            Way::Adopt(from) => Op::Transfer {
                from: from.clone(),
                to: self.owner.clone(),
                label: self.options.label.clone(),
                ttl: self.options.lease_options.ttl,
            },
        }
    }

    fn claim(&self, queue: Option<Queueing>) -> Acquire {
        let AcquireOptions { label, claim, lease_options, .. } = self.options;
        Acquire {
            owner: self.owner.clone(),
            label: label.clone(),
            claim: *claim,
            ttl: lease_options.ttl,
            queue,
            fence: FenceRule::Mint,
        }
    }

    pub(super) fn into_guard(mut self, held: LeaseEntry) -> Guard {
        (self.waiter, self.tracked) = (None, None);
        held.lease.taken_by(Taker::present());
        // The clock was read for the verdict, and no more: after it nothing may take time.
        let waited = held.lease.since.since(self.started);
        let guard = Guard::new(Arc::clone(self.engine), held);
        observe::granted(&self.engine.name, &self.options.key, guard.fence(), waited);
        guard
    }

    /// The outcome of a look is unknown; the claim is withdrawn when this attempt is dropped.
    pub(super) fn unknown(&self, failure: StoreError) -> Error {
        let may_hold = self.tracked.is_some();
        self.engine.store_error(Operation::Acquire, &self.options.key, failure, may_hold)
    }

    fn busy(&self, seen: Option<(Blocker, Moment)>, started: Moment) -> Error {
        refusal::busy(self.engine, &self.options.key, seen, started)
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
            let request = tracked.take().unwrap_or_else(|| engine.in_flight.track());
            let held = waiter.give_up();
            tracked = Some(request).filter(|_| waiter.has_asked());
            held
        });
        // Before it leaves the books: who closes meanwhile finds it there or here.
        if let Some(tracked) = tracked.filter(|_| !mutants::is_set(Mutant::NoWithdrawal)) {
            let may_arrive = self.unanswered > 0 || waiter.as_ref().is_some_and(|w| w.may_arrive());
            engine.withdraw_later(
                tracked,
                &options.key,
                &self.owner,
                (options.lease_options, may_arrive),
            );
        }
        if waiter.is_some() {
            engine.leave_waiter(&self.owner);
        }
        if let Some(held) = held {
            engine.let_go(&held);
        }
    }
}
