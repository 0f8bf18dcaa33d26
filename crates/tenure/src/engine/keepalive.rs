//! Renews leases, sends heartbeats and cleanups in batches, and ends what has expired. It never
//! waits for a call: calls run beside it. Should it be held up, the schedule's bell still tells of
//! leases that expire.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::protocol::{Op, Reply, Request};
use crate::runtime::{Moment, shielded};
use crate::store::{Links, Push, StoreError, StoreErrorClass};
use crate::types::{Error, Fence, Operation};

use super::cleanup::Cleanup;
use super::core::Engine;
use super::handoff_budget::HandoffBudget;
use super::lease::LeaseState;
use super::refusal;
use super::rounds::Rounds;
use super::schedule::{Timer, TimerId};
use super::waiter::Waiter;
use crate::mutants::{self, Mutant};
use crate::observe;
use crate::protocol::validity;
use crate::types::LostReason;

/// How many steps travel in one call.
const BATCH: usize = 1_000;
/// How far the keepalive task looks ahead for what may as well be done now.
const HORIZON: Duration = Duration::from_secs(10);
/// How soon the keepalive task goes on after a panic.
const AFTER_PANIC: Duration = Duration::from_millis(10);
/// How often the head of a queue looks where the store cannot push.
const TIMED_LOOK: Duration = Duration::from_millis(50);

/// What travels in a batch, and what its reply is for.
enum Errand {
    /// And for what ttl.
    Renewal(TimerId, Asking, Duration),
    Heartbeat(TimerId, Arc<Waiter>),
    Cleanup(TimerId, Arc<Cleanup>),
}

/// A renewal that is under way.
struct Asking(Arc<LeaseState>);

