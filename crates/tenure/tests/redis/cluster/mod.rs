//! A cluster of real nodes: keys of all slots, slots that move, nodes that fail.

mod acknowledged;
mod declared;
mod failover;
mod fronts;
mod nodes;
mod outages;
mod replies;
mod resharding;
mod rights;
mod slots;

use std::sync::OnceLock;

use tenure_testkit::{Cluster, Flavour};
use tokio::sync::{Mutex, MutexGuard};

/// One cluster of each flavour serves all tests of this program, one test at a time.
async fn cluster(flavour: Flavour) -> MutexGuard<'static, Cluster> {
    static CLUSTERS: [OnceLock<Mutex<Cluster>>; 2] = [OnceLock::new(), OnceLock::new()];
    let index = usize::from(flavour == Flavour::Valkey);
    let start = || Mutex::new(Cluster::of(flavour).with_masters(3).with_replicas(1).start());
    CLUSTERS[index].get_or_init(start).lock().await
}
