//! Futures that are dropped half-way, and keys that are lost before the last one is held.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Instant;

use tenure::{ErrorKind, LostReason, Renewal};

use super::{acquire, outcome, until_free, until_held, until_in_line, waiting};
use crate::world::{PATIENCE, World, ms, too_late, until, within};

const KEYS: [&str; 3] = ["a", "b", "c"];

/// Polls so many times, with pauses for the store, and drops the future.
async fn dropped_after(polls: usize, future: impl Future) {
    let mut future = pin!(future);
    for _ in 0..polls {
        if future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
            return;
        }
        tokio::time::sleep(ms(2)).await;
    }
}

pub(crate) async fn dropped_half_way_holds_none(world: World) {
    for polls in 0..12 {
        dropped_after(polls, world.locks().all(KEYS).acquire()).await;
        until_free(&world, &KEYS).await;
        dropped_after(polls, world.locks().all(KEYS).try_acquire()).await;
        until_free(&world, &KEYS).await;
        let guard = acquire(&world.locks().all(KEYS)).await;
        dropped_after(polls, guard.release()).await;
        until_free(&world, &KEYS).await;
    }
}

pub(crate) async fn dropped_waiter_holds_none(world: World) {
    let busy = world.rival_takes("c").await;
    let waiter = waiting(world.locks().all(KEYS));
    until_held(&world, "b").await;
    until_in_line(&world, "c").await;
    waiter.abort();
    until_free(&world, &["a", "b"]).await;
    world.until_waiting("c", 0).await;
    busy.check().expect("held");
}

pub(crate) async fn roll_back_knows_no_min_hold(world: World) {
    let busy = world.rival_takes("b").await;
    let lock = world.locks().all(["a", "b"]).with_min_hold(ms(600_000));
    assert!(lock.try_acquire().await.expect("an answer").is_none());
    until_free(&world, &["a"]).await;
    let hasty = lock.clone().with_wait(ms(1_500));
    let late = too_late(async || hasty.acquire().await).await;
    assert_eq!(late.kind(), ErrorKind::Busy);
    until_free(&world, &["a"]).await;
    let waiter = waiting(lock);
    until_held(&world, "a").await;
    until_in_line(&world, "b").await;
    within("the close", PATIENCE, world.locks().close(PATIENCE)).await.expect("answered");
    assert_eq!(outcome(waiter).await.expect_err("closed").kind(), ErrorKind::Closed);
    let free = world.another().mutex("a").try_acquire().await.expect("an answer");
    assert!(free.is_some(), "a stays taken for its min_hold");
    drop(busy);
}

/// It counts from the last grant, for all keys.
pub(crate) async fn min_hold_keeps_all_keys_taken(world: World) {
    let busy = world.rival_takes("b").await;
    let waiter = waiting(world.locks().all(["a", "b"]).with_min_hold(ms(5_000)));
    until_held(&world, "a").await;
    tokio::time::sleep(ms(1_500)).await;
    busy.release().await.expect("released");
    let guard = outcome(waiter).await.expect("granted");
    let granted = Instant::now();
    guard.release().await.expect("an answer");
    for key in ["a", "b"] {
        until(key, async || world.inspect(key).await.holders.is_empty()).await;
        assert!(granted.elapsed() >= ms(1_000), "{key} is free after {:?}", granted.elapsed());
    }
}

pub(crate) async fn loss_of_an_early_key_begins_anew(world: World) {
    let busy = world.rival_takes("b").await;
    let lock = world.locks().all(["a", "b"]).with_ttl(ms(20_000));
    let waiter = waiting(lock.with_renewal(Renewal::Every(ms(100))));
    until_held(&world, "a").await;
    let first = world.inspect("a").await.holders[0].fence;
    assert_eq!(world.rival().mutex("a").force_release().await.expect("forced"), 1);
    until("a new grant", async || {
        world.inspect("a").await.holders.first().is_some_and(|holder| holder.fence > first)
    })
    .await;
    assert!(!waiter.is_finished());
    busy.release().await.expect("released");
    let guard = outcome(waiter).await.expect("granted");
    guard.check().expect("held");
    assert!(guard.fence("a") > Some(first));
}

pub(crate) async fn close_gives_all_back(world: World) {
    let guard = acquire(&world.locks().all(KEYS)).await;
    let waiter = waiting(world.locks().all(["0", "c"]));
    until_held(&world, "0").await;
    within("the close", PATIENCE, world.locks().close(PATIENCE)).await.expect("answered");
    assert_eq!(within("the loss", PATIENCE, guard.lost()).await, LostReason::Closed);
    assert_eq!(outcome(waiter).await.expect_err("closed").kind(), ErrorKind::Closed);
    assert!(world.is_untouched().await, "something is held after the close");
    assert_eq!(
        world.locks().all(KEYS).acquire().await.expect_err("closed").kind(),
        ErrorKind::Closed
    );
}
