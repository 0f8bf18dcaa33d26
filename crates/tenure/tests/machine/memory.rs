//! The memory store remembers keys in use, and forgets the others in time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tenure::store::Memory;
use tenure::{Fence, Locks, LocksOptions, runtime};

const PATIENCE: Duration = Duration::from_secs(60);
const RETENTION: Duration = Duration::from_millis(300);

#[tokio::test]
async fn two_thousand_one_off_keys_leave_nothing() {
    let runtime = runtime::machine().expect("a clock and timers");
    let store = Memory::with_retention(Arc::clone(&runtime), RETENTION);
    let locks = Locks::over(Arc::new(store.clone()), runtime, LocksOptions::default());
    let mut largest = Fence::default();
    let mut most = 0;
    for number in 0..2_000 {
        let guard = locks.mutex(format!("one-off {number}")).acquire().await.expect("granted");
        largest = largest.max(guard.fence());
        guard.release().await.expect("released");
        most = most.max(store.keys());
    }
    assert!(most > 0, "a fence is remembered for a while");
    let started = Instant::now();
    while store.keys() > 1 {
        assert!(started.elapsed() < PATIENCE, "{} keys are left", store.keys());
        // A store forgets with the steps of whoever comes next.
        drop(locks.mutex("next").try_acquire().await.expect("an answer"));
        tokio::task::yield_now().await;
    }
    let again = locks.mutex("one-off 7").acquire().await.expect("granted");
    assert!(again.fence() > largest, "a forgotten fence came again");
}
