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
use std::time::Duration;

use tenure_testkit::{Cluster, Flavour};
use tokio::sync::{Mutex, MutexGuard};

const LONG: Duration = Duration::from_secs(15);

/// One cluster of each flavour serves all tests of this program, one test at a time.
async fn cluster(flavour: Flavour) -> MutexGuard<'static, Cluster> {
    static CLUSTERS: [OnceLock<Mutex<Cluster>>; 2] = [OnceLock::new(), OnceLock::new()];
    let index = usize::from(flavour == Flavour::Valkey);
    // No replica takes the place of a master that a busy machine does not run for a while.
    let options = || Cluster::of(flavour).with_masters(3).with_replicas(1).with_node_timeout(LONG);
    let start = || Mutex::new(options().start());
    CLUSTERS[index].get_or_init(start).lock().await
}
