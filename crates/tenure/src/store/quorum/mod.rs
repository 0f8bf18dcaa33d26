//! A store made of stores: a lock is held where a majority of independent nodes grants it.
//!
//! It outlives the loss of a minority of its nodes without copying anything between them (the
//! idea of Redlock), and its fences grow all the same (the ballot of `protocol::votes`). It carries
//! locks of one holder only, and has no queue: each client can win a majority of "2 of 3 units"
//! on nodes that are all within their limit, and N queues do not agree on who came first.
//!
//! A call goes to all nodes at once and is answered as soon as the answer is certain. Unlike other
//! stores this one spawns: a task of the runtime takes the answers, also those that come after the
//! decision, and the steps that nodes must still be sent (releases, withdrawals, top-ups) outlive
//! the call. It retries nothing else, and waits for no lock.

mod call;
mod examine;
mod leases;
mod merge;
mod node;
mod outbox;
mod outcome;
mod page;
mod report;
mod round;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use crate::mutants;
use crate::process::OfProcess;
use crate::protocol::{FenceRule, Inspection, Reply, Request};
use crate::runtime::{Moment, Runtime, shown};
use crate::types::{Fence, Key, TTL_MIN};

use super::{
    Answer, Capabilities, DataServer, Examination, Forgets, Identity, Inbox, Links, Reach, Store,
    StoreError,
};
use leases::Leases;
use node::{Node, Register};
use outbox::Outbox;

/// The default of `max_ttl`.
const TTL_MAX: Duration = Duration::from_secs(300);
/// The largest distance of a proposed fence from a node's clock: far less than the 24 h for which
/// stores remember the fence of an unused key.
const NEAR_MAX: Duration = Duration::from_secs(3_600);
/// The default of `node_timeout`.
const NODE_TIMEOUT: Duration = Duration::from_secs(1);

/// How a [`Quorum`] treats its nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuorumOptions {
    max_ttl: Duration,
    /// `None`: as long as `max_ttl` allows, up to [`NODE_TIMEOUT`].
    node_timeout: Option<Duration>,
}

impl Default for QuorumOptions {
    fn default() -> Self {
        Self { max_ttl: TTL_MAX, node_timeout: None }
    }
}

impl QuorumOptions {
    /// The longest ttl of any lock here, and so for how long a node grants nothing new that is new
    /// here, has restarted or was emptied. It must be the same for all programs that share the
    /// quorum. Default: 5 min.
    #[must_use]
    pub fn with_max_ttl(mut self, limit: Duration) -> Self {
        self.max_ttl = limit;
        self
    }

    /// How long a node is waited for that is needed for an answer: from 1 ms to less than
    /// `max_ttl`. Default: 1 s, but at most a third of `max_ttl`.
    #[must_use]
    pub fn with_node_timeout(mut self, limit: Duration) -> Self {
        self.node_timeout = Some(limit);
        self
    }

    pub(super) fn node_timeout(&self) -> Duration {
        self.node_timeout.unwrap_or(NODE_TIMEOUT.min(self.max_ttl / 3))
    }

    /// The longest ttl.
    #[must_use]
    pub fn max_ttl(&self) -> Duration {
        self.max_ttl
    }

    /// How long the outbox keeps the end of a lease that was won. By then the lease has ended at
    /// the node.
    fn follow_up_max(&self) -> Duration {
        self.max_ttl.max(outcome::TOMBSTONE)
    }

    /// The largest distance between a proposed fence and a node's clock. It is short beside the
    /// time after which a node that forgot a fence grants again: `max_ttl`, or its retention.
    fn near(&self) -> Duration {
        (self.max_ttl / 4).min(NEAR_MAX)
    }
}

/// Locks that a majority of independent stores grants.
///
/// Releases and withdrawals for a slow minority go on in the background after an answer, and
/// nothing waits for them. If the program ends meanwhile, the lease there ends with its ttl.
///
/// Clones share everything.
#[derive(Debug, Clone)]
pub struct Quorum {
    shared: OfProcess<Arc<Shared>>,
}

