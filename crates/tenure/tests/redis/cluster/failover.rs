//! Masters that die, are replaced, or come back empty.

use std::time::Duration;

use tenure::runtime;
use tenure_testkit::{Cluster, Failover, Flavour};

use super::cluster;
use crate::world::{acquire, connect, ms, within};

/// A key of each master.
fn keys(cluster: &Cluster) -> Vec<String> {
    let masters: Vec<_> = cluster.masters().map(|node| node.id().to_owned()).collect();
    let of = |id: &str| {
        (0..)
            .map(|number| format!("failover {number}"))
            .find(|key| cluster.master_for(key).id() == id)
    };
    masters.iter().map(|id| of(id).expect("a key")).collect()
}

/// A replica takes over in order: everything was replicated, and no call fails.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_planned_failover_loses_no_lease_and_fails_no_call() {
    for flavour in Flavour::ALL {
        let cluster = cluster(flavour).await;
        let url = format!("{}?call_timeout=10s", cluster.url());
        let (locks, rival) = (connect(&url).await, connect(&url).await);
        for key in keys(&cluster) {
            let guard = acquire(&locks.mutex(&key)).await;
            let master = cluster.master_for(&key);
            let replica = cluster.replicas_of(master).next().expect("a replica");
            tokio::task::block_in_place(|| {
                cluster.failover(replica, Failover::Planned);
                cluster.wait_until_agreed();
            });
            within("a renewal", guard.extend_by(ms(60_000))).await.expect("held");
            let busy = within("an answer", rival.mutex(&key).try_acquire()).await;
            assert!(busy.expect("an answer").is_none(), "{key}");
            let fence = guard.fence();
            guard.release().await.expect("released");
            let next = acquire(&rival.mutex(&key)).await;
            assert!(next.fence() > fence);
            next.release().await.expect("released");
        }
    }
}

/// A waiter that has time comes through, at the replica that has taken over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_that_dies_is_replaced_and_callers_find_its_replica() {
    for flavour in Flavour::ALL {
        let cluster = Cluster::of(flavour).with_replicas(1).with_node_timeout(ms(1_000)).start();
        let (locks, rival) = (connect(&cluster.url()).await, connect(&cluster.url()).await);
        let key = "orphaned";
        let mutex = locks.mutex(key).with_ttl(ms(60_000));
        let guard = acquire(&mutex).await;
        // The replica has it.
        let master = cluster.master_for(key);
        assert_eq!(master.command(&["WAIT", "1", "10000"]).int(), 1);
        master.kill9();
        let before = guard.deadline();
        within("a renewal at the replica", guard.renewed(before)).await;
        let busy = within("an answer", rival.mutex(key).try_acquire()).await;
        assert!(busy.expect("an answer").is_none(), "the replica knows who holds");
        let fence = guard.fence();
        guard.release().await.expect("released");
        let next = acquire(&rival.mutex(key)).await;
        assert!(next.fence() > fence);
        next.release().await.expect("released");
    }
}

/// A master that comes back empty may have forgotten who holds, and another one has not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_restarted_empty_grants_nothing_new_for_the_guard_and_the_others_do() {
    const TTL: Duration = Duration::from_secs(3);
    let clock = runtime::machine().expect("a clock");
    for flavour in Flavour::ALL {
        let cluster = Cluster::of(flavour).with_node_timeout(Duration::from_secs(60)).start();
        let url = format!("{}?restart_guard=3s&call_timeout=5s", cluster.url());
        let (rival, locks) = (connect(&url).await, connect(&url).await);
        let keys = keys(&cluster);
        // Nobody renews it, so that only its deadline ends it. Each first start is guarded as well.
        let mutex = locks.mutex(&keys[0]).with_ttl(TTL).with_renewal(tenure::Renewal::Off);
        acquire(&mutex).await.release().await.expect("released");
        let other = locks.mutex(&keys[1]).with_ttl(TTL);
        acquire(&other).await.release().await.expect("released");
        let guard = acquire(&mutex).await;
        let deadline = guard.deadline();
        cluster.master_for(&keys[0]).restart_empty();
        let next = acquire(&rival.mutex(&keys[0]).with_ttl(TTL)).await;
        let now = clock.now();
        assert!(now >= deadline, "{flavour}: overlap of {:?}", deadline.since(now));
        assert!(next.fence() > guard.fence());
        assert!(guard.check().is_err());
        next.release().await.expect("released");
        acquire(&other).await.release().await.expect("released");
    }
}
