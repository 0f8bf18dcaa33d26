//! Uses that users of other libraries know, done with Tenure: one case for each, with its values as
//! options.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tenure::{ErrorKind, Lease, LostReason, Released, Renewal, Ticket};

use crate::world::{
    PATIENCE, World, acquire, in_time, ms, outcome, too_late, until, waiting, within,
};

/// No pause of a busy machine is as long as the time between a renewal and its end.
const TTL: Duration = Duration::from_secs(5);

super::over_every_store! {
    redis_py_lock,
    redis_py_lock_that_expired_before_its_end,
    redsync_mutex_handed_over_by_value,
    asyncio_distributed_lock,
    asyncio_distributed_lock_decrements_a_stock,
    heartbeat_lock_with_compensation,
    simple_redis_lock,
    short_lived_runtimes_share_locks,
    blocked_workers_keep_their_lease,
}

/// `Lock(redis, "name", timeout=10, blocking_timeout=…, token=…)`: acquire, extend by an
/// additional time or to a new one, reacquire, locked, owned, release.
async fn redis_py_lock(world: World) {
    let lock = world.locks().mutex("name").with_ttl(ms(10_000)).with_owner("token");
    let lock = lock.with_renewal(Renewal::Off);
    let guard = within("the lock", PATIENCE, lock.acquire()).await.expect("granted");
    // blocking=False
    let other = world.rival().mutex("name");
    assert!(other.try_acquire().await.expect("a look").is_none());
    // blocking_timeout=1.5
    let hasty = other.clone().with_wait(ms(1_500));
    let busy = too_late(async || hasty.acquire().await).await;
    assert_eq!(busy.kind(), ErrorKind::Busy);
    // extend(additional_time=5), extend(20, replace_ttl=True), reacquire()
    guard.extend_by(ms(5_000)).await.expect("extended");
    assert!(guard.remaining() > ms(10_000));
    guard.extend_to(ms(20_000)).await.expect("extended");
    guard.extend_to(ms(10_000)).await.expect("it never shortens");
    assert!(guard.remaining() > ms(10_000));
    // locked(), owned()
    assert!(other.held_by_anyone().await.expect("a look"));
    assert!(lock.held_by_me().await.expect("a look") && guard.held());
    assert_eq!(guard.release().await.expect("an answer"), Released::Released);
    // The one that gave up may be granted for a moment, until its withdrawal arrives.
    until("nobody's", async || !other.held_by_anyone().await.expect("a look")).await;
}

/// The context manager's end: `LockNotOwnedError` by default, a line in the log with
/// `raise_on_release_error=False`, and the body's own error unchanged.
async fn redis_py_lock_that_expired_before_its_end(world: World) {
    let lock = world.locks().mutex("name").with_ttl(ms(100)).with_renewal(Renewal::Off);
    let body = |lease: Lease| async move {
        lease.lost().await;
        42
    };
    let ended = async || in_time(async || lock.run_to_end(body).await).await.expect("acquired");
    let strict = ended().await.or_lost().expect_err("expired");
    assert_eq!((strict.value, strict.reason), (42, LostReason::Expired));
    assert_eq!(ended().await.value(), 42);
    let failing = |lease: Lease| async move {
        lease.lost().await;
        Err::<(), _>(std::io::Error::other("the body's own"))
    };
    let failed = in_time(async || lock.run_to_end(failing).await).await.expect("acquired");
    let error = failed.value().expect_err("its own");
    assert_eq!(error.to_string(), "the body's own");
}

/// `NewMutex(name, WithValue(v), WithTries(32), WithRetryDelay(d), WithExpiry(8s))`: one task
/// acquires and puts the value into a queue with the job; another process releases. `Until()`,
/// `Extend()`.
async fn redsync_mutex_handed_over_by_value(world: World) {
    let mutex = world.locks().mutex("order:7").with_ttl(ms(8_000)).with_retry(32, ms(50));
    let mutex = mutex.with_owner("job-4711").with_renewal(Renewal::Off);
    let guard = within("the lock", PATIENCE, mutex.acquire()).await.expect("granted");
    let until = guard.deadline();
    guard.extend_to(ms(9_000)).await.expect("extended");
    assert!(guard.deadline() > until);
    let value = guard.owner().value().to_owned();
    let ticket: Ticket = guard.hand_over(ms(60_000)).await.expect("a ticket");
    // In another process, by the value alone:
    let worker = world.rival();
    assert!(worker.mutex("order:7").try_acquire().await.expect("a look").is_none());
    let released = worker.release_owner("order:7", &value).await.expect("an answer");
    assert_eq!(released, Released::Released);
    assert_eq!(worker.adopt(&ticket).await.expect_err("it is over").kind(), ErrorKind::Lost);
    // Fail fast.
    let busy = acquire(&worker.mutex("order:7")).await;
    assert!(mutex.try_acquire().await.expect("an answer").is_none());
    drop(busy);
}

