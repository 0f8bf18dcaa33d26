//! The settings of a cluster, and how one is made of them without redis-cli.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::flavour::Flavour;
use crate::network::Host;
use crate::server::{KIT, Server, ServerOptions};

use super::{Cluster, Node, slot};

/// The settings of a cluster. See [`Cluster::of`].
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    flavour: Flavour,
    masters: usize,
    replicas: usize,
    node_timeout: Duration,
    full_coverage: bool,
    /// Further lines of the configuration of every node.
    lines: Vec<String>,
    /// The host of each node; empty if all are on loopback.
    hosts: Vec<Arc<Host>>,
}

impl ClusterOptions {
    pub(super) fn new(flavour: Flavour) -> Self {
        Self {
            flavour,
            masters: 3,
            replicas: 0,
            node_timeout: Duration::from_secs(2),
            full_coverage: true,
            lines: Vec::new(),
            hosts: Vec::new(),
        }
    }

    /// How many masters; 3 by default. They share the slots equally, in order.
    #[must_use]
    pub fn with_masters(mut self, masters: usize) -> Self {
        self.masters = masters;
        self
    }

    /// How many replicas each master has; none by default.
    #[must_use]
    pub fn with_replicas(mut self, replicas: usize) -> Self {
        self.replicas = replicas;
        self
    }

    /// `cluster-node-timeout`; 2 s by default. With less, a busy machine sees failures that no
    /// test has made.
    #[must_use]
    pub fn with_node_timeout(mut self, timeout: Duration) -> Self {
        self.node_timeout = timeout;
        self
    }

    /// `cluster-require-full-coverage no`: the slots of running masters are served while those of
    /// others are not.
    #[must_use]
    pub fn with_partial_coverage(mut self) -> Self {
        self.full_coverage = false;
        self
    }

    /// Any line of the configuration of every node.
    #[must_use]
    pub fn with(mut self, line: impl Into<String>) -> Self {
        self.lines.push(line.into());
        self
    }

    /// The password of the user `default` at every node.
    #[must_use]
    pub fn with_password(self, password: &str) -> Self {
        self.with(format!("requirepass {password}"))
    }

    /// A user of every node, as [`ServerOptions::with_user`].
    #[must_use]
    pub fn with_user(self, name: &str, rules: &str) -> Self {
        self.with(format!("user {name} {rules}"))
    }

    /// The host of each node, in the order of [`Cluster::nodes`].
    #[must_use]
    pub fn on(mut self, hosts: impl IntoIterator<Item = Arc<Host>>) -> Self {
        self.hosts = hosts.into_iter().collect();
        self
    }

    /// Starts it, and waits until all nodes agree and all replicas are linked.
    ///
    /// # Panics
    /// If it has no master or a node without a host, or is not ready in time; the message says
    /// what is missing.
    #[must_use]
    #[track_caller]
    pub fn start(self) -> Cluster {
        assert!(self.masters > 0, "a cluster has masters");
        let count = self.masters * (1 + self.replicas);
        assert!(self.hosts.is_empty() || self.hosts.len() == count, "a host for each node");
        let options: Vec<_> = (0..count).map(|n| self.node(n)).collect();
        let nodes = thread::scope(|scope| {
            let starting: Vec<_> =
                options.into_iter().map(|node| scope.spawn(|| Node::start(node))).collect();
            starting.into_iter().map(|node| node.join().expect("a node starts")).collect()
        });
        let cluster = Cluster { nodes };
        self.join(&cluster);
        cluster.wait_until_agreed();
        cluster
    }

    fn node(&self, n: usize) -> ServerOptions {
        let server = Server::of(self.flavour)
            .as_cluster_node()
            .with(format!("cluster-node-timeout {}", self.node_timeout.as_millis()))
            .with(format!(
                "cluster-require-full-coverage {}",
                if self.full_coverage { "yes" } else { "no" }
            ))
            // Replicas stay with their masters, as the test has placed them.
            .with("cluster-allow-replica-migration no")
            .with(format!("masteruser {KIT}"))
            .with(format!("masterauth {KIT}"));
        let server = self.lines.iter().fold(server, ServerOptions::with);
        self.hosts.get(n).into_iter().fold(server, ServerOptions::on)
    }

    /// Makes one cluster of the nodes. Every node has an epoch of its own and knows its slots
    /// before it meets another, so that they have no conflict to settle.
    #[track_caller]
    fn join(&self, cluster: &Cluster) {
        let (masters, replicas) = cluster.nodes.split_at(self.masters);
        for (n, node) in cluster.nodes.iter().enumerate() {
            node.ok(&["CLUSTER", "SET-CONFIG-EPOCH", &(n + 1).to_string()]);
        }
        for (n, master) in masters.iter().enumerate() {
            let slots = slot::share(n, masters.len());
            let (first, last) = (slots.start.to_string(), (slots.end - 1).to_string());
            master.ok(&["CLUSTER", "ADDSLOTSRANGE", &first, &last]);
        }
        for (n, node) in cluster.nodes.iter().enumerate() {
            for other in &cluster.nodes[..n] {
                let (address, bus) = (other.address(), other.bus().to_string());
                let (ip, port) = (address.ip().to_string(), address.port().to_string());
                node.ok(&["CLUSTER", "MEET", &ip, &port, &bus]);
            }
        }
        cluster.wait_until_met();
        for (n, replica) in replicas.iter().enumerate() {
            replica.ok(&["CLUSTER", "REPLICATE", masters[n % masters.len()].id()]);
        }
    }
}
