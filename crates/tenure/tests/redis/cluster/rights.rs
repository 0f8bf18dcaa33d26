//! The rights that SAFETY.md names for the nodes of a cluster: enough for everything, also for a
//! slot that moves, and under a restart guard.

use tenure::ErrorKind;
use tenure_testkit::{Cluster, Flavour, slot_of};

use crate::refused::the_innocent_among_the_refused;
use crate::rights::documented_for_clusters;
use crate::world::{acquire, connect, granted, ms, take, until_waiting, waiting, within};

fn url(cluster: &Cluster) -> String {
    cluster.url().replace("://", "://tenure:PASSWORD@")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_with_these_rights_can_do_everything_while_slots_move() {
    for flavour in Flavour::ALL {
        let cluster = Cluster::of(flavour).with_user("tenure", &documented_for_clusters()).start();
        let locks = connect(&format!("{}?call_timeout=10s", url(&cluster))).await;
        let rival = connect(&url(&cluster)).await;
        // Each with its parts under names of another kind.
        for key in ["jobs:plain", "jobs:a{b}c", "jobs:a}b", "jobs:{"] {
            let guard = take(&locks, key).await;
            let waiter = waiting(rival.mutex(key));
            until_waiting(&locks, key, 1).await;
            let slot = slot_of(key);
            let from = cluster.master_of(slot).id().to_owned();
            let to = cluster.masters().find(|node| node.id() != from).expect("another");
            tokio::task::block_in_place(|| cluster.move_slot(slot, to));
            within("a renewal", guard.extend_by(ms(60_000))).await.expect("renewed");
            assert_eq!(locks.list("jobs:", None, 10).await.expect("a list").len(), 1, "{key}");
            guard.release().await.expect("released");
            granted(waiter).await.release().await.expect("released");
        }
        // Nothing of it has been where it was, so the new node is asked at once.
        let (key, slot) = ("jobs:asked", slot_of("jobs:asked"));
        let from = cluster.master_of(slot).id().to_owned();
        let to = cluster.masters().find(|node| node.id() != from).expect("another");
        let half = cluster.begin_move(slot, to);
        take(&locks, key).await.release().await.expect("released");
        tokio::task::block_in_place(|| half.finish());
        take(&rival, key).await.release().await.expect("released");
        // Each node is known for less than the guard, and then grants.
        let guarded = connect(&format!("{}?restart_guard=4s", url(&cluster))).await;
        let mutex = guarded.mutex("jobs:guarded").with_ttl(ms(4_000));
        acquire(&mutex).await.release().await.expect("released");
        let error = within("an answer", locks.mutex("payroll").try_acquire()).await;
        assert_eq!(error.expect_err("no right to it").kind(), ErrorKind::Refused);
    }
}

/// Keys of one slot have one part of a call, and are not refused for each other either.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_beyond_the_rights_costs_its_neighbours_in_the_slot_nothing() {
    for flavour in Flavour::ALL {
        let rules = documented_for_clusters().replace("jobs:", "{one}:ok:");
        let cluster = Cluster::of(flavour).with_user("tenure", &rules).start();
        let locks = connect(&url(&cluster)).await;
        the_innocent_among_the_refused(&locks, "{one}:ok:", "{one}:bad:").await;
    }
}
