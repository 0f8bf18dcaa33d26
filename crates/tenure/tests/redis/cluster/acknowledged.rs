//! Grants that replicas acknowledge, in a cluster: each master has its own.

use tenure::{ErrorKind, Guard};
use tenure_testkit::{Cluster, Flavour, Server, slot_of};

use super::cluster;
use crate::world::{acquire, connect, ms, until, within};

const LOCKS: usize = 64;

/// Takes locks of all slots side by side.
async fn take_many(url: &str) -> Vec<Guard> {
    let locks = connect(url).await;
    let take = |number| {
        let mutex = locks.mutex(format!("ack {number}"));
        tokio::spawn(async move { acquire(&mutex).await })
    };
    let mut guards = Vec::new();
    for task in (0..LOCKS).map(take).collect::<Vec<_>>() {
        guards.push(within("a grant", task).await.expect("no panic"));
    }
    guards
}

/// The servers that copy masters now.
fn replicas(cluster: &Cluster) -> Vec<&Server> {
    let of_each = cluster.masters().flat_map(|master| cluster.replicas_of(master));
    of_each.map(|replica| &**replica).collect()
}

fn has(server: &Server, key: &str) -> bool {
    // A replica answers nothing about a single key.
    !server.command(&["KEYS", key]).list().is_empty()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_grant_is_on_a_replica_of_its_master_and_none_is_left_otherwise() {
    for flavour in Flavour::ALL {
        let cluster = cluster(flavour).await;
        let url = |parameters: &str| format!("{}?ack=1&{parameters}", cluster.url());
        let guards = take_many(&url("ack_timeout=15s&call_timeout=30s")).await;
        let replicas = replicas(&cluster);
        for guard in guards {
            let key = guard.key().as_str().to_owned();
            assert!(replicas.iter().any(|replica| has(replica, &key)), "{flavour}: {key}");
            guard.release().await.expect("released");
        }
        // Of a slot on its way that has nothing yet: its node sends us to the next one.
        let key = "ack of an empty slot";
        let locks = connect(&url("ack_timeout=15s&call_timeout=30s")).await;
        let target = cluster.masters().find(|node| node.id() != cluster.master_for(key).id());
        let moving = cluster.begin_move(slot_of(key), target.expect("another"));
        let guard = acquire(&locks.mutex(key)).await;
        assert!(replicas.iter().any(|replica| has(replica, key)), "{flavour}");
        guard.release().await.expect("released");
        tokio::task::block_in_place(|| moving.finish());

        let short = connect(&url("ack_timeout=100ms")).await;
        replicas.iter().for_each(|replica| replica.stop());
        for number in 0..5 {
            let key = format!("ack {number}");
            let answer = within("an answer", short.mutex(&key).try_acquire()).await;
            let error = answer.expect_err("no replica has it");
            assert_eq!(
                (error.kind(), error.may_hold()),
                (ErrorKind::Unavailable, false),
                "{error}"
            );
            let text = error.to_string();
            assert!(text.contains("0 of 1 replicas acknowledged within 100ms"), "{text}");
            assert!(!has(cluster.master_for(&key), &key), "{flavour}: held by nobody");
        }
        let both = short.all(["{ack}1", "{ack}2"]);
        let error = within("an answer", both.try_acquire()).await.expect_err("no replica has both");
        assert!(!error.may_hold(), "{error}");
        replicas.iter().for_each(|replica| replica.cont());
        until("replicas acknowledge again", async || {
            let answer = short.mutex("ack 1").with_wait(ms(2_000)).acquire().await;
            answer.is_ok()
        })
        .await;
        cluster.wait_until_agreed();
    }
}
