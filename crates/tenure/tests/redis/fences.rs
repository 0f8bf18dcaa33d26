//! Fences grow although the server forgets everything: they are seeded by its clock.

use std::collections::BTreeMap;
use std::sync::Arc;

use tenure::store::{Redis, RedisOptions};
use tenure::{Fence, Locks, LocksOptions, runtime};
use tenure_testkit::{Flavour, Server};

use crate::world::{acquire, connect, ms, unhurried};

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

/// Where the script reads the time in place of the server's clock.
const CLOCK: &str = "test:clock";

async fn with_clock(server: &Server) -> Locks {
    let runtime = runtime::machine().expect("the machine's runtime starts");
    let options = RedisOptions { clock: Some(CLOCK.into()), ..RedisOptions::default() };
    let store = Redis::open_with(&unhurried(&server.url()), Arc::clone(&runtime), options).await;
    Locks::over(Arc::new(store.expect("the server answers")), runtime, LocksOptions::default())
}

#[tokio::test]
async fn fences_grow_while_the_servers_clock_goes_back() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let locks = with_clock(&server).await;
        let mut fences = BTreeMap::new();
        for round in 0..ROUNDS {
            let micros = 1_800_000_000_000_000_u64 - 3_600_000_000 * round as u64;
            server.command(&["SET", CLOCK, &micros.to_string()]);
            for key in ["a", "b", "a"] {
                let guard = acquire(&locks.mutex(key)).await;
                grows(fences.entry(key).or_default(), guard.fence());
                // A queue makes a record of it, which has a fence of its own.
                if round % 3 == 0 {
                    let queued = locks.mutex(key).with_wait(ms(1)).acquire().await;
                    assert!(queued.is_err(), "it is held");
                }
                guard.release().await.expect("released");
            }
        }
    }
}
