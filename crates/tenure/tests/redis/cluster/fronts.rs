//! A proxy before each node of a cluster. The nodes announce the ports of the proxies, so that
//! clients go through them.

use std::collections::HashMap;

use tenure_testkit::{Cluster, Node, Proxy, wait_until};

/// The proxies of a cluster, by the ids of the nodes.
pub(crate) struct Fronts {
    proxies: HashMap<String, Proxy>,
}

impl Fronts {
    /// Returns when each node names the proxies and no other port.
    pub(crate) fn before(cluster: &Cluster) -> Self {
        let mut proxies = HashMap::new();
        for node in cluster.nodes() {
            let proxy = Proxy::to(node.address());
            announce(cluster, node, &proxy);
            proxies.insert(node.id().to_owned(), proxy);
        }
        Self { proxies }
    }

    /// The proxy before a node.
    pub(crate) fn of(&self, node: &Node) -> &Proxy {
        &self.proxies[node.id()]
    }

    /// `redis+cluster://` with all proxies.
    pub(crate) fn url(&self) -> String {
        let all: Vec<_> = self.proxies.values().map(|proxy| proxy.address().to_string()).collect();
        format!("redis+cluster://{}", all.join(","))
    }

    /// Puts another proxy before a node; the one before refuses everybody from now on.
    pub(crate) fn move_away(&self, cluster: &Cluster, node: &Node) -> Proxy {
        let next = Proxy::to(node.address());
        announce(cluster, node, &next);
        self.of(node).set_refusing(true);
        self.of(node).cut();
        next
    }
}

/// Has a node announce a proxy's port, and waits until all others know it.
fn announce(cluster: &Cluster, node: &Node, proxy: &Proxy) {
    let port = proxy.port().to_string();
    node.command(&["CONFIG", "SET", "cluster-announce-port", &port]);
    wait_until("all nodes name the proxy", || {
        let names = |other: &Node| other.command(&["CLUSTER", "SLOTS"]).to_string().contains(&port);
        cluster.nodes().iter().all(names)
    });
}
