//! One store of a quorum, and whether its votes count. It asks no other node.

use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::protocol::{Op, Reply, Request};
use crate::runtime::shown;
use crate::store::{Forgets, Identity, Links, Store, StoreError, StoreErrorClass};
use crate::types::Key;

/// The answer of a node, which needs no caller to live.
pub(super) type Asking =
    Pin<Box<dyn Future<Output = Result<Vec<Reply>, StoreError>> + Send + 'static>>;

/// The identities of the nodes, as each has told last.
#[derive(Debug, Default)]
pub(super) struct Register(Mutex<Vec<(usize, Arc<str>)>>);

/// A node. Its votes count once it has shown that it is no replica and not the same store as
/// another node. It must show this again with each new link: another server may stand behind the
/// address.
pub(super) struct Node {
    pub(super) index: usize,
    pub(super) name: Arc<str>,
    store: Arc<dyn Store>,
    register: Arc<Register>,
    /// The longest lease. A node that may forget leases must guard against it for so long.
    ttl_max: Duration,
    links: Option<watch::Receiver<Links>>,
    /// One more than the number of links made when it last told its identity; 0: never.
    vetted: AtomicU64,
    /// For how long it grants nothing new once it has forgotten, in microseconds; the largest
    /// number: it never forgets. It tells that with its identity.
    guarded_for: AtomicU64,
    /// Why the last request failed; `None`: it did not. While a node is away it is not dialled for
    /// each request, and then this says more than its silence.
    trouble: Mutex<Option<String>>,
}

impl Node {
    pub(super) fn new(
        index: usize,
        store: Arc<dyn Store>,
        register: &Arc<Register>,
        ttl_max: Duration,
    ) -> Arc<Self> {
        let (name, register) = (store.name(), Arc::clone(register));
        let (links, vetted, guarded_for) = (store.links(), AtomicU64::new(0), AtomicU64::new(0));
        let trouble = Mutex::default();
        Arc::new(Self {
            index,
            name,
            store,
            register,
            ttl_max,
            links,
            vetted,
            guarded_for,
            trouble,
        })
    }

    /// Carries steps to the node. They are sent when this is first polled.
    pub(super) fn ask(self: &Arc<Self>, steps: Vec<Request>) -> Asking {
        let node = Arc::clone(self);
        Box::pin(async move {
            let answer = node.carry(steps).await;
            let trouble = answer.as_ref().err().map(|failure| failure.message.clone());
            *node.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
            answer
        })
    }

    async fn carry(&self, steps: Vec<Request>) -> Result<Vec<Reply>, StoreError> {
        self.vet().await?;
        if steps.is_empty() {
            return Ok(Vec::new());
        }
        steps.iter().try_for_each(|step| self.check_ticks(&step.op))?;
        let replies = self.store.call(steps).await?;
        // The replies may have come by a newer link than the identity.
        let vetted = self.vet().await;
        vetted.map_err(|failure| StoreError { may_have_run: true, ..failure })?;
        Ok(replies)
    }

    /// Why the last request failed, if it did.
    pub(super) fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Refuses runs that it could forget, and grant again within their ticks. Proposed times lie up
    /// to half a tick before and behind its clock.
    fn check_ticks(&self, op: &Op) -> Result<(), StoreError> {
        let Op::Begin { ticks, .. } = op else { return Ok(()) };
        let guarded_for = Duration::from_micros(self.guarded_for.load(Ordering::Acquire));
        if ticks.every.saturating_mul(2) <= guarded_for {
            return Ok(());
        }
        Err(StoreError {
            class: StoreErrorClass::Refused,
            message: format!(
                "it may restart empty, and its restart_guard of {guarded_for} is shorter than \
                 twice {}: a run that it forgot could take place again within its tick",
                shown(ticks.every),
                guarded_for = shown(guarded_for)
            ),
            may_have_run: false,
            source: None,
        })
    }

    /// The store itself, for what needs no vote.
    pub(super) fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Whether a key can be locked there.
    pub(super) fn check_key(&self, key: &Key) -> Result<(), String> {
        self.store.check_key(key).map_err(|why| format!("{}: {why}", self.name))
    }

    /// Asks for the identity, unless the node has told it by its present link.
    pub(super) async fn vet(&self) -> Result<(), StoreError> {
        loop {
            let link = self.links.as_ref().map_or(0, |links| links.borrow().made) + 1;
            if self.vetted.load(Ordering::Acquire) == link {
                return Ok(());
            }
            let identity = self.store.identity().await;
            // None of the caller's steps was sent.
            let identity = identity.map_err(|e| StoreError { may_have_run: false, ..e })?;
            self.admit(&identity)?;
            // If another link was made meanwhile, the answer may have come by the last one.
            self.vetted.store(link, Ordering::Release);
        }
    }

    fn admit(&self, identity: &Identity) -> Result<(), StoreError> {
        if let Some(of) = &identity.replica_of {
            return Err(StoreError::config(format!(
                "it is a replica of {of}: a quorum needs nodes that do not follow each other"
            )));
        }
        if let Forgets::GuardedFor(span) = identity.forgets
            && span < self.ttl_max
        {
            return Err(StoreError::config(format!(
                "it may restart empty, and its restart_guard of {span} is shorter than the \
                 quorum's max_ttl of {}: a lease that it forgot could be granted again",
                shown(self.ttl_max),
                span = shown(span)
            )));
        }
        let guarded_for = match identity.forgets {
            Forgets::Never => u64::MAX,
            Forgets::GuardedFor(span) => u64::try_from(span.as_micros()).unwrap_or(u64::MAX),
        };
        self.guarded_for.store(guarded_for, Ordering::Release);
        let mut known = self.register.0.lock().unwrap_or_else(PoisonError::into_inner);
        let same = known.iter().find(|(index, id)| *index != self.index && *id == identity.unique);
        if let Some((other, _)) = same {
            return Err(StoreError::config(format!(
                "it is the same store as node {}: its vote would count twice",
                other + 1
            )));
        }
        known.retain(|(index, _)| *index != self.index);
        known.push((self.index, Arc::clone(&identity.unique)));
        Ok(())
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("name", &self.name)
            .field("vetted", &self.vetted.load(Ordering::Relaxed))
            .finish_non_exhaustive()
    }
}
