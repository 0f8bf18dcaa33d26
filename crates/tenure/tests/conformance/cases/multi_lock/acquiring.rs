//! All keys or none.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use tenure::{ErrorKind, Released};

use super::{acquire, is_free, outcome, until_free, until_held, waiting};
use crate::world::{PATIENCE, World, acquire as acquire_one, ms, within};

pub(crate) async fn all_are_held_with_a_fence_each(world: World) {
    let guard = acquire(&world.locks().all(["b", "a", "b"])).await;
    guard.check().expect("held");
    let keys: Vec<_> = guard.fences().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys, ["a", "b"]);
    for lease in guard.leases() {
        let seen = world.inspect(lease.key().as_str()).await;
        assert_eq!(&seen.holders[0].owner, lease.owner());
        assert_eq!(seen.holders[0].fence, lease.fence());
        assert_eq!(guard.fence(lease.key()), Some(lease.fence()));
        let tried = world.rival().mutex(lease.key()).try_acquire().await;
        assert!(tried.expect("an answer").is_none());
    }
    assert_eq!(guard.fence("c"), None);
    let fences: Vec<_> = guard.fences().map(|(_, fence)| fence).collect();
    assert_eq!(guard.release().await.expect("an answer"), Released::Released);
    let again = acquire(&world.rival().all(["a", "b"])).await;
    assert!(again.fences().zip(fences).all(|((_, new), old)| new > old));
}

pub(crate) async fn try_answers_none_and_holds_none(world: World) {
    let busy = world.rival_takes("b").await;
    let lock = world.locks().all(["a", "b", "c"]);
    assert!(lock.try_acquire().await.expect("an answer").is_none());
    until_free(&world, &["a", "c"]).await;
    busy.release().await.expect("released");
    assert!(lock.try_acquire().await.expect("an answer").is_some());
}

/// "c" is held by another. A key that is taken before it, and given back, would be in the way of
/// others for a moment.
pub(crate) async fn try_shows_no_part_of_it_to_others(world: World) {
    if !world.locks().capabilities().groups {
        return;
    }
    let busy = world.rival_takes("c").await;
    let (rival, ends) = (world.rival().clone(), Arc::new(AtomicBool::new(false)));
    let observer = tokio::spawn({
        let ends = Arc::clone(&ends);
        async move {
            let mut looks = 0;
            while !ends.load(Ordering::Relaxed) {
                for key in ["a", "b"] {
                    let seen = rival.mutex(key).inspect().await.expect("a look");
                    assert!(seen.holders.is_empty(), "a part of it is held: {seen:?}");
                    assert_eq!(seen.fence, None, "a part of it was held: {seen:?}");
                }
                looks += 1;
                tokio::task::yield_now().await;
            }
            looks
        }
    });
    let lock = world.locks().all(["a", "b", "c"]);
    for _ in 0..100 {
        assert!(lock.try_acquire().await.expect("an answer").is_none());
        tokio::task::yield_now().await;
    }
    ends.store(true, Ordering::Relaxed);
    assert!(within("the observer", PATIENCE, observer).await.expect("no part was seen") > 0);
    busy.check().expect("held");
}

/// One permit of three, and so nothing that a mutex could have.
pub(crate) async fn permits_of_one_key_are_in_the_way(world: World) {
    if !world.locks().capabilities().many_units {
        return;
    }
    let world = world.with_lasting_places();
    let permits = world.rival().semaphore("b", 3);
    let permit = permits.acquire().await.expect("granted");
    let lock = world.locks().all(["a", "b"]);
    assert!(lock.try_acquire().await.expect("an answer").is_none());
    let waiter = waiting(lock.clone());
    super::until_in_line(&world, "b").await;
    // First come, first served.
    assert!(permits.try_acquire().await.expect("an answer").is_none());
    permit.release().await.expect("released");
    let guard = outcome(waiter).await.expect("granted");
    assert!(permits.try_acquire().await.expect("an answer").is_none(), "it is held whole");
    // Neither has a number that the other could have named.
    let other = world.rival().semaphore("b", 5).try_acquire().await.expect("no mismatch");
    assert!(other.is_none());
    guard.release().await.expect("released");
    assert!(permits.try_acquire().await.expect("an answer").is_some());
}

pub(crate) async fn it_waits_for_every_key(world: World) {
    let [first, second] = [world.rival_takes("a").await, world.rival_takes("b").await];
    let waiter = waiting(world.locks().all(["a", "b"]));
    first.release().await.expect("released");
    until_held(&world, "a").await;
    assert!(!waiter.is_finished(), "b is held by another");
    second.release().await.expect("released");
    outcome(waiter).await.expect("granted").check().expect("held");
}