struct Shared {
    name: Arc<str>,
    capabilities: Capabilities,
    nodes: Vec<Arc<Node>>,
    outbox: Vec<Arc<Outbox>>,
    leases: Leases,
    runtime: Arc<dyn Runtime>,
    options: QuorumOptions,
    /// The largest fence that this process has seen here.
    highest: AtomicU64,
}

impl Quorum {
    /// A quorum of these stores. Each is asked for its identity: the same store twice, or a replica
    /// of another, is refused. A minority may be out of reach; it is asked later, before its votes
    /// count.
    ///
    /// # Errors
    /// A number of stores that is even or below 3, nodes that are not independent, a node that
    /// may forget leases and does not guard against it, or no majority within the time limit.
    #[must_use]
    #[allow(clippy::needless_pass_by_value, reason = "a constructor takes what it is made of")]
    pub fn open(
        stores: Vec<Arc<dyn Store>>,
        runtime: Arc<dyn Runtime>,
        options: QuorumOptions,
    ) -> Answer<'static, Self> {
        let made = Shared::new(&stores, &runtime, options);
        Box::pin(async move {
            let shared = Arc::new(made?);
            call::introduce(&shared).await?;
            Ok(Self { shared: OfProcess::new(shared) })
        })
    }
}

impl Shared {
    fn new(
        stores: &[Arc<dyn Store>],
        runtime: &Arc<dyn Runtime>,
        options: QuorumOptions,
    ) -> Result<Self, StoreError> {
        check(stores, options)?;
        let register = Arc::new(Register::default());
        let node = |(index, store): (usize, &Arc<dyn Store>)| {
            Node::new(index, Arc::clone(store), &register, options.max_ttl)
        };
        let nodes: Vec<_> = stores.iter().enumerate().map(node).collect();
        let names: Vec<_> = nodes.iter().map(|node| &*node.name).collect();
        let outbox = nodes.iter().map(|node| Outbox::new(node, runtime, options.node_timeout()));
        let farthest = stores.iter().map(|store| store.capabilities().reach).max();
        let ttl_max = stores.iter().map(|store| store.capabilities().ttl_max).min();
        let capabilities = Capabilities {
            fifo: false,
            many_units: false,
            groups: false,
            plain_values: false,
            composite: true,
            reach: farthest.unwrap_or(Reach::Process),
            ttl_max: options.max_ttl.min(ttl_max.unwrap_or(options.max_ttl)),
            slow_grants: false,
        };
        Ok(Self {
            name: format!("quorum:{}", names.join(" ")).into(),
            capabilities,
            outbox: outbox.collect(),
            nodes,
            leases: Leases::default(),
            runtime: Arc::clone(runtime),
            options,
            highest: AtomicU64::new(0),
        })
    }

    fn now(&self) -> Moment {
        self.runtime.now()
    }

    /// The fence to propose: above every fence that was seen, and at least the clock. Nodes compare
    /// it with their own clocks: a fence that a node has forgotten when it comes back after
    /// `max_ttl` was at most `near` ahead of its clock, and one granted then is at most `near`
    /// behind.
    fn proposal(&self) -> FenceRule {
        let seen = self.highest.load(Ordering::Acquire);
        let fence = Fence::new(self.runtime.wall_micros().max(seen + 1));
        if mutants::has!(PlainMaximum) {
            return FenceRule::Propose { fence: Fence::default(), within: Duration::ZERO };
        }
        FenceRule::Propose { fence, within: self.options.near() }
    }

    fn saw(&self, fence: Fence) {
        self.highest.fetch_max(fence.get(), Ordering::AcqRel);
    }
}

