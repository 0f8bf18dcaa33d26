//! The locks of a session: those that it holds, those that stay after it, and those that it lost.
//! It never renews by itself, so that a lock that an agent forgot ends.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rmcp::model::{LoggingLevel, RequestId};
use rmcp::service::ClientSink;
use tenure::runtime::Runtime;
use tenure::{Guard, Key, Label, Lease, Locks, Ticket};

use crate::duration::show;
use crate::store::Located;

use super::answer::{self, Failure, Held, Loss, Seen};
use super::client::Client;
use super::connection::Connection;
use super::stdio::Over;
use super::watch::Watch;

/// The shortest extension, which changes nothing.
pub(super) const ASK: Duration = Duration::from_millis(10);

/// The limit of a look beside the failure of a call.
const SOON: Duration = Duration::from_millis(500);

/// A ttl, or the longest that the store lets a lease be extended to if that is shorter.
pub(super) fn longest(locks: &Locks, ttl: Duration) -> Duration {
    // The store gets a little more than is asked for: the drift allowance.
    let limit = locks.capabilities().ttl_max;
    ttl.min(limit.saturating_sub(limit / 50 + ASK))
}

/// A session: one client, until it is gone.
pub(super) struct Session {
    connection: Connection,
    /// The agent's name where a call has none.
    name: Option<String>,
    runtime: Arc<dyn Runtime>,
    over: Over,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    locks: HashMap<Key, Entry>,
    /// Losses that no answer has told yet.
    untold: Vec<Loss>,
    /// The last loss of each key, until it is acquired again.
    lost: HashMap<Key, Loss>,
    client: Option<Client>,
}

/// A lock of the session.
pub(super) struct Entry {
    pub(super) grip: Grip,
    pub(super) fence: u64,
    pub(super) label: Label,
    pub(super) ttl: Duration,
    /// The call that acquired it.
    pub(super) call: Option<RequestId>,
}

/// The hold of the session on a lock.
pub(super) enum Grip {
    /// It ends with the session.
    Guard(Guard),
    /// It stays: the ticket holds it.
    Ticket(Ticket),
}

impl Session {
    pub(super) fn new(
        store: Located,
        limit: Duration,
        name: Option<String>,
        runtime: Arc<dyn Runtime>,
    ) -> Arc<Self> {
        let (connection, over) = (Connection::new(store, limit), Over::not_yet());
        Arc::new(Self { connection, name, runtime, over, state: Mutex::default() })
    }

    pub(super) fn over(&self) -> Over {
        self.over.clone()
    }

    pub(super) fn runtime(&self) -> &dyn Runtime {
        &*self.runtime
    }

    pub(super) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The store's locks. A failure says that nothing is held.
    pub(super) async fn locks(&self) -> Result<Locks, Failure> {
        self.connection.locks(self.runtime()).await.map_err(|e| {
            Failure::of(&e).next(
                "You do not hold the lock, and nobody can say who does. Do not touch what it \
                 protects; try again later, or tell the user that the store of the locks cannot \
                 be used.",
            )
        })
    }

    /// The store and how far its locks reach, for people.
    pub(super) fn store(&self, locks: &Locks) -> String {
        self.connection.describe(locks)
    }

    /// Gives everything back that does not stay.
    pub(super) async fn close(&self) -> tenure::Result<()> {
        self.connection.close().await
    }

    /// The wall clock in microseconds since 1970.
    pub(super) fn wall(&self) -> u64 {
        self.runtime.wall_micros()
    }

    /// The time of day (UTC) after `span`.
    pub(super) fn clock_in(&self, span: Duration) -> String {
        answer::clock(self.wall(), span, false)
    }

    /// The key as the store has it now; `None` if it does not say.
    pub(super) async fn look(&self, locks: &Locks, key: &Key) -> Option<Seen> {
        let seen = locks.mutex(key).inspect().await.ok()?;
        Some(Seen::of(key, &seen, self.wall(), |fence| self.has(key, fence)))
    }

    /// The same, of a store that answers at once.
    pub(super) async fn look_soon(&self, locks: &Locks, key: &Key) -> Option<Seen> {
        tokio::select! {
            seen = self.look(locks, key) => seen,
            () = self.runtime.sleep_until(self.runtime.now() + SOON) => None,
        }
    }

    /// Whether this session has the grant with this fence.
    pub(super) fn has(&self, key: &Key, fence: u64) -> bool {
        self.state().locks.get(key).is_some_and(|entry| entry.fence == fence)
    }