/// Each holds one key that the other wants, if the order were theirs.
pub(crate) async fn opposite_orders_never_deadlock(world: World) {
    let tasks = [["a", "b", "c"], ["c", "b", "a"], ["b", "c", "a"], ["c", "a", "b"]];
    let handles = [world.locks(), world.rival()];
    let tasks = tasks.into_iter().enumerate().map(|(number, keys)| {
        let locks = handles[number % 2].clone();
        tokio::spawn(async move {
            for _ in 0..10 {
                let guard = locks.all(keys).acquire().await.expect("granted");
                tokio::task::yield_now().await;
                guard.check().expect("held");
                guard.release().await.expect("released");
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        within("its turns", PATIENCE, task).await.expect("no panic");
    }
}

/// Another who holds one of the keys is a holder like any other.
pub(crate) async fn single_locks_are_excluded_and_exclude(world: World) {
    let guard = acquire(&world.locks().all(["a", "b"])).await;
    let single = tokio::spawn({
        let mutex = world.rival().mutex("b");
        async move { mutex.acquire().await }
    });
    super::until_in_line(&world, "b").await;
    assert!(!single.is_finished());
    guard.release().await.expect("released");
    let single = within("its turn", PATIENCE, single).await.expect("no panic").expect("granted");
    assert!(world.locks().all(["a", "b"]).try_acquire().await.expect("an answer").is_none());
    drop(single);
}

pub(crate) async fn limit_counts_for_all_together(world: World) {
    let [first, _second] = [world.rival_takes("a").await, world.rival_takes("b").await];
    let (began, limit) = (Instant::now(), ms(7_000));
    let waiter = waiting(world.locks().all(["a", "b"]).with_wait(limit));
    tokio::time::sleep(ms(3_500)).await;
    let free = Instant::now();
    first.release().await.expect("released");
    let error = outcome(waiter).await.expect_err("b is held");
    let [took, for_b] = [began, free].map(|since| since.elapsed());
    assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
    assert_eq!(error.key().map(tenure::Key::as_str), Some("b"));
    assert!(took >= limit && for_b < limit, "{took:?}, and {for_b:?} for b alone");
    until_free(&world, &["a"]).await;
}

pub(crate) async fn error_of_a_later_key_gives_the_earlier_back(world: World) {
    let held = acquire_one(&world.locks().mutex("b").with_owner("me")).await;
    let lock = world.locks().all(["a", "b"]).with_owner("me");
    let error = within("the refusal", PATIENCE, lock.acquire()).await.expect_err("it is ours");
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert_eq!(error.key().map(tenure::Key::as_str), Some("b"));
    until_free(&world, &["a"]).await;
    held.check().expect("left alone");
}

pub(crate) async fn bad_keys_and_options_are_refused_before_anything_is_touched(world: World) {
    let locks = world.locks();
    let refused = [
        locks.all(["a", ""]),
        locks.all(["a", "b\n"]),
        locks.all([""; 0]),
        locks.all((0..65).map(|n| format!("key {n}"))),
        locks.all(["a", "b"]).with_ttl(ms(1)),
        locks.all(["a", "b"]).with_min_hold(ms(50)).with_max_hold(ms(20)),
        locks.all(["a", "b"]).with_owner(""),
    ];
    for lock in refused {
        assert_eq!(lock.validate().expect_err("bad").kind(), ErrorKind::Invalid, "{lock:?}");
        let error = lock.acquire().await.expect_err("bad");
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        let error = lock.try_acquire().await.expect_err("bad");
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    }
    assert!(world.is_untouched().await);
    let most = locks.all((0..64).map(|n| format!("key {n}")));
    acquire(&most).await.release().await.expect("released");
    assert!(is_free(&world, "key 63").await);
}

/// In a server this name is a part of another lock, which only the store knows.
pub(crate) async fn key_that_the_store_refuses_is_refused_first(world: World) {
    const PART: &str = "tenure:{a}:record";
    let busy = world.rival_takes("a").await;
    let kind = match world.locks().mutex(PART).try_acquire().await {
        Ok(guard) => {
            drop(guard);
            ErrorKind::Busy
        }
        Err(error) => error.kind(),
    };
    let lock = world.locks().all(["a", PART]).with_wait(ms(1_500));
    // It waits for "a" only if it would be granted both.
    assert_eq!(lock.acquire().await.expect_err("not both").kind(), kind);
    drop(busy);
}
