//! Giving a lease back on the caller's path, and handing the key to the next task of this
//! process in the same step if one waits.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::protocol::{Op, Reply, Request};
use crate::runtime::Moment;
use crate::store::StoreError;

use super::core::{Engine, release_of};
use super::keepalive;
use super::lease::LeaseState;

impl Engine {
    /// Releases; answers what a release answers.
    ///
    /// If the reply to a handoff is lost, or this future dropped, nothing is lost with it: the
    /// release goes on in the background, and when that is answered, the waiter looks for what
    /// it was granted.
    pub(crate) async fn give_back(
        self: &Arc<Self>,
        lease: &LeaseState,
    ) -> Result<Reply, StoreError> {
        let release = release_of(lease);
        let sent = self.now();
        let next = self.local_queue.first(&lease.key);
        let asked = next.and_then(|(id, waiter)| Some((id, waiter.heartbeat(sent)?, waiter)));
        let Some((id, Request { op: Op::Acquire(to), .. }, waiter)) = asked else {
            return self.ask(&lease.key, release, Moment::NEVER).await;
        };
        let Op::Release { owner, min_hold, tombstone } = release else {
            unreachable!("a release is made here")
        };
        let budget = lease.budget.next(sent, self.options.handoffs);
        // Before it is sent: a heartbeat that is under way may be answered before the handoff is.
        waiter.set_budget(budget);
        // This is its heartbeat. Should it be lost, the waiter looks when the release is answered.
        self.schedule.move_to(id, sent + waiter.lease_options.heartbeat());
        lease.handed_off.store(true, Ordering::Release);
        let op = Op::Handoff { owner, min_hold, tombstone, to, ahead: budget.is_some() };
        match self.ask(&lease.key, op, Moment::NEVER).await? {
            Reply::HandedOff { released, acquired } => {
                if !matches!(*acquired, Reply::Granted { .. }) {
                    waiter.set_budget(None);
                }
                keepalive::heartbeat_answered(self, id, &waiter, *acquired, sent);
                Ok(*released)
            }
            other => Ok(other),
        }
    }
}
