//! Giving the lock back, in every way there is.

use tenure::{ErrorKind, LostReason, Released, Renewal};

use crate::world::{PATIENCE, World, acquire, ms, outcome, until, waiting, within};

pub(crate) async fn release_says_released(world: World) {
    let guard = acquire(&world.lock("key")).await;
    assert_eq!(guard.release().await.expect("an answer"), Released::Released);
    drop(world.rival_takes("key").await);
}

pub(crate) async fn release_after_expiry_says_gone(world: World) {
    let lock = world.lock("key").with_ttl(ms(200)).with_renewal(Renewal::Off);
    let guard = acquire(&lock).await;
    until("the lease ends", async || world.inspect("key").await.holders.is_empty()).await;
    // A server keeps the key to the end of the millisecond.
    tokio::time::sleep(ms(5)).await;
    assert_eq!(guard.release().await.expect("an answer"), world.gone());
}

pub(crate) async fn release_leaves_a_successor_alone(world: World) {
    let lock = world.lock("key").with_ttl(ms(200)).with_renewal(Renewal::Off);
    let guard = acquire(&lock).await;
    let next = acquire(&world.rival_lock("key")).await;
    assert!(guard.check().is_err(), "two held it at once");
    assert_eq!(guard.release().await.expect("an answer"), Released::Others);
    next.check().expect("held");
    assert_eq!(world.inspect("key").await.holders[0].fence, next.fence());
    assert_eq!(next.release().await.expect("an answer"), Released::Released);
}

pub(crate) async fn drop_releases_in_the_background(world: World) {
    drop(acquire(&world.lock("key")).await);
    until("the release", async || world.inspect("key").await.holders.is_empty()).await;
    // Not by its ttl, which is thirty seconds.
    let guard = world.rival_takes("key").await;
    guard.check().expect("held");
}

/// Work in the background outlives the last handle.
pub(crate) async fn drop_of_everything_still_releases(world: World) {
    let locks = world.another();
    let guard = acquire(&world.lock_of(&locks, "held")).await;
    let waiter = waiting(world.lock_of(&locks, "held"));
    world.until_waiting("held", 1).await;
    drop(locks);
    waiter.abort();
    drop(guard);
    until("the release and the withdrawal", async || {
        let seen = world.inspect("held").await;
        seen.holders.is_empty() && seen.waiters.is_empty()
    })
    .await;
}

pub(crate) async fn close_gives_all_back(world: World) {
    let closing = world.locks().clone();
    let kept = acquire(&world.lock_of(&closing, "kept")).await;
    drop(acquire(&world.lock_of(&closing, "dropped")).await);
    within("the close", PATIENCE, closing.close(PATIENCE)).await.expect("all was answered");
    assert_eq!(within("the loss", PATIENCE, kept.lost()).await, LostReason::Closed);
    assert_eq!(kept.check().expect_err("lost").kind(), ErrorKind::Lost);
    let seen = world.is_untouched().await;
    assert!(seen, "something is held after the close");
    let refused = world.lock_of(&closing, "kept").acquire().await.expect_err("closed");
    assert_eq!(refused.kind(), ErrorKind::Closed);
    let refused = world.lock_of(&closing, "kept").try_acquire().await.expect_err("closed");
    assert_eq!(refused.kind(), ErrorKind::Closed);
    within("closing again", PATIENCE, closing.close(PATIENCE)).await.expect("nothing to do");
}

pub(crate) async fn close_ends_waiting(world: World) {
    let holder = World::crashed(1, world.claim(), ms(60_000), false);
    world.ask("key", tenure::protocol::Op::Acquire(holder)).await;
    let waiter = waiting(world.lock("key"));
    world.until_waiting("key", 1).await;
    within("the close", PATIENCE, world.locks().close(PATIENCE)).await.expect("answered");
    assert_eq!(outcome(waiter).await.expect_err("closed").kind(), ErrorKind::Closed);
    assert!(world.inspect("key").await.waiters.is_empty(), "a place is left after the close");
}
