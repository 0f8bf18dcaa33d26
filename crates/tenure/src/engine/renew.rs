//! Renewing leases: when, for how long, and what an answer means. Only a caller that extends its
//! lease is waited for; all else is sent by the keepalive task.

use std::sync::Arc;
use std::time::Duration;

use crate::mutants;
use crate::observe;
use crate::protocol::{Op, Reply, Request};
use crate::runtime::{Moment, in_tenths};
use crate::store::{StoreError, StoreErrorClass};
use crate::types::{LostReason, Operation, Result};

use super::Engine;
use super::lease::LeaseState;
use super::lease::TimerId;
use super::renewal_failure::RenewalFailure;
use super::schedule::Timer;

/// A renewal without an answer for so long counts as failing, or when half of the time is over.
const OVERDUE: Duration = Duration::from_millis(100);

/// A renewal without an answer so far. It is counted at its lease until it is dropped.
pub(super) struct Renewing {
    id: TimerId,
    lease: Arc<LeaseState>,
    ttl: Duration,
    sent: Moment,
}

impl Renewing {
    fn new(id: TimerId, lease: Arc<LeaseState>, ttl: Duration, sent: Moment) -> Self {
        lease.renewal_begins(sent);
        Self { id, lease, ttl, sent }
    }
}

impl Drop for Renewing {
    fn drop(&mut self) {
        self.lease.renewal_ends();
    }
}

/// Whether a lease may be renewed at `now` together with others: in the last quarter of its
/// interval.
pub(super) fn may_renew(lease: &LeaseState, now: Moment) -> bool {
    let early = lease.options.renew_every.unwrap_or_default() / 4;
    now + early >= lease.next_renewal()
}

/// The keepalive task comes to a lease that is due or may be renewed. Answers the renewal to send.
pub(super) fn visit(
    engine: &Engine,
    id: TimerId,
    lease: Arc<LeaseState>,
    now: Moment,
) -> Option<(Request, Renewing)> {
    if now >= lease.alarm() {
        if mutants::has!(AlarmWaitsForCall) {
            engine.tables.move_to(id, Moment::NEVER);
            return None;
        }
        lease.lose(lease.expiry());
    }
    if !lease.is_held() {
        engine.tables.leave_lease(id);
        return None;
    }
    if !may_renew(&lease, now) {
        engine.tables.move_to(id, lease.next_visit());
        return None;
    }
    tell_if_overdue(engine, &lease, now);
    // The next try does not wait for this call, which may hang.
    lease.renew_at(now + retry_pause(&lease, now) * 3);
    let ttl = lease.renew_for();
    lease.renewal_sent(now, ttl);
    engine.tables.move_to(id, lease.next_visit());
    let op = Op::Renew { owner: lease.owner.clone(), ttl };
    Some((Request { key: lease.key.clone(), op }, Renewing::new(id, lease, ttl, now)))
}

/// The earlier try has no answer, and the next is about to be sent.
fn tell_if_overdue(engine: &Engine, lease: &LeaseState, now: Moment) {
    let Some(sent) = lease.unanswered_since() else { return };
    let waited = now.since(sent);
    if waited >= OVERDUE.min(lease.deadline().since(now)) {
        fails(engine, lease, sent, &format!("no answer within {}", in_tenths(waited)));
    }
}

/// Renewals of a lease fail, from the one on that was sent at `sent`.
fn fails(engine: &Engine, lease: &LeaseState, sent: Moment, message: &str) {
    // The holder of a lease that has ended is told of that.
    if !lease.is_held() {
        return;
    }
    let now = engine.now();
    lease.set_failing(sent, now, message);
    if engine.outage.goes_on(now) {
        let (key, left) = (&lease.key, lease.alarm().since(now));
        observe::renewal_failed(&*engine.runtime, &engine.name, key, lease.fence(), message, left);
    }
}

/// A renewal was confirmed, after `failure`.
fn works_again(engine: &Engine, lease: &LeaseState, failure: &RenewalFailure) {
    if engine.outage.ends() {
        let failed_for = engine.now().since(failure.since());
        observe::renewals_resumed(&*engine.runtime, &engine.name, &lease.key, failed_for);
    }
}

/// The store has answered to a renewal.
pub(super) fn answered(engine: &Engine, renewing: &Renewing, reply: &Reply) {
    let Renewing { id, lease, ttl, sent } = renewing;
    let sent = *sent;
    match reply {
        Reply::Renewed => {
            let from = if mutants::has!(ValidityFromReply) { engine.now() } else { sent };
            if let Some(failure) = lease.confirm(from, *ttl, engine.now()) {
                works_again(engine, lease, &failure);
            }
            observe::renewed(&*engine.runtime, &lease.key, lease.fence());
            let next = lease.options.renew_every.map_or(Moment::NEVER, |every| sent + every);
            lease.renew_at(next);
            engine.tables.move_to(*id, lease.next_visit());
        }
        _ if mutants::has!(IgnoreGone) => {}
        // The store has answered, and has no such lease: final at once.
        _ => {
            lease.lose(LostReason::Gone);
            engine.tables.leave_lease(*id);
        }
    }
}

/// A renewal has failed: it is tried again after a pause.
pub(super) fn failed(engine: &Engine, renewing: &Renewing, failure: &StoreError) {
    let Renewing { id, lease, sent, .. } = renewing;
    if failure.class != StoreErrorClass::Forked {
        fails(engine, lease, *sent, &failure.message);
    }
    let now = engine.now();
    let pause = retry_pause(lease, now);
    let jitter = f64::from(engine.jitter()) / f64::from(u32::MAX);
    lease.renew_at(now + pause + pause.mul_f64(jitter));
    engine.tables.move_to(*id, lease.next_visit());
}

/// Pause after a renewal that failed. Several tries fit before the deadline.
fn retry_pause(lease: &LeaseState, now: Moment) -> Duration {
    let every = lease.options.renew_every.unwrap_or(lease.options.ttl / 3);
    let left = lease.deadline().since(now);
    (every / 8).min(left / 8).clamp(Duration::from_millis(1), Duration::from_secs(1))
}

/// A link to the store was cut or made, so the store may have forgotten: all leases are verified,
/// and all waiters look. After a cut, the renewals do so that make the next link; they are not sent
/// once more when it is made.
pub(super) fn revalidate_all(engine: &Engine, was_cut: bool) {
    let now = engine.now();
    for (id, timer) in engine.tables.all() {
        let Timer::Lease(lease) = timer else { continue };
        if was_cut || !lease.is_renewal_under_way() {
            lease.renew_at(now);
            engine.tables.move_to(id, now);
        }
    }
    engine.tables.recheck_all(now);
}

/// Makes a lease last at least `ttl` from now on, for a caller.
pub(crate) async fn extend(engine: &Engine, lease: &LeaseState, ttl: Duration) -> Result<()> {
    let sent = engine.now();
    lease.renewal_sent(sent, ttl);
    let op = Op::Renew { owner: lease.owner.clone(), ttl };
    let reply = engine.ask(&lease.key, op, sent, Moment::NEVER).await.map_err(|failure| {
        engine.failing(Operation::Extend, &lease.key).by_store(failure).with_may_hold(true)
    })?;
    if reply == Reply::Renewed {
        if let Some(failure) = lease.confirm(sent, ttl, engine.now()) {
            works_again(engine, lease, &failure);
        }
    } else {
        lease.lose(LostReason::Gone);
    }
    Ok(())
}
