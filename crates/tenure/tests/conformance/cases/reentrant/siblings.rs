//! Several tasks of one owner, and futures that are dropped half-way.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};

use tenure::{ErrorKind, ReentrantScope, Released};

use super::{enter, entering, lock, until_free, until_in_line};
use crate::world::{PATIENCE, World, ms, too_late, until, within};

pub(crate) async fn siblings_share_one_lease(world: World) {
    let busy = world.rival_takes("key").await;
    let lock = lock(&world, &ReentrantScope::new());
    let waiters = [entering(&lock), entering(&lock), entering(&lock)];
    until_in_line(&world).await;
    // One claim stands in line for all of them.
    assert!(world.inspect("key").await.waiters.len() <= 1);
    busy.release().await.expect("released");
    let mut levels = Vec::new();
    for waiter in waiters {
        levels.push(within("the level", PATIENCE, waiter).await.expect("no panic").expect("in"));
    }
    assert!(levels.iter().all(|level| level.fence() == levels[0].fence()));
    let last = levels.pop().expect("three levels");
    drop(levels);
    assert_eq!(last.release().await.expect("left"), Some(Released::Released));
}

pub(crate) async fn sibling_takes_over_from_a_dropped_acquire(world: World) {
    let busy = world.rival_takes("key").await;
    let lock = lock(&world, &ReentrantScope::new());
    let first = entering(&lock);
    until_in_line(&world).await;
    let second = entering(&lock);
    tokio::task::yield_now().await;
    first.abort();
    busy.release().await.expect("released");
    let level = within("the level", PATIENCE, second).await.expect("no panic").expect("in");
    assert_eq!(level.release().await.expect("left"), Some(Released::Released));
    until_free(&world).await;
}

pub(crate) async fn sibling_takes_over_from_a_failed_acquire(world: World) {
    let busy = world.rival_takes("key").await;
    let scope = ReentrantScope::new();
    let hasty = world.locks().mutex("key").with_wait(ms(1_500)).reentrant().with_scope(&scope);
    let first = entering(&hasty);
    tokio::task::yield_now().await;
    let second = entering(&lock(&world, &scope));
    let failed = within("its limit", PATIENCE, first).await.expect("no panic");
    assert_eq!(failed.expect_err("it is held").kind(), ErrorKind::Busy);
    busy.release().await.expect("released");
    drop(within("the level", PATIENCE, second).await.expect("no panic").expect("in"));
}

pub(crate) async fn limit_counts_while_a_sibling_acquires(world: World) {
    let busy = world.rival_takes("key").await;
    let scope = ReentrantScope::new();
    let patient = entering(&lock(&world, &scope));
    tokio::task::yield_now().await;
    until_in_line(&world).await;
    let hasty = world.locks().mutex("key").with_wait(ms(1_500)).reentrant().with_scope(&scope);
    let waited = too_late(async || hasty.acquire().await);
    let error = within("its limit", PATIENCE, waited).await;
    assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
    assert!(hasty.try_acquire().await.expect("an answer").is_none());
    busy.release().await.expect("released");
    drop(within("the level", PATIENCE, patient).await.expect("no panic").expect("in"));
}

/// Polls once after each change at the store, so many times at most, and drops the future.
async fn dropped_after(polls: usize, future: impl Future) -> bool {
    let mut future = pin!(future);
    for _ in 0..polls {
        if future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
            return true;
        }
        tokio::time::sleep(ms(2)).await;
    }
    false
}

pub(crate) async fn dropped_acquire_leaves_the_count_right(world: World) {
    for polls in 0..6 {
        let lock = lock(&world, &ReentrantScope::new());
        dropped_after(polls, lock.acquire()).await;
        dropped_after(polls, lock.try_acquire()).await;
        // The first level, or one more; it is the only one that is left.
        let level = enter(&lock).await;
        dropped_after(polls, lock.acquire()).await;
        dropped_after(polls, async { lock.acquire().await?.release().await }).await;
        dropped_after(polls, lock.run(|_| std::future::pending::<tenure::Result<()>>())).await;
        level.check().expect("held");
        let left = level.release();
        if polls % 2 == 0 {
            assert_eq!(left.await.expect("left"), Some(Released::Released));
        } else {
            // A release that is dropped goes on in the background.
            dropped_after(polls, left).await;
        }
        until_free(&world).await;
        until("nobody waits", async || world.inspect("key").await.waiters.is_empty()).await;
    }
}
