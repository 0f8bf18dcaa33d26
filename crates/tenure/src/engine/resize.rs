//! Changing the part of the key that a lease claims, in place. It never ends a lease by itself and
//! never waits in line.
//!
//! A change whose outcome is unknown is settled before the next one of its lease begins, by the
//! next caller or in the background: more units are given back, fewer are asked for again. No
//! request from before that has any effect later, since it names a fence that the lease had then.

use std::sync::Arc;

use crate::protocol::{Op, Reply};
use crate::runtime::Moment;
use crate::store::{StoreError, StoreErrorClass};
use crate::types::{Claim, Error, ErrorKind, LostReason, Operation, Result};

use super::Engine;
use super::attempt::guarded;
use super::lease::{Change, LeaseState};
use super::waiter::Seen;

/// Changes what the lease claims; `false` if there is no room for that now.
pub(crate) async fn resize(
    engine: &Arc<Engine>,
    lease: &Arc<LeaseState>,
    from: Claim,
    to: Claim,
) -> Result<bool> {
    let mut unsettled = lease.unsettled.lock().await;
    settle(engine, lease, &mut unsettled)
        .await
        .map_err(|failure| unknown(engine, lease, failure))?;
    let change = Change { fence: lease.fence(), from, to };
    *unsettled = Some(change);
    // If this future is dropped, the change goes to the background.
    let mut later = SettleLater { engine, lease, is_needed: true };
    let answer = ask(engine, lease, change.op(lease)).await;
    later.is_needed = answer.as_ref().is_err_and(|failure| failure.may_have_run);
    if !later.is_needed {
        *unsettled = None;
    }
    let reply = answer.map_err(|failure| unknown(engine, lease, failure))?;
    outcome(engine, lease, reply)
}

/// Waits until it is known what the lease claims.
pub(crate) async fn settled(engine: &Engine, lease: &LeaseState) -> Result<()> {
    let mut unsettled = lease.unsettled.lock().await;
    settle(engine, lease, &mut unsettled).await.map_err(|failure| unknown(engine, lease, failure))
}

fn outcome(engine: &Engine, lease: &LeaseState, reply: Reply) -> Result<bool> {
    let failing = engine.failing(Operation::Resize, &lease.key);
    match reply {
        Reply::Resized { fence } => {
            lease.set_fence(fence);
            Ok(true)
        }
        Reply::Busy { blocker, .. } => {
            let seen = Seen::new(blocker, engine.now());
            let refused = seen.and_then(|seen| guarded(engine, &lease.key, &seen));
            refused.map_or(Ok(false), Err)
        }
        // The verdict on the lease tells the caller.
        Reply::Gone | Reply::Withdrawn => {
            lease.lose(LostReason::Gone);
            Ok(false)
        }
        Reply::Mismatch(why) => Err(failing.with(ErrorKind::Mismatch, why)),
        other => Err(failing.by_reply(&other)),
    }
}

/// Finds out what became of a change, and undoes or completes it. It may be repeated.
async fn settle(
    engine: &Engine,
    lease: &LeaseState,
    unsettled: &mut Option<Change>,
) -> Result<(), StoreError> {
    while let Some(change) = *unsettled {
        let is_more = change.to.units() > change.from.units();
        *unsettled = if is_more {
            undo(engine, lease, change).await?
        } else {
            complete(engine, lease, change).await?
        };
    }
    Ok(())
}

/// Undoes a change to more units. Answers the change that gives them back, if it was carried out.
async fn undo(
    engine: &Engine,
    lease: &LeaseState,
    change: Change,
) -> Result<Option<Change>, StoreError> {
    // With a new fence, it is not carried out any more.
    let refence = Change { to: change.from, ..change };
    match ask(engine, lease, refence.op(lease)).await? {
        Reply::Resized { fence } => {
            lease.set_fence(fence);
            return Ok(None);
        }
        Reply::Mismatch(_) => {}
        reply => return gone(lease, &reply),
    }
    // It has another fence already: by the change, or by a request like the one above.
    let Reply::Inspected(seen) = ask(engine, lease, Op::Inspect).await? else {
        return gone(lease, &Reply::Gone);
    };
    let Some(held) = seen.holders.iter().find(|holder| holder.owner == lease.owner) else {
        return gone(lease, &Reply::Gone);
    };
    let Change { fence, from, to } = change;
    let is_changed = held.exclusive == to.is_exclusive();
    if held.fence > fence {
        lease.set_fence(held.fence);
        return Ok(is_changed.then_some(Change { fence: held.fence, from: to, to: from }));
    }
    // It had as much before, and keeps that.
    let refence = Change { from: to, ..change };
    match ask(engine, lease, refence.op(lease)).await? {
        Reply::Resized { fence } => {
            lease.set_fence(fence);
            Ok(None)
        }
        reply => gone(lease, &reply),
    }
}

/// Completes a change to fewer units.
async fn complete(
    engine: &Engine,
    lease: &LeaseState,
    change: Change,
) -> Result<Option<Change>, StoreError> {
    match ask(engine, lease, change.op(lease)).await? {
        Reply::Resized { .. } => Ok(None),
        reply => gone(lease, &reply),
    }
}

/// The store has no such lease any more, or gave an answer that decides nothing.
fn gone(lease: &LeaseState, reply: &Reply) -> Result<Option<Change>, StoreError> {
    if matches!(reply, Reply::Gone | Reply::Withdrawn) {
        lease.lose(LostReason::Gone);
        return Ok(None);
    }
    Err(StoreError {
        class: StoreErrorClass::Transient,
        message: format!("an earlier change of this lease is not settled: {reply:?}"),
        may_have_run: true,
        source: None,
    })
}

async fn ask(engine: &Engine, lease: &LeaseState, op: Op) -> Result<Reply, StoreError> {
    engine.ask(&lease.key, op, engine.now(), Moment::NEVER).await
}

fn unknown(engine: &Engine, lease: &LeaseState, failure: StoreError) -> Error {
    engine.failing(Operation::Resize, &lease.key).by_store(failure).with_may_hold(true)
}

impl Change {
    fn op(self, lease: &LeaseState) -> Op {
        let Self { fence, from, to } = self;
        Op::Resize { owner: lease.owner.clone(), fence, from, to }
    }
}

/// Settles a change in the background when it is dropped, if that is needed.
struct SettleLater<'a> {
    engine: &'a Arc<Engine>,
    lease: &'a Arc<LeaseState>,
    is_needed: bool,
}

impl Drop for SettleLater<'_> {
    fn drop(&mut self) {
        let Self { engine, lease, is_needed } = self;
        if !*is_needed || !engine.process.is_current() {
            return;
        }
        let (this, lease) = (Arc::clone(engine), Arc::clone(lease));
        engine.runtime.spawn(Box::pin(async move {
            let mut backoff = this.backoff();
            // A lease that is given back, or lost, ends with all that it claims.
            while lease.is_held() {
                if settled(&this, &lease).await.is_ok() {
                    return;
                }
                let pause = backoff.next(this.jitter());
                if this.sleep_until(this.now() + pause).await.is_err() {
                    return;
                }
            }
        }));
    }
}
