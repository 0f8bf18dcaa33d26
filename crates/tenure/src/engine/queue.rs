//! Waiters and the store's queue: when a heartbeat is due, and what its answer or a push brings. It
//! sends nothing: the keepalive task does. A push to this process's inbox is a hint: everything
//! works, only later, if none comes.

use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::mutants;
use crate::observe;
use crate::protocol::{Reply, Request, timing};
use crate::runtime::{Moment, answer_by, shielded};
use crate::store::{Inbox, Push, StoreError, StoreErrorClass};
use crate::types::{Error, Fence, Operation};

use super::cleanup::{close_lease, let_go, withdraw_if_asked};
use super::lease::Grant;
use super::lease::TimerId;
use super::options::HandoffBudget;
use super::waiter::{Seen, Waiter};
use super::{Engine, timed_out};

/// Interval at which the head of a queue looks where the store cannot push. Those behind it look
/// more rarely, in proportion to their place.
const TIMED_LOOK: Duration = Duration::from_millis(50);

/// Delay before the next of a line takes its place at the store, after the one in front was
/// granted. Longer than many locks are held, too short to be noticed: a handoff within this time
/// spares the store that place.
const PLACE_PUT_OFF: Duration = Duration::from_millis(10);

/// The heartbeat that is due at `now`; `None` if the waiter waits no more.
pub(super) fn heartbeat(
    engine: &Engine,
    id: TimerId,
    waiter: &Waiter,
    now: Moment,
) -> Option<Request> {
    engine.tables.move_to(id, next_heartbeat(engine, waiter, now));
    waiter.heartbeat(now)
}

/// When a waiter whose heartbeat goes out at `now` sends the next.
pub(super) fn next_heartbeat(engine: &Engine, waiter: &Waiter, now: Moment) -> Moment {
    next_on_grid(now, waiter.options.heartbeat(), engine.phase)
}

/// The first moment after `now` on the grid of this interval. So the heartbeats of one interval go
/// out in one call, however their waiters began, and none is late.
fn next_on_grid(now: Moment, every: Duration, phase: Duration) -> Moment {
    let micros = |span: Duration| u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
    let every = micros(every).max(1);
    let phase = micros(phase) % every;
    let passed = now.as_micros().saturating_add(every - phase) / every;
    Moment::from_micros(passed.saturating_mul(every).saturating_add(phase))
}

/// A heartbeat that was sent at `sent` was answered.
pub(super) fn heartbeat_answered(
    engine: &Arc<Engine>,
    id: TimerId,
    waiter: &Arc<Waiter>,
    reply: Reply,
    sent: Moment,
) {
    match reply {
        Reply::Granted { fence } => {
            let from = if mutants::has!(ValidityFromReply) { engine.now() } else { sent };
            grant(engine, waiter, fence, from, waiter.options.ttl, 1);
        }
        Reply::Queued { ahead, look_in, blocker } => {
            let now = engine.now();
            waiter.queued(Seen::new(blocker, now), engine.backoff());
            // The latest time of its next heartbeat was settled when this one was sent.
            let mut look = now + look_in;
            if waiter.acquire.queue.as_ref().is_none_or(|queue| queue.inbox.is_none()) {
                look = look.min(sent + TIMED_LOOK * ahead.saturating_add(1));
            }
            engine.tables.bring_forward(id, look);
        }
        Reply::Unknown(why) => {
            waiter.failed(&why);
            try_later(engine, id, waiter);
        }
        // It keeps its place in line, here or at the store, until there is room again.
        Reply::Full(_) if waiter.is_in_line() => {
            waiter.refused();
            try_later(engine, id, waiter);
        }
        refusal => {
            let error = engine.failing(Operation::Acquire, &waiter.key).by_refusal(&refusal);
            end_waiting(engine, waiter, error);
        }
    }
}

/// The call that carried a heartbeat has failed.
pub(super) fn heartbeat_failed(
    engine: &Arc<Engine>,
    id: TimerId,
    waiter: &Arc<Waiter>,
    failure: &StoreError,
) {
    let may_pass = match failure.class {
        StoreErrorClass::Full => waiter.is_in_line(),
        class => class.may_pass(),
    };
    if may_pass {
        waiter.failed(&failure.message);
        return try_later(engine, id, waiter);
    }
    let error = engine.failing(Operation::Acquire, &waiter.key).by_store(failure.clone());
    end_waiting(engine, waiter, error.with_may_hold(true));
}

/// A push is trusted only as far as the heartbeat that it echoes reaches.
fn push_arrived(engine: &Arc<Engine>, push: &Push) {
    let Some((id, waiter)) = engine.tables.waiter_at_store(&push.owner) else { return };
    let Some(claim_lease) = waiter.acquire.claim_lease() else { return };
    let now = engine.now();
    let sent = if mutants::has!(StalePush) { Some(now) } else { waiter.sent_at(push.stamp) };
    let slack = timing::slack(waiter.options.ttl);
    match sent.filter(|sent| now + slack < timing::deadline(*sent, claim_lease)) {
        Some(sent) => grant(engine, &waiter, push.fence, sent, claim_lease, 0),
        // Too old to be trusted, but a reason to look.
        None => engine.tables.move_to(id, now),
    }
}

