//! Keys of many slots, and slots that move.

use tenure_testkit::{Flavour, slot_of};

use super::cluster;
use crate::world::{acquire, connect, granted, ms, take, until_waiting, waiting, within};

#[tokio::test]
async fn locks_of_all_nodes_are_taken_held_waited_for_and_given_back() {
    for flavour in Flavour::ALL {
        let cluster = cluster(flavour).await;
        let (locks, rival) = (connect(&cluster.url()).await, connect(&cluster.url()).await);
        // With braces in each place that a hash tag can make trouble.
        for key in ["a", "b", "c", "d", "{a}:1", "x{b}", "{}x", "a}b", "}{", "{a", "{{a}}", "{}{a}"]
        {
            let key = &format!("basics {key}");
            let guard = take(&locks, key).await;
            let other = within("an answer", rival.mutex(key).try_acquire()).await;
            assert!(other.expect("an answer").is_none(), "{key}");
            let waiter = waiting(rival.mutex(key));
            until_waiting(&locks, key, 1).await;
            let first = guard.fence();
            guard.release().await.expect("an answer");
            let next = granted(waiter).await;
            assert!(next.fence() > first, "{key}");
            next.release().await.expect("an answer");
        }
    }
}

#[tokio::test]
async fn many_tasks_on_keys_of_all_slots_go_together() {
    for flavour in Flavour::ALL {
        let cluster = cluster(flavour).await;
        let locks = connect(&cluster.url()).await;
        let tasks: Vec<_> = (0..64)
            .map(|task| {
                let locks = locks.clone();
                tokio::spawn(async move {
                    let mut last = None;
                    for _ in 0..50 {
                        let guard = acquire(&locks.mutex(format!("crowd {task}"))).await;
                        assert!(last < Some(guard.fence()));
                        last = Some(guard.fence());
                        guard.release().await.expect("an answer");
                    }
                })
            })
            .collect();
        for task in tasks {
            within("the end", task).await.expect("no panic");
        }
    }
}

#[tokio::test]
async fn a_slot_that_moves_takes_its_locks_and_fences_along() {
    for flavour in Flavour::ALL {
        let cluster = cluster(flavour).await;
        let locks = connect(&cluster.url()).await;
        let key = "moving";
        let slot = slot_of(key);
        let mut last = None;
        for _ in 0..3 {
            let from = cluster.master_of(slot);
            let to = cluster.masters().find(|node| node.id() != from.id()).expect("another");
            let guard = acquire(&locks.mutex(key)).await;
            assert!(last < Some(guard.fence()), "{:?} after {last:?}", guard.fence());
            cluster.move_slot(slot, to);
            guard.extend_by(ms(60_000)).await.expect("held");
            last = Some(guard.fence());
            guard.release().await.expect("an answer");
            let next = acquire(&locks.mutex(key)).await;
            assert!(last < Some(next.fence()));
            last = Some(next.fence());
            next.release().await.expect("an answer");
        }
    }
}
