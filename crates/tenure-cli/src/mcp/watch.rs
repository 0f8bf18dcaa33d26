//! The watch over a lock of the session: it asks whether the store still has it, and tells a loss.
//! It renews nothing.

use std::sync::Arc;
use std::time::Duration;

use tenure::{Key, Lease, Locks, LostReason, Ticket};

use crate::duration::show;

use super::session::{ASK, Session};

/// The longest time between two questions.
const ASK_EVERY: Duration = Duration::from_secs(5);

/// The watch over one lock.
pub(super) struct Watch {
    pub(super) session: Arc<Session>,
    pub(super) key: Key,
    pub(super) fence: u64,
    pub(super) ttl: Duration,
}

impl Watch {
    /// Watches a lease until it ends.
    #[allow(clippy::disallowed_methods, reason = "it ends with the protocol's own runtime")]
    pub(super) fn of_guard(self, lease: Lease) {
        tokio::spawn(async move {
            let asking = async {
                loop {
                    self.pause().await;
                    // "No answer" neither extends a lease nor loses it.
                    let _unknown = lease.extend_to(ASK).await;
                }
            };
            let reason = tokio::select! {
                biased;
                reason = lease.lost() => reason,
                () = asking => unreachable!("it asks without end"),
            };
            match reason {
                LostReason::GivenBack | LostReason::Closed => {}
                LostReason::Expired => {
                    let ttl = show(self.ttl);
                    self.lose(format!("its time was over ({ttl} without a renewal)")).await;
                }
                other => self.lose(other.to_string()).await,
            }
        });
    }

    /// Watches a ticket until it holds nothing, or is not the session's any more.
    #[allow(clippy::disallowed_methods, reason = "it ends with the protocol's own runtime")]
    pub(super) fn of_ticket(self, locks: Locks, ticket: Ticket) {
        tokio::spawn(async move {
            loop {
                self.pause().await;
                if !self.session.has(&self.key, self.fence) {
                    return;
                }
                if let Ok(None) = locks.check_ticket(&ticket).await {
                    let why = "its ticket was used elsewhere, it was forced, or its time was over";
                    return self.lose(why.into()).await;
                }
            }
        });
    }

    async fn pause(&self) {
        let runtime = self.session.runtime();
        runtime.sleep_until(runtime.now() + (self.ttl / 10).min(ASK_EVERY)).await;
    }

    /// Notes the loss, and tells the client, unless the lock was given back meanwhile.
    async fn lose(&self, why: String) {
        let Self { session, key, fence, .. } = self;
        // Dropping the entry gives back the rest of a lease.
        let entry = session.has(key, *fence).then(|| session.take(key)).flatten();
        let Some(entry) = entry else { return };
        let loss = session.lost(key, &entry, why);
        if let Some(client) = session.client() {
            client.tell(&loss).await;
        }
    }
}
