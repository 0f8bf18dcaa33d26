//! The end of a lease or claim without its caller: it is released or withdrawn in the background,
//! until the store has answered or what is to be undone has ended by itself. So ends all that an
//! engine has when it is closed.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::process::of_process;
use crate::protocol::{Op, timing};
use crate::runtime::{Moment, shown};
use crate::types::{ErrorKind, Key, LostReason, Operation, Owner, Result};

use super::Engine;
use super::lease::TimerId;
use super::lease::{LeaseEntry, LeaseState};
use super::options::LeaseOptions;
use super::schedule::{Cleanup, Timer};
use super::tables::Tracked;
use super::waiter::Waiter;

/// The requests of a claim that is withdrawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Requests {
    /// Each was answered, so none can arrive any more.
    Answered,
    /// One may still arrive: the withdrawal must leave a tombstone.
    UnderWay,
}

impl Requests {
    pub(super) fn of(may_arrive: bool) -> Self {
        if may_arrive { Self::UnderWay } else { Self::Answered }
    }
}

/// The keepalive task has no more to do with this lease. If something of it is left at the store,
/// that must be tracked already.
pub(crate) fn let_go(engine: &Engine, held: &LeaseEntry) {
    if end_keeping(engine, held) {
        held.lease.tell_given_back();
    }
}

/// Answers whether it was held until now, which is to be told.
fn end_keeping(engine: &Engine, held: &LeaseEntry) -> bool {
    let was_held = held.lease.let_go();
    engine.tables.leave_lease(held.id);
    was_held
}

/// Gives back a lease whose guard was dropped.
pub(crate) fn release_dropped(engine: &Arc<Engine>, held: &LeaseEntry) {
    let tracked = engine.track();
    let was_held = end_keeping(engine, held);
    // A close that came before gives it back.
    if held.lease.verdict(engine.now()) != Err(LostReason::Closed) {
        release_later(engine, tracked, &held.lease);
    }
    // Last: a logger may block.
    if was_held {
        held.lease.tell_given_back();
    }
}

/// Ends a lease because the engine is closed, and gives it back.
pub(super) fn close_lease(engine: &Arc<Engine>, id: TimerId, lease: &LeaseState) {
    let tracked = engine.track();
    lease.lose(LostReason::Closed);
    // A holder that has let go of it gives it back itself, or has handed it over.
    if !lease.is_let_go() {
        release_later(engine, tracked, lease);
    }
    engine.tables.leave_lease(id);
}

fn release_later(engine: &Arc<Engine>, tracked: Tracked<'_>, lease: &LeaseState) {
    // A request that is under way may still arrive.
    let until = lease.reach().max(engine.now()) + lease.options.ttl;
    enter(engine, tracked, &lease.key, release_of(lease), until, lease.was_handed_off());
}

/// Ends a run in the background, by this step.
pub(super) fn finish_later(engine: &Arc<Engine>, lease: &LeaseState, op: Op) {
    let until = lease.reach().max(engine.now()) + lease.options.ttl;
    enter(engine, engine.track(), &lease.key, op, until, false);
}

/// The release of a lease, as its options want it.
pub(super) fn release_of(lease: &LeaseState) -> Op {
    Op::Release {
        owner: lease.owner.clone(),
        min_hold: lease.min_hold(),
        tombstone: lease.tombstone(),
    }
}

/// Withdraws a claim.
pub(super) fn withdraw_later(
    engine: &Arc<Engine>,
    tracked: Tracked<'_>,
    key: &Key,
    owner: &Owner,
    options: LeaseOptions,
    requests: Requests,
) {
    let owner = owner.clone();
    let op = match requests {
        Requests::UnderWay => Op::Withdraw { owner, tombstone: options.tombstone() },
        Requests::Answered => Op::Release { owner, min_hold: Duration::ZERO, tombstone: None },
    };
    let longest = options.ttl.max(options.window());
    let until = engine.now() + longest + timing::allowance(longest);
    enter(engine, tracked, key, op, until, false);
}

/// Withdraws the claim of a waiter that waits no more, if the store may know of it. Its own caller
/// may come to that late, or never.
pub(super) fn withdraw_if_asked(engine: &Arc<Engine>, waiter: &Waiter) {
    if waiter.has_asked() {
        let (key, owner) = (&waiter.key, &waiter.acquire.owner);
        let requests = Requests::of(waiter.may_arrive());
        withdraw_later(engine, engine.track(), key, owner, waiter.options, requests);
    }
}

/// Closes the engine, and waits for the store's answers for at most `limit`.
pub(crate) async fn close(engine: &Arc<Engine>, limit: Duration) -> Result<()> {
    let failing = engine.failing(Operation::Close, None);
    give_everything_back(engine);
    let until = engine.now() + limit;
    let rest = of_process(engine.tables.rest_until(&*engine.runtime, until));
    match rest.await.map_err(|_| failing.by_fork())? {
        0 => Ok(()),
        left => {
            let message = format!(
                "{left} requests were not answered within {limit}; their keys are free when \
                 their ttl ends",
                limit = shown(limit)
            );
            Err(failing.with(ErrorKind::Unavailable, message).with_may_hold(true))
        }
    }
}

fn give_everything_back(engine: &Arc<Engine>) {
    for waiter in engine.tables.close() {
        end_waiting(engine, &waiter);
    }
    for (id, timer) in engine.tables.all() {
        match timer {
            Timer::Lease(lease) => close_lease(engine, id, &lease),
            Timer::Waiter(waiter) => {
                end_waiting(engine, &waiter);
                engine.tables.leave_waiter(&waiter.acquire.owner, engine.now());
            }
            Timer::Cleanup(_) => {}
        }
    }
}

fn end_waiting(engine: &Arc<Engine>, waiter: &Waiter) {
    waiter.fail(engine.failing(Operation::Acquire, &waiter.key).by_close());
    withdraw_if_asked(engine, waiter);
}

/// The last handle is gone: blocks its thread until the store has answered everything, for at most
/// `limit`, where the runtime allows that.
pub(crate) fn linger(engine: &Arc<Engine>, limit: Duration) {
    if engine.tables.in_flight() > 0 {
        let (engine, runtime) = (Arc::clone(engine), Arc::clone(&engine.runtime));
        let rest = async move {
            engine.tables.rest_until(&*engine.runtime, engine.now() + limit).await;
        };
        runtime.linger(Box::pin(rest), limit);
    }
}

/// Declares every lease on `key` lost, for a test of a program.
#[cfg(feature = "testing")]
pub(crate) fn lose(engine: &Engine, key: &Key) {
    for lease in engine.tables.leases_of(key) {
        lease.lose(LostReason::Gone);
    }
}

fn enter(
    engine: &Arc<Engine>,
    tracked: Tracked<'_>,
    key: &Key,
    op: Op,
    until: Moment,
    recheck_queue: bool,
) {
    let cleanup = Cleanup {
        key: key.clone(),
        op,
        until,
        backoff: Mutex::new(engine.backoff()),
        recheck_queue,
        _engine: Arc::clone(engine) as _,
    };
    engine.tables.enter_cleanup(tracked, cleanup, engine.now());
}
