//! Fences grow although the server forgets everything: they are seeded by its clock.

use tenure::Fence;
use tenure_testkit::{Flavour, Server};

use crate::world::{acquire, connect};

const ROUNDS: usize = 25;

/// Appends a fence that must be larger than all before it.
fn grows(fences: &mut Vec<Fence>, fence: Fence) {
    let last = fences.last();
    assert!(last.is_none_or(|last| fence > *last), "{fence} after {last:?}");
    fences.push(fence);
}

#[tokio::test]
async fn fences_grow_across_kills_of_a_server_without_a_disk() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let mut fences = Vec::new();
        for _ in 0..ROUNDS {
            let locks = connect(&server.url()).await;
            for _ in 0..3 {
                let guard = acquire(&locks.mutex("key")).await;
                grows(&mut fences, guard.fence());
                guard.release().await.expect("released");
            }
            // Killed while it is held.
            grows(&mut fences, acquire(&locks.mutex("key")).await.fence());
            server.restart_empty();
        }
        println!("{flavour}: {} fences over {ROUNDS} empty restarts, all larger", fences.len());
    }
}

#[tokio::test]
async fn fences_grow_across_flushall_while_held() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let locks = connect(&server.url()).await;
        let mut fences = Vec::new();
        for _ in 0..ROUNDS {
            let guard = acquire(&locks.mutex("key")).await;
            grows(&mut fences, guard.fence());
            server.command(&["FLUSHALL"]);
            let next = acquire(&locks.mutex("key")).await;
            grows(&mut fences, next.fence());
            // The one that was flushed away must not free its successor.
            let _gone = guard.release().await;
            let seen = locks.mutex("key").inspect().await.expect("a look");
            assert_eq!(seen.holders.first().map(|h| h.fence), Some(next.fence()));
            next.release().await.expect("released");
        }
        assert_eq!(fences.len(), 2 * ROUNDS);
    }
}