/// `DistributedLock(name, ttl=30, retry_times=…, retry_delay=0.5, auto_renewal=…)`: scopes that
/// fail with an exception, acquire by hand with False, `is_locked_by_anyone`, `is_locked_by_me`.
async fn asyncio_distributed_lock(world: World) {
    let lock = world.locks().mutex("cron").with_ttl(ms(30_000)).with_renewal(Renewal::Off);
    let guard = acquire(&lock).await;
    // retry_times=3, retry_delay=0.5: an exception in the scoped form, False by hand.
    let other = world.rival().mutex("cron").with_retry(3, ms(500));
    let error = other.run(|_| async { tenure::ok(()) }).await.expect_err("it is held");
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert!(other.try_acquire().await.expect("a look").is_none());
    guard.extend_by(ms(10_000)).await.expect("additional_time");
    assert!(other.held_by_anyone().await.expect("a look") && guard.held());
    guard.release().await.expect("released");
    // auto_renewal=True, renewal_interval=ttl/3: it outlives its ttl.
    let renewed = lock.with_ttl(TTL).with_renewal(Renewal::Every(ms(100)));
    let outlived = renewed.run(|lease| async move {
        lease.renewed(lease.deadline() + TTL).await;
        tenure::ok(lease.held())
    });
    assert!(within("the work", PATIENCE, outlived).await.expect("ran"));
}

/// Fifty buyers, ten pieces: no oversell.
async fn asyncio_distributed_lock_decrements_a_stock(world: World) {
    let (stock, sold) = (Arc::new(AtomicU32::new(10)), Arc::new(AtomicU32::new(0)));
    let buyers: Vec<_> = (0..50)
        .map(|number| {
            let locks = if number % 2 == 0 { world.locks() } else { world.rival() };
            let (mutex, stock, sold) = (locks.mutex("stock:1"), stock.clone(), sold.clone());
            tokio::spawn(async move {
                let buy = |_| async move {
                    // Read, think, write: what the lock is for.
                    let left = stock.load(Ordering::SeqCst);
                    tokio::task::yield_now().await;
                    if left > 0 {
                        stock.store(left - 1, Ordering::SeqCst);
                        sold.fetch_add(1, Ordering::SeqCst);
                    }
                    tenure::ok(())
                };
                mutex.run(buy).await
            })
        })
        .collect();
    for buyer in buyers {
        within("every buyer", PATIENCE, buyer).await.expect("no panic").expect("its turn");
    }
    assert_eq!((stock.load(Ordering::SeqCst), sold.load(Ordering::SeqCst)), (0, 10));
}

/// `acquire_timeout`, `lock_timeout`, extension while the work runs, and a compensation that
/// runs when the lock expired before the work was done.
async fn heartbeat_lock_with_compensation(world: World) {
    let lock = world.locks().mutex("payment").with_ttl(TTL).with_wait(PATIENCE);
    let extended = lock.run_to_end(|lease| async move {
        lease.renewed(lease.deadline() + TTL).await;
        "paid"
    });
    let paid = within("the work", PATIENCE, extended).await.expect("acquired");
    assert_eq!(paid.or_lost().expect("the heartbeats kept it"), "paid");
    let undone = Arc::new(AtomicU32::new(0));
    let lock = lock.with_renewal(Renewal::Off);
    let late = |lease: Lease| async move {
        lease.lost().await;
        7
    };
    let finished = lock.run_to_end(late).await.expect("acquired");
    let count = Arc::clone(&undone);
    let undo = |_reason, paid| async move { count.fetch_add(paid, Ordering::SeqCst) };
    assert!(finished.compensate(undo).await.is_err(), "it was lost");
    assert_eq!(undone.load(Ordering::SeqCst), 7);
}

/// `acquire_lock(name, acquire_timeout=10, lock_timeout=10)`, no watchdog, and a release that
/// says whether it released.
async fn simple_redis_lock(world: World) {
    let lock = world.locks().mutex("name").with_wait(PATIENCE).with_ttl(ms(10_000));
    let lock = lock.with_renewal(Renewal::Off);
    let guard = acquire(&lock).await;
    let next = waiting(world.rival().mutex("name"));
    world.until_waiting("name", 1).await;
    assert_eq!(guard.release().await.expect("an answer"), Released::Released);
    outcome(next).await.expect("granted").release().await.expect("released");
    let short = lock.with_ttl(ms(100));
    let guard = acquire(&short).await;
    until("its end", async || !short.held_by_anyone().await.expect("a look")).await;
    let next = acquire(&world.rival().mutex("name")).await;
    assert_eq!(guard.release().await.expect("an answer"), Released::Others);
    next.check().expect("the release of an expired lock touches nobody");
}

/// A runtime that ends takes nothing with it that others use.
async fn short_lived_runtimes_share_locks(world: World) {
    let locks = world.locks().clone();
    let first = std::thread::spawn({
        let locks = locks.clone();
        move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("one");
            runtime.block_on(async { acquire_alone(&locks, "first").await })
        }
    });
    until("the first runtime's end", async || first.is_finished()).await;
    let kept = first.join().expect("no panic");
    let renewed = kept.renewed(kept.deadline());
    within("a renewal after its runtime's end", PATIENCE, renewed).await;
    let next = waiting(locks.mutex("first"));
    world.until_waiting("first", 1).await;
    kept.release().await.expect("released");
    outcome(next).await.expect("granted").release().await.expect("released");
}

async fn acquire_alone(locks: &tenure::Locks, key: &str) -> tenure::Guard {
    let often = Renewal::Every(ms(100));
    locks.mutex(key).with_renewal(often).acquire().await.expect("granted")
}

/// Every worker of the program blocked for three ttls: the lease lives.
async fn blocked_workers_keep_their_lease(world: World) {
    let guard = acquire(&world.locks().mutex("key").with_ttl(TTL)).await;
    let before = guard.deadline();
    // The only worker there is.
    std::thread::sleep(3 * TTL);
    guard.check().expect("held all the time");
    assert!(guard.deadline() > before);
    assert!(world.rival().mutex("key").try_acquire().await.expect("a look").is_none());
}