/// The address of the inbox, which is opened when it is first needed. The caller has no place in
/// line yet, so after `patience` it goes on without an address.
pub(super) async fn inbox_address(engine: &Arc<Engine>, patience: Moment) -> Option<Arc<str>> {
    let opened = engine.inbox.get_or_try_init(|| open_inbox(engine));
    match answer_by(&*engine.runtime, patience, opened).await? {
        Ok(address) => address.clone(),
        Err(error) => {
            observe::no_inbox(&*engine.runtime, &error.to_string());
            None
        }
    }
}

async fn open_inbox(engine: &Arc<Engine>) -> Result<Option<Arc<str>>, StoreError> {
    let limit = engine.now() + engine.options.store_timeout;
    let opened = answer_by(&*engine.runtime, limit, engine.store.inbox()).await;
    let Some(inbox) = opened.ok_or_else(timed_out)?? else { return Ok(None) };
    let address = Arc::clone(&inbox.address);
    engine.runtime.spawn(Box::pin(read_inbox(Arc::downgrade(engine), inbox)));
    Ok(Some(address))
}

/// Reads the pushes until the engine is gone.
async fn read_inbox(engine: Weak<Engine>, mut inbox: Inbox) {
    let Some(gone) = engine.upgrade().map(|engine| engine.gone.clone()) else { return };
    loop {
        let push = tokio::select! {
            biased;
            () = gone.cancelled() => return,
            push = inbox.pushes.recv() => match push {
                Some(push) => Some(push),
                None => return,
            },
            () = inbox.missed.notified() => None,
        };
        let Some(engine) = engine.upgrade() else { return };
        // Both wake tasks of the program.
        match push {
            Some(push) => shielded(|| push_arrived(&engine, &push)),
            None => shielded(|| engine.tables.recheck_all(engine.now())),
        };
    }
}

/// A waiter was granted a lease, by a request sent at `sent_at`. `answers` is the number of its own
/// requests that this answers.
fn grant(
    engine: &Arc<Engine>,
    waiter: &Arc<Waiter>,
    fence: Fence,
    sent_at: Moment,
    lease_for: Duration,
    answers: u32,
) {
    waiter.granted();
    let now = engine.now();
    let budget = waiter.budget().unwrap_or(HandoffBudget::new(now, answers == 0));
    let grant = Grant { fence, sent_at, lease_for, held_from: now, budget };
    let lease = engine.new_lease(&waiter.key, &waiter.acquire.owner, waiter.options, grant);
    let next_at = now + put_off(engine, waiter, now, budget);
    let held = engine.tables.grant(waiter, lease, next_at);
    if engine.tables.is_closed() {
        // The close may not have seen it.
        close_lease(engine, held.id, &held.lease);
    }
    if !waiter.grant(&held, answers) {
        // Its caller has given up and withdraws, or was granted by a push just before.
        let_go(engine, &held);
        engine.tables.hurry_first(&waiter.key, engine.now());
    }
}

/// How long the next of its line puts off its place at the store: not at all where no handoff can
/// go ahead of the store's queue.
fn put_off(engine: &Engine, waiter: &Waiter, now: Moment, budget: HandoffBudget) -> Duration {
    match budget.next(now, engine.options.handoffs) {
        Some(_) => PLACE_PUT_OFF.min(waiter.options.ttl / 4),
        None => Duration::ZERO,
    }
}

/// A heartbeat brought nothing: the next comes after a pause.
fn try_later(engine: &Engine, id: TimerId, waiter: &Waiter) {
    engine.tables.move_to(id, engine.now() + waiter.pause(engine.jitter()));
}

/// Ends the waiting with an error. The claim is withdrawn at once, since the waiter's own task may
/// be late to hear of it. After a grant the claim is the lease's: the refusal of an earlier
/// heartbeat, which comes late, does not touch it.
fn end_waiting(engine: &Arc<Engine>, waiter: &Waiter, error: Error) {
    if !waiter.fail(error) {
        return;
    }
    withdraw_if_asked(engine, waiter);
    engine.tables.leave_waiter(&waiter.acquire.owner, engine.now());
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn heartbeats_of_one_interval_meet_and_none_is_late(
            begins in prop::collection::vec(0..3_000_000_u64, 1..40),
            every in 1..1_000_000_u64,
            phase in any::<u32>(),
        ) {
            let (span, phase) = (Duration::from_micros(every), Duration::from_micros(phase.into()));
            let mut met = BTreeSet::new();
            for begin in begins.iter().map(|begin| Moment::from_micros(*begin)) {
                let mut at = begin;
                while at.as_micros() < 3_000_000 {
                    let next = next_on_grid(at, span, phase);
                    prop_assert!(at < next && next <= at + span, "{at:?}, then {next:?}");
                    at = next;
                }
                met.insert(at);
            }
            prop_assert_eq!(met.len(), 1, "apart: {:?}", met);
        }
    }

    #[test]
    fn two_processes_beat_at_moments_of_their_own() {
        let [now, every] = [5_000_000, 1_000_000];
        let next = |phase| {
            let span = Duration::from_micros(every);
            next_on_grid(Moment::from_micros(now), span, Duration::from_micros(phase)).as_micros()
        };
        assert_eq!([next(0), next(1), next(every + 7)], [6_000_000, 5_000_001, 5_000_007]);
    }
}