impl Asking {
    fn of(lease: Arc<LeaseState>) -> Self {
        lease.asking.fetch_add(1, Ordering::AcqRel);
        Self(lease)
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.asking.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Runs until the engine is gone.
pub(crate) async fn run(
    engine: Weak<Engine>,
    changed: Arc<Notify>,
    mut links: Option<watch::Receiver<Links>>,
    gone: CancellationToken,
) {
    let mut known = Links::default();
    loop {
        let Some((turned, runtime)) = engine.upgrade().map(|engine| {
            let turned = shielded(|| run_due(&engine));
            (turned, Arc::clone(&engine.runtime))
        }) else {
            return;
        };
        if turned.is_none() {
            // A defect must not end the keeping of leases, nor take all of a processor.
            runtime.sleep_until(runtime.now() + AFTER_PANIC).await;
            continue;
        }
        drop(runtime);
        tokio::select! {
            biased;
            () = gone.cancelled() => return,
            () = changed.notified() => {}
            now = become_of(&mut links) => {
                let before = std::mem::replace(&mut known, now);
                if let Some(engine) = engine.upgrade() {
                    shielded(|| revalidate_all(&engine, now.cut > before.cut));
                }
            }
        }
    }
}

/// What has become of the links when that changes; never, where there are none.
async fn become_of(links: &mut Option<watch::Receiver<Links>>) -> Links {
    if let Some(receiver) = links {
        if receiver.changed().await.is_ok() {
            return *receiver.borrow_and_update();
        }
        *links = None;
    }
    std::future::pending().await
}

/// The store may have forgotten: all leases are verified, and all waiters look. After a cut that
/// brings about the next link; a renewal that then waits for the link is not sent once more when
/// it is made.
fn revalidate_all(engine: &Arc<Engine>, is_cut: bool) {
    let now = engine.now();
    for (id, timer) in engine.schedule.all() {
        let Timer::Lease(lease) = timer else { continue };
        if is_cut || lease.asking.load(Ordering::Acquire) == 0 {
            lease.renew_at(now);
            engine.schedule.move_to(id, now);
        }
    }
    engine.look_again();
}

/// Does what is due.
fn run_due(engine: &Arc<Engine>) {
    let now = engine.now();
    engine.turned_at.store(now.as_micros(), Ordering::Release);
    let mut errands = Vec::new();
    let mut due = engine.schedule.due(now);
    if due.iter().any(|(_, _, timer)| !matches!(timer, Timer::Cleanup(_))) {
        // Something goes out anyway: take along what is due soon.
        due = engine.schedule.due(now + HORIZON);
    }
    let rounds = Rounds::of(&due, now);
    for (at, id, timer) in due {
        let is_due = at <= now;
        match timer {
            Timer::Lease(lease) => visit_lease(engine, id, lease, (now, is_due), &mut errands),
            Timer::Waiter(waiter) => {
                let every = waiter.lease_options.heartbeat();
                if rounds.takes_along(at, every) {
                    engine.schedule.move_to(id, rounds.next(every));
                    let step = waiter.heartbeat(now);
                    errands.extend(step.map(|step| (step, Errand::Heartbeat(id, waiter))));
                }
            }
            Timer::Cleanup(cleanup) if is_due => {
                if now > cleanup.until {
                    observe::gave_up_undoing(&*engine.runtime, &cleanup.key);
                    engine.cleaned_up(id);
                    continue;
                }
                // Until it is answered, or its call fails.
                engine
                    .schedule
                    .move_to(id, now + engine.options.store_timeout + Duration::from_secs(1));
                let step = Request { key: cleanup.key.clone(), op: cleanup.op.clone() };
                errands.push((step, Errand::Cleanup(id, cleanup)));
            }
            Timer::Cleanup(_) => {}
        }
    }
    while !errands.is_empty() {
        let rest = errands.split_off(errands.len().min(BATCH));
        send(engine, std::mem::replace(&mut errands, rest), now);
    }
    engine.schedule.rest(now);
}

fn visit_lease(
    engine: &Arc<Engine>,
    id: TimerId,
    lease: Arc<LeaseState>,
    (now, is_due): (Moment, bool),
    errands: &mut Vec<(Request, Errand)>,
) {
    if is_due && now >= lease.alarm() {
        if mutants::is_set(Mutant::AlarmWaitsForCall) {
            return engine.schedule.move_to(id, Moment::NEVER);
        }
        lease.lose(lease.expiry());
    }
    if !lease.is_held() {
        engine.schedule.leave(id);
        return;
    }
    let early = lease.lease_options.renew_every.unwrap_or_default() / 4;
    if now + early >= lease.next_renewal() {
        // Should the call hang, the next one does not wait for it.
        let next = now + retry_pause(&lease, now) * 3;
        lease.renew_at(next);
        let ttl = lease.renewal();
        lease.asks(now, ttl);
        let op = Op::Renew { owner: lease.owner.clone(), ttl };
        let step = Request { key: lease.key.clone(), op };
        engine.schedule.move_to(id, next.min(lease.alarm()));
        errands.push((step, Errand::Renewal(id, Asking::of(lease), ttl)));
    } else if is_due {
        engine.schedule.move_to(id, lease.next_renewal().min(lease.alarm()));
    }
}

/// How long to wait after a renewal that failed: several tries must fit before the deadline.
fn retry_pause(lease: &LeaseState, now: Moment) -> Duration {
    let every = lease.lease_options.renew_every.unwrap_or(lease.lease_options.ttl / 3);
    let left = lease.deadline().since(now);
    (every / 8).min(left / 8).clamp(Duration::from_millis(1), Duration::from_secs(1))
}

/// Sends a batch beside the keepalive task and carries each reply to whom it is for.
fn send(engine: &Arc<Engine>, errands: Vec<(Request, Errand)>, sent: Moment) {
    let (steps, errands): (Vec<_>, Vec<_>) = errands.into_iter().unzip();
    let this = Arc::clone(engine);
    engine.runtime.spawn(Box::pin(async move {
        match this.call(steps, sent + this.options.store_timeout).await {
            Ok(replies) => {
                let renewed = replies.iter().filter(|reply| **reply == Reply::Renewed).count();
                observe::renewals(&*this.runtime, &this.name, renewed);
                for (errand, reply) in errands.into_iter().zip(replies) {
                    // It wakes tasks of the program.
                    shielded(|| answered(&this, errand, reply, sent));
                }
            }
            Err(failure) => {
                for errand in errands {
                    shielded(|| failed(&this, errand, &failure));
                }
            }
        }
    }));
}

fn answered(engine: &Arc<Engine>, errand: Errand, reply: Reply, sent: Moment) {
    if let Errand::Heartbeat(id, waiter) = errand {
        return heartbeat_answered(engine, id, &waiter, reply, sent);
    }
    let reply = match StoreError::unless_failed(reply) {
        Ok(reply) => reply,
        Err(failure) => return failed(engine, errand, &failure),
    };
    match errand {
        Errand::Renewal(id, asking, ttl) => {
            renewal_answered(engine, id, &asking.0, &reply, (sent, ttl));
        }
        Errand::Heartbeat(..) => {}
        Errand::Cleanup(id, cleanup) => {
            let first = engine.local_queue.first(&cleanup.key).filter(|_| cleanup.recheck_queue);
            if let Some((waiter, _)) = first {
                engine.schedule.move_to(waiter, engine.now());
            }
            engine.cleaned_up(id);
            engine.polls.freed(&cleanup.key);
        }
    }
}

fn renewal_answered(
    engine: &Arc<Engine>,
    id: TimerId,
    lease: &Arc<LeaseState>,
    reply: &Reply,
    (sent, ttl): (Moment, Duration),
) {
    match reply {
        Reply::Renewed => {
            let from = if mutants::is_set(Mutant::ValidityFromReply) { engine.now() } else { sent };
            lease.confirm(from, ttl, engine.now());
            observe::renewed(&*engine.runtime, &lease.key, lease.fence);
            let next = lease.lease_options.renew_every.map_or(Moment::NEVER, |every| sent + every);
            lease.renew_at(next);
            engine.schedule.move_to(id, next.min(lease.alarm()));
        }
        _ if mutants::is_set(Mutant::IgnoreGone) => {}
        // The store has answered, and has no such lease: final at once.
        _ => {
            lease.lose(LostReason::Gone);
            engine.schedule.leave(id);
        }
    }
}

/// What became of a heartbeat that was sent at `sent`.
pub(super) fn heartbeat_answered(
    engine: &Arc<Engine>,
    id: TimerId,
    waiter: &Arc<Waiter>,
    reply: Reply,
    sent: Moment,
) {
    match reply {
        Reply::Granted { fence } => {
            let from = if mutants::is_set(Mutant::ValidityFromReply) { engine.now() } else { sent };
            hand_over(engine, waiter, fence, (from, waiter.lease_options.ttl), 1);
        }
        Reply::Queued { ahead, look_in, blocker } => {
            let now = engine.now();
            waiter.queued(blocker, now, engine.backoff());
            // When its next heartbeat is due at the latest was settled when this one was sent.
            let mut look = now + look_in;
            if waiter.acquire.queue.as_ref().is_none_or(|q| q.inbox.is_none()) {
                look = look.min(sent + TIMED_LOOK * ahead.saturating_add(1));
            }
            engine.schedule.bring_forward(id, look);
        }
        Reply::Unknown(why) => put_off(engine, id, waiter, Some(&why)),
        // It keeps its place in line, here or at the store, until there is room again.
        Reply::Full(_) if waiter.is_in_line() => put_off(engine, id, waiter, None),
        other => {
            end_waiting(engine, waiter, refusal::of(engine, &waiter.key, other));
        }
    }
}

/// A heartbeat brought nothing; the next is sent a little later than the last.
fn put_off(engine: &Engine, id: TimerId, waiter: &Waiter, failure: Option<&str>) {
    let pause = waiter.put_off(engine.jitter(), failure);
    engine.schedule.move_to(id, engine.now() + pause);
}

/// A waiter waits in vain. What it asked for is withdrawn at once: its caller may take its time
/// to hear of it.
fn end_waiting(engine: &Arc<Engine>, waiter: &Arc<Waiter>, error: Error) {
    waiter.fail(error);
    engine.withdraw_if_asked(waiter);
    engine.leave_waiter(&waiter.acquire.owner);
}

/// A waiter has its lease: it goes from the queue's care into the lease's.
fn hand_over(
    engine: &Arc<Engine>,
    waiter: &Arc<Waiter>,
    fence: Fence,
    (sent, span): (Moment, Duration),
    answers: u32,
) {
    let owner = &waiter.acquire.owner;
    let granted = (sent, span);
    let now = engine.now();
    let budget = waiter.budget().unwrap_or(HandoffBudget::first(now));
    // The lease comes before the waiter leaves: whoever closes meanwhile finds one of the two.
    let held =
        engine.enter_lease(&waiter.key, owner, fence, waiter.lease_options, granted, (now, budget));
    engine.grant_waiter(owner, waiter.lease_options, (now, budget));
    if !waiter.grant(&held, answers) {
        // Its caller has given up and withdraws, or was granted by a push just before.
        engine.let_go(&held);
        engine.hurry_next(&waiter.key);
    }
}

/// A push: trusted only as far as the heartbeat that it echoes reaches.
pub(crate) fn push_arrived(engine: &Arc<Engine>, push: &Push) {
    let Some((id, waiter)) = engine.local_queue.at_store(&push.owner) else { return };
    let Some(claim_lease) = waiter.acquire.claim_lease() else { return };
    let now = engine.now();
    let sent =
        if mutants::is_set(Mutant::StalePush) { Some(now) } else { waiter.sent_at(push.stamp) };
    let slack = validity::slack(waiter.lease_options.ttl);
    let useful = sent.filter(|sent| now + slack < validity::deadline(*sent, claim_lease));
    match useful {
        Some(sent) => hand_over(engine, &waiter, push.fence, (sent, claim_lease), 0),
        // Too old to be trusted, but a reason to look.
        None => engine.schedule.move_to(id, now),
    }
}

fn failed(engine: &Arc<Engine>, errand: Errand, failure: &StoreError) {
    let now = engine.now();
    match errand {
        Errand::Renewal(id, asking, _) => {
            let lease = &asking.0;
            let pause = retry_pause(lease, now);
            let jitter = f64::from(engine.jitter()) / f64::from(u32::MAX);
            let next = now + pause + pause.mul_f64(jitter);
            lease.renew_at(next);
            engine.schedule.move_to(id, next.min(lease.alarm()));
        }
        Errand::Heartbeat(id, waiter) => {
            let passes = match failure.class {
                StoreErrorClass::Transient => true,
                StoreErrorClass::Full => waiter.is_in_line(),
                _ => false,
            };
            if passes {
                put_off(engine, id, &waiter, Some(&failure.message));
            } else {
                let (key, failure) = (&waiter.key, failure.clone());
                let error = engine.store_error(Operation::Acquire, key, failure, true);
                end_waiting(engine, &waiter, error);
            }
        }
        Errand::Cleanup(id, cleanup) => {
            let mut backoff =
                cleanup.backoff.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            engine.schedule.move_to(id, now + backoff.next(engine.jitter()));
        }
    }
}
