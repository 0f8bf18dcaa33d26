//! Giving a lease back on the caller's path. If a task of this process waits for the key, the same
//! step hands it over to that task.

use std::sync::Arc;

use crate::protocol::{Op, Reply, Request};
use crate::runtime::Moment;
use crate::store::StoreError;

use super::Engine;
use super::cleanup::release_of;
use super::lease::LeaseState;
use super::queue::heartbeat_answered;

/// The store's answer to a release.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) reply: Reply,
    /// Whether the step handed the key over, or tried to.
    pub(crate) was_handed_off: bool,
}

/// Releases.
///
/// If the reply to a handoff is lost, or this future is dropped, the release goes on in the
/// background. When that is answered, the waiter looks for its grant.
pub(crate) async fn give_back(
    engine: &Arc<Engine>,
    lease: &LeaseState,
) -> Result<Answered, StoreError> {
    let sent = engine.now();
    let budget = lease.budget.next(sent, engine.options.handoffs);
    // It is the turn of others, who waited at the store before this process was granted. They need
    // not wait until the next of this process has its place there.
    let is_for_others = budget.is_none() && lease.budget.is_after_others;
    let next = engine.tables.first_in_line(&lease.key).filter(|_| !is_for_others);
    let asked = next.and_then(|(id, waiter)| Some((id, waiter.heartbeat(sent)?, waiter)));
    let Some((id, Request { op: Op::Acquire(to), .. }, waiter)) = asked else {
        let reply = engine.ask(&lease.key, release_of(lease), sent, Moment::NEVER).await?;
        engine.tables.poll_queue().freed(&lease.key);
        if is_for_others {
            engine.tables.hurry_first(&lease.key, sent);
        }
        return Ok(Answered { reply, was_handed_off: false });
    };
    // Before sending: a heartbeat that is under way may be answered before the handoff is.
    waiter.set_budget(budget);
    // This is its heartbeat. If it is lost, the waiter looks when the release is answered.
    engine.tables.move_to(id, sent + waiter.options.heartbeat());
    lease.hand_off();
    let op = Op::Handoff {
        owner: lease.owner.clone(),
        min_hold: lease.min_hold(),
        tombstone: lease.tombstone(),
        to,
        ahead: budget.is_some(),
    };
    let reply = match engine.ask(&lease.key, op, sent, Moment::NEVER).await? {
        Reply::HandedOff { released, acquired } => {
            if !matches!(*acquired, Reply::Granted { .. }) {
                waiter.set_budget(None);
            }
            heartbeat_answered(engine, id, &waiter, *acquired, sent);
            *released
        }
        other => other,
    };
    Ok(Answered { reply, was_handed_off: true })
}
