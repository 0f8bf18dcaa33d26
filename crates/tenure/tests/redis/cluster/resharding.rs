//! A slot on its way between two nodes, while its locks are held and waited for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tenure::Guard;
use tenure_testkit::{Cluster, Flavour, Node, slot_of};

use super::cluster;
use crate::world::{acquire, connect, granted, ms, take, until_waiting, waiting, within};

const HELD: usize = 1_000;
const WAITING: usize = 50;

/// Moves a slot to another master, on a thread that may block, while this one goes on.
fn move_away(cluster: &Cluster, slot: u16) {
    let from = cluster.master_of(slot);
    let to = cluster.masters().find(|node| node.id() != from.id()).expect("another");
    cluster.move_slot(slot, to);
}

/// Leases are renewed, waiters keep their places and their turn, and no call fails.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_that_moves_under_load_loses_no_lease_and_fails_no_call() {
    for flavour in Flavour::ALL {
        let cluster = cluster(flavour).await;
        let (locks, rival) = (connect(&cluster.url()).await, connect(&cluster.url()).await);
        let key = |number: usize| format!("{{load}}:{number}");
        let slot = slot_of("load");
        let mut held: Vec<Guard> = Vec::new();
        for number in 0..HELD {
            held.push(take(&locks, &key(number)).await);
        }
        let mut waiters: Vec<_> =
            (0..WAITING).map(|number| waiting(rival.mutex(key(number)))).collect();
        for number in 0..WAITING {
            until_waiting(&locks, &key(number), 1).await;
        }
        let ended = Arc::new(AtomicBool::new(false));
        let cycles = {
            let (locks, ended) = (rival.clone(), Arc::clone(&ended));
            tokio::spawn(async move {
                let (mut last, mut count) = (None, 0);
                while !ended.load(Ordering::Relaxed) {
                    let guard = acquire(&locks.mutex("{load}:again and again")).await;
                    assert!(last < Some(guard.fence()), "{:?} after {last:?}", guard.fence());
                    last = Some(guard.fence());
                    guard.release().await.expect("released");
                    count += 1;
                }
                count
            })
        };
        for _ in 0..6 {
            tokio::task::block_in_place(|| move_away(&cluster, slot));
            for guard in &held {
                guard.check().expect("held");
            }
            within("a renewal", held[HELD - 1].extend_by(ms(120_000))).await.expect("held");
        }
        ended.store(true, Ordering::Relaxed);
        assert!(cycles.await.expect("no call fails") > 0);
        for (number, guard) in held.drain(..).enumerate() {
            let fence = guard.fence();
            guard.release().await.expect("released");
            if number < WAITING {
                let next = granted(waiters.remove(0)).await;
                assert!(next.fence() > fence);
                next.release().await.expect("released");
            }
        }
    }
}

/// One half of a lock's parts is here and the other half there: nobody can answer then, and the
/// call waits for the end of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_wait_for_a_slot_that_is_half_way() {
    for flavour in Flavour::ALL {
        let cluster = cluster(flavour).await;
        let url = format!("{}?call_timeout=10s", cluster.url());
        let (locks, rival) = (connect(&url).await, connect(&url).await);
        let key = "half way";
        let slot = slot_of(key);
        let guard = take(&locks, key).await;
        let waiter = waiting(rival.mutex(key));
        until_waiting(&locks, key, 1).await;
        let from = cluster.master_of(slot);
        let to = cluster.masters().find(|node| node.id() != from.id()).expect("another");
        let half = cluster.begin_move(slot, to);
        half.carry_keys(&[key]);
        let release = tokio::spawn(async move {
            let fence = guard.fence();
            guard.release().await.expect("released");
            fence
        });
        tokio::time::sleep(ms(200)).await;
        assert!(!release.is_finished(), "nobody can know who waits");
        tokio::task::block_in_place(|| half.finish());
        let fence = within("the release", release).await.expect("no panic");
        let next = granted(waiter).await;
        assert!(next.fence() > fence);
        next.release().await.expect("released");
    }
}

/// A move fails over a key that is at both nodes: a program must not write at the new one what is
/// still to come from the old one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_that_comes_back_meets_nothing_of_its_own() {
    for flavour in Flavour::ALL {
        let cluster = cluster(flavour).await;
        let locks = connect(&format!("{}?call_timeout=300ms", cluster.url())).await;
        let key = "there and back";
        let slot = slot_of(key);
        let numbers = |from: &Node| {
            let all = from.command(&["CLUSTER", "GETKEYSINSLOT", &slot.to_string(), "100"]);
            let names: Vec<_> = all.list().iter().map(|name| name.text().unwrap()).collect();
            names.into_iter().partition::<Vec<_>, _>(|name| name.contains("calls:"))
        };
        // Each move leaves the number of a sender behind; one after the other comes last.
        for late in 0..4 {
            acquire(&locks.mutex(key)).await.release().await.expect("released");
            let from = cluster.master_of(slot);
            let to = cluster.masters().find(|node| node.id() != from.id()).expect("another");
            let half = cluster.begin_move(slot, to);
            let (mut calls, others) = numbers(from);
            let last = calls.remove(late % calls.len());
            for name in calls.iter().chain(&others) {
                half.carry_keys(&[name]);
            }
            // It may have to wait for the last one, too.
            let taken = locks.mutex(key).try_acquire().await;
            tokio::task::block_in_place(|| half.finish());
            if let Ok(Some(guard)) = taken {
                guard.release().await.expect("released");
            }
            println!("{flavour}: {last} came last");
        }
    }
}

/// All of a lock has moved, or there has been none yet: the new node is asked this one time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_is_taken_at_the_node_that_is_about_to_have_its_slot() {
    for flavour in Flavour::ALL {
        let cluster = cluster(flavour).await;
        let (locks, rival) = (connect(&cluster.url()).await, connect(&cluster.url()).await);
        let key = "about to have";
        let slot = slot_of(key);
        let from = cluster.master_of(slot);
        let to = cluster.masters().find(|node| node.id() != from.id()).expect("another");
        let half = cluster.begin_move(slot, to);
        let guard = take(&locks, key).await;
        assert!(within("an answer", rival.mutex(key).try_acquire()).await.unwrap().is_none());
        half.cancel();
        guard.check().expect("held");
        guard.release().await.expect("released");
        let again = take(&rival, key).await;
        again.release().await.expect("released");
    }
}
