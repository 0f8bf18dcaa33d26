//! Three masters of a cluster with a replica each. All keys are of one slot of the first master.

use std::sync::Arc;
use std::time::Duration;

use tenure_testkit::{Cluster, Failover, Flavour, Server, slot_of};

use super::{Hosts, Setting, Topology};

/// Time without an answer after which a node is taken for failed.
const NODE_TIMEOUT: Duration = Duration::from_secs(1);

/// Nodes of the cluster, the first of which is struck.
const NODES: usize = 6;

pub(super) fn start(flavour: Flavour, setting: Setting, hosts: Option<&Hosts>) -> OfCluster {
    let mut options = Cluster::of(flavour)
        .with_replicas(1)
        .with_node_timeout(NODE_TIMEOUT)
        .with_partial_coverage();
    for line in setting.lines() {
        options = options.with(line);
    }
    if let Some([few, most]) = hosts {
        let rest = std::iter::repeat_n(most, NODES - 1);
        options = options.on(std::iter::once(few).chain(rest).map(Arc::clone));
    }
    let cluster = options.start();
    let first = cluster.nodes()[0].id();
    let tag = (0..).map(|n: u32| format!("{{{n}}}")).find(|tag| {
        // Its owner does not change before the fault.
        cluster.master_of(slot_of(tag)).id() == first
    });
    let prefix = tag.expect("a third of all tags are the first master's") + "stock-";
    OfCluster { cluster, prefix }
}

#[derive(Debug)]
pub(super) struct OfCluster {
    cluster: Cluster,
    prefix: String,
}

impl Topology for OfCluster {
    fn url(&self) -> String {
        self.cluster.url()
    }

    fn prefix(&self) -> String {
        self.prefix.clone()
    }

    fn master(&self) -> &Server {
        &self.cluster.nodes()[0]
    }

    fn replicas(&self) -> Vec<&Server> {
        // In the order of their masters, behind them.
        vec![&self.cluster.nodes()[NODES / 2]]
    }

    fn switch(&self) {
        self.cluster.failover(&self.cluster.nodes()[NODES / 2], Failover::Planned);
    }

    fn settle(&self) {
        self.cluster.wait_until_agreed();
    }
}