fn check(stores: &[Arc<dyn Store>], options: QuorumOptions) -> Result<(), StoreError> {
    let refused = |message: String| Err(StoreError::config(message));
    let (max_ttl, node_timeout) = (options.max_ttl, options.node_timeout());
    if stores.len() < 3 || stores.len().is_multiple_of(2) {
        return refused(format!(
            "a quorum has an odd number of nodes, at least 3, not {}: with an even number one \
             more failure would be no better survived",
            stores.len()
        ));
    }
    if stores.iter().any(|store| store.capabilities().composite) {
        return refused("a node of a quorum cannot be a quorum itself".into());
    }
    if stores.iter().any(|store| store.capabilities().slow_grants) {
        return refused(
            "a node of a quorum takes no ack: the quorum itself survives a node that forgets, \
             and after a failover a node grants nothing for max_ttl anyway; leave ack out"
                .into(),
        );
    }
    if !(TTL_MIN..=crate::TTL_MAX).contains(&max_ttl) {
        return refused(format!(
            "a max_ttl of {max_ttl} is not within 10 ms and 30 days",
            max_ttl = shown(max_ttl)
        ));
    }
    if node_timeout < Duration::from_millis(1) || node_timeout >= max_ttl {
        return refused(format!(
            "a node_timeout of {node_timeout} is not at least 1 ms and less than the max_ttl \
             of {max_ttl}",
            max_ttl = shown(max_ttl),
            node_timeout = shown(node_timeout)
        ));
    }
    Ok(())
}

impl Store for Quorum {
    fn capabilities(&self) -> &Capabilities {
        &self.shared.capabilities
    }

    fn name(&self) -> Arc<str> {
        Arc::clone(&self.shared.name)
    }

    fn check_key(&self, key: &Key) -> Result<(), String> {
        self.shared.nodes.iter().try_for_each(|node| node.check_key(key))
    }

    /// A majority answers for all keys.
    fn part_of(&self, _key: &Key) -> u32 {
        0
    }

    fn call(&self, steps: Vec<Request>) -> Answer<'_, Vec<Reply>> {
        Box::pin(async move { call::carry(self.shared.here()?, steps).await })
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a Key>,
        limit: usize,
    ) -> Answer<'a, Vec<(Key, Inspection)>> {
        Box::pin(async move { page::list(self.shared.here()?, prefix, after, limit).await })
    }

    fn inbox(&self) -> Answer<'_, Option<Inbox>> {
        // There is no queue, so there are no waiters to wake.
        Box::pin(std::future::ready(Ok(None)))
    }

    fn links(&self) -> Option<watch::Receiver<Links>> {
        // A node that comes or goes is no reason to ask again: a majority goes on.
        None
    }

    fn identity(&self) -> Answer<'_, Identity> {
        let (unique, forgets) = (self.name(), Forgets::Never);
        Box::pin(std::future::ready(Ok(Identity { unique, replica_of: None, forgets })))
    }

    fn data(&self) -> Option<&dyn DataServer> {
        None
    }

    fn examine(&self, ttl: Duration) -> Examination<'_> {
        Box::pin(async move {
            match self.shared.here() {
                Ok(shared) => examine::examine(shared, ttl).await,
                Err(_forked) => Vec::new(),
            }
        })
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("nodes", &self.nodes)
            .field("outbox", &self.outbox)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proposals_stay_near_the_clock_however_long_leases_are() {
        let day = Duration::from_secs(24 * 3_600);
        for (max_ttl, near) in [(TTL_MAX, TTL_MAX / 4), (30 * day, NEAR_MAX)] {
            assert_eq!(QuorumOptions::default().with_max_ttl(max_ttl).near(), near);
        }
    }
    #[test]
    fn a_short_max_ttl_needs_no_node_timeout_beside_it() {
        let millis = Duration::from_millis;
        for (max_ttl, expected) in [(TTL_MAX, NODE_TIMEOUT), (millis(900), millis(300))] {
            let options = QuorumOptions::default().with_max_ttl(max_ttl);
            assert_eq!(options.node_timeout(), expected);
        }
    }
}
