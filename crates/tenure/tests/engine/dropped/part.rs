//! Changes from reader to writer and back, dropped after n polls: the lease is a reader's then,
//! whatever arrives later.

use std::time::Duration;

use tenure::Guard;

use super::for_every_poll;
use super::world::World;

async fn reads(world: &World) -> Guard {
    world.within("the read lock", world.locks.rwlock("key").read()).await.expect("granted")
}

async fn upgrade(world: &World, guard: &mut Guard) -> bool {
    world.within("an answer", guard.try_upgrade()).await.expect("an answer")
}

/// In the end it reads, and others may read beside it. It can still write, and is given back.
async fn is_a_reader_for_good(world: &World, mut guard: Guard) {
    world.rests_with_reader(&guard).await;
    guard.check().expect("a change that was given up loses nothing");
    let beside = reads(world).await;
    assert!(!upgrade(world, &mut guard).await, "it writes beside a reader");
    let last = beside.fence();
    world.within("an answer", beside.release()).await.expect("released");
    assert!(upgrade(world, &mut guard).await, "it is alone");
    assert!(guard.fence() > last);
    world.rests_with_only(&guard).await;
    drop(guard);
    world.rests_without("key").await;
}

#[test]
fn upgrade_of_the_only_reader() {
    for_every_poll(&async |world, polls| {
        let mut guard = reads(world).await;
        let ended = world.polled(polls, guard.try_upgrade()).await;
        if let Some(upgraded) = &ended {
            assert!(*upgraded.as_ref().expect("an answer"));
            world.within("an answer", guard.downgrade()).await.expect("a reader");
        }
        is_a_reader_for_good(world, guard).await;
        ended.is_some()
    });
}

#[test]
fn upgrade_beside_a_reader() {
    for_every_poll(&async |world, polls| {
        let mut guard = reads(world).await;
        let beside = reads(world).await;
        let ended = world.polled(polls, guard.try_upgrade()).await;
        let ended = ended.map(|upgraded| assert!(!upgraded.expect("an answer"))).is_some();
        // The request may be carried out only now.
        drop(beside);
        is_a_reader_for_good(world, guard).await;
        ended
    });
}

/// The next change does not wait for the background, and is not undone by it.
#[test]
fn upgrade_that_is_tried_again_at_once() {
    for_every_poll(&async |world, polls| {
        let mut guard = reads(world).await;
        let ended = world.polled(polls, guard.try_upgrade()).await.is_some();
        assert!(upgrade(world, &mut guard).await, "nobody else is there");
        world.rests_with_only(&guard).await;
        let beside = world.polled(200, world.locks.rwlock("key").try_read()).await;
        assert!(beside.expect("an end").expect("an answer").is_none(), "beside a writer");
        drop(guard);
        world.rests_without("key").await;
        ended
    });
}

#[test]
fn upgrade_of_a_guard_that_goes_at_once() {
    for_every_poll(&async |world, polls| {
        let mut guard = reads(world).await;
        let ended = world.polled(polls, guard.try_upgrade()).await.is_some();
        drop(guard);
        world.rests_without("key").await;
        ended
    });
}

#[test]
fn upgrade_of_a_guard_that_is_handed_over() {
    for_every_poll(&async |world, polls| {
        let mut guard = reads(world).await;
        let ended = world.polled(polls, guard.try_upgrade()).await.is_some();
        let ticket = world.within("a ticket", guard.hand_over(Duration::from_secs(60))).await;
        let ticket = ticket.expect("a ticket");
        let adopted = world.within("a guard", world.locks.adopt(&ticket)).await.expect("adopted");
        assert_eq!(adopted.fence(), ticket.fence());
        if ended {
            world.rests_with_only(&adopted).await;
        } else {
            world.rests_with_reader(&adopted).await;
        }
        drop(adopted);
        world.rests_without("key").await;
        ended
    });
}

/// It goes on in the background, and lets the reader in that waits.
#[test]
fn downgrade() {
    for_every_poll(&async |world, polls| {
        let mut guard = world.hold("key").await;
        let fence = guard.fence();
        let rwlock = world.locks.rwlock("key");
        let waiter = tokio::spawn(async move { rwlock.read().await });
        world.until_waiting("key").await;
        let downgraded = world.polled(polls, guard.downgrade()).await;
        let ended = downgraded.map(|answer| answer.expect("a reader")).is_some();
        if polls == 0 {
            // An async fn does nothing before its first poll.
            world.within("an answer", guard.downgrade()).await.expect("a reader");
        }
        let next = world.within("the reader", waiter).await.expect("no panic").expect("granted");
        assert_eq!(guard.fence(), fence);
        drop(next);
        is_a_reader_for_good(world, guard).await;
        ended
    });
}
