//! Closing at the very moment of a grant: whoever gets a guard then holds nothing by it.

#![allow(clippy::disallowed_methods, reason = "tests limit time")]

use std::sync::Arc;
use std::time::Duration;

use tenure::store::Memory;
use tenure::{Locks, LocksOptions, seam};

const PATIENCE: Duration = Duration::from_secs(20);
const ROUNDS: u32 = 2_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn grant_that_meets_a_close_is_given_back() {
    let seam = seam::machine().expect("a clock and timers");
    let store = Memory::new(Arc::clone(&seam));
    let over = || Locks::over(Arc::new(store.clone()), Arc::clone(&seam), LocksOptions::default());
    let rival = over();
    let mut met = 0;
    for round in 0..ROUNDS {
        let closing = over();
        let guard = rival.mutex("key").acquire().await.expect("granted");
        let mutex = closing.mutex("key");
        let waiter = tokio::spawn(async move { mutex.acquire().await });
        while rival.mutex("key").inspect().await.expect("a look").waiters.is_empty() {
            tokio::task::yield_now().await;
        }
        let release = tokio::spawn(guard.release());
        let pause = Duration::from_micros(u64::from(round % 40));
        let started = std::time::Instant::now();
        while started.elapsed() < pause {
            std::hint::spin_loop();
        }
        closing.close(PATIENCE).await.expect("all was answered");
        release.await.expect("no panic").expect("released");
        let outcome = tokio::time::timeout(PATIENCE, waiter).await.expect("an end");
        if let Ok(guard) = outcome.expect("no panic") {
            met += 1;
            assert!(guard.check().is_err(), "round {round}: held after the close");
        }
        let left = rival.mutex("key").inspect().await.expect("a look");
        assert!(left.holders.is_empty() && left.waiters.is_empty(), "round {round}: {left:?}");
    }
    assert!(met > 0, "no close met a grant in {ROUNDS} rounds");
}