    /// Enters a lock that was just acquired, and watches it.
    pub(super) fn enter(self: &Arc<Self>, locks: &Locks, key: Key, entry: Entry) {
        let watch = Watch {
            session: Arc::clone(self),
            key: key.clone(),
            fence: entry.fence,
            ttl: entry.ttl,
        };
        match &entry.grip {
            Grip::Guard(guard) => watch.of_guard(guard.lease()),
            Grip::Ticket(ticket) => watch.of_ticket(locks.clone(), ticket.clone()),
        }
        let mut state = self.state();
        state.lost.remove(&key);
        state.locks.insert(key, entry);
    }

    /// Takes a lock out, to give it back.
    pub(super) fn take(&self, key: &Key) -> Option<Entry> {
        self.state().locks.remove(key)
    }

    /// Takes out the lock of this ticket.
    pub(super) fn forget(&self, ticket: &Ticket) -> Option<Entry> {
        self.has(ticket.key(), ticket.fence().get()).then(|| self.take(ticket.key())).flatten()
    }

    /// Takes out the lock that this call acquired.
    pub(super) fn take_of(&self, call: &RequestId) -> Option<(Key, Entry)> {
        let mut state = self.state();
        let of_call =
            |(key, entry): (&Key, &Entry)| (entry.call.as_ref() == Some(call)).then(|| key.clone());
        let key = state.locks.iter().find_map(of_call)?;
        state.locks.remove_entry(&key)
    }

    /// The lease of a lock that ends with the session, and the ttl that it was acquired with.
    pub(super) fn lease(&self, key: &Key) -> Option<(Lease, Duration, Label)> {
        match self.state().locks.get(key)? {
            Entry { grip: Grip::Guard(guard), ttl, label, .. } => {
                Some((guard.lease(), *ttl, label.clone()))
            }
            _ => None,
        }
    }

    /// The ticket of a lock that stays.
    pub(super) fn ticket(&self, key: &Key) -> Option<Ticket> {
        match self.state().locks.get(key)? {
            Entry { grip: Grip::Ticket(ticket), .. } => Some(ticket.clone()),
            _ => None,
        }
    }

    /// The ttl with which a lock was acquired.
    pub(super) fn ttl(&self, key: &Key) -> Option<Duration> {
        self.state().locks.get(key).map(|entry| entry.ttl)
    }

    /// The last loss of this key, unless it was acquired again.
    pub(super) fn last_loss(&self, key: &Key) -> Option<Loss> {
        self.state().lost.get(key).cloned()
    }

    /// The losses that no answer has told yet. They count as told.
    pub(super) fn take_untold(&self) -> Vec<Loss> {
        std::mem::take(&mut self.state().untold)
    }

    /// The client that the session is for.
    pub(super) fn met(&self, sink: &ClientSink) {
        let client = &mut self.state().client;
        client.get_or_insert_with(|| Client::new(sink, LoggingLevel::Debug));
    }

    /// The least level of the messages that the client wants.
    pub(super) fn set_level(&self, sink: &ClientSink, level: LoggingLevel) {
        self.state().client = Some(Client::new(sink, level));
    }

    pub(super) fn client(&self) -> Option<Client> {
        self.state().client.clone()
    }

    /// Notes that a lock, which was taken out, is lost.
    pub(super) fn lost(&self, key: &Key, entry: &Entry, reason: String) -> Loss {
        let (fence, name) = (entry.fence, entry.label.to_string());
        let lost_at = self.clock_in(Duration::ZERO);
        let loss = Loss { key: key.to_string(), fence, name, lost_at, reason };
        let mut state = self.state();
        state.untold.push(loss.clone());
        state.lost.insert(key.clone(), loss.clone());
        loss
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The time until the loss is told, of a lease with so much left: the end of the lease comes later.
pub(super) fn safely(left: Duration, ttl: Duration) -> Duration {
    left.saturating_sub(tenure::protocol::slack(ttl))
}

impl Session {
    /// The answer about a lock that is held.
    pub(super) fn held(&self, key: &Key, fence: u64, label: &Label, left: Duration) -> Held {
        Held {
            key: key.to_string(),
            fence,
            name: label.to_string(),
            until: self.clock_in(left),
            time_left: show(left),
            ticket: None,
            next: String::new(),
            is_renewed: false,
        }
    }
}
