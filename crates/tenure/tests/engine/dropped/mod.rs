//! Every operation, dropped after n polls, for every n: nothing of it stays in the store.
//!
//! Time stands still in these tests, so nothing ends by itself: what is not undone stays for
//! ever, and is found.

mod control;
mod part;
mod permits;
mod put_off;
mod several;
mod slow;
mod world;

use tenure::{LocksOptions, Released};

use world::{Pace, World};

/// More polls than any operation needs that ends at all.
const POLLS_MAX: usize = 80;

/// Runs `scenario` in a new world for n = 0, 1, 2, … polls at every pace, until the operation has
/// ended before it could be dropped.
fn for_every_poll(scenario: &impl AsyncFn(&World, usize) -> bool) {
    run(async {
        for pace in Pace::ALL {
            let mut dropped = 0;
            loop {
                let world = World::new(pace, LocksOptions::default()).await;
                let ended = scenario(&world, dropped).await;
                world.close().await;
                if ended {
                    break;
                }
                dropped += 1;
                assert!(dropped < POLLS_MAX, "{pace:?}: no end after {POLLS_MAX} polls");
            }
            assert!(dropped >= pace.polls_min(), "{pace:?}: only {dropped} polls to drop after");
        }
    });
}

/// Runs `scenario` once in a new world at every pace.
fn at_every_pace(options: LocksOptions, scenario: &impl AsyncFn(&World)) {
    run(async {
        for pace in Pace::ALL {
            let world = World::new(pace, options).await;
            scenario(&world).await;
            world.close().await;
        }
    });
}

fn run(scenarios: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(scenarios);
}

#[test]
fn acquire_of_a_free_key() {
    for_every_poll(&async |world, polls| {
        let mutex = world.locks.mutex("key");
        let ended = world.polled(polls, mutex.acquire()).await.is_some();
        world.rests_without("key").await;
        ended
    });
}

#[test]
fn try_acquire_of_a_free_key() {
    for_every_poll(&async |world, polls| {
        let mutex = world.locks.mutex("key");
        let ended = world.polled(polls, mutex.try_acquire()).await;
        let ended = ended.map(|tried| assert!(tried.expect("an answer").is_some())).is_some();
        world.rests_without("key").await;
        ended
    });
}

#[test]
fn try_acquire_of_a_held_key() {
    for_every_poll(&async |world, polls| {
        let holder = world.hold("key").await;
        let mutex = world.locks.mutex("key");
        let ended = world.polled(polls, mutex.try_acquire()).await;
        let ended = ended.map(|tried| assert!(tried.expect("an answer").is_none())).is_some();
        world.rests_with_only(&holder).await;
        ended
    });
}

/// It waits in line for ever: the line is what it must leave.
#[test]
fn acquire_of_a_held_key() {
    for_every_poll(&async |world, polls| {
        let holder = world.hold("key").await;
        let mutex = world.locks.mutex("key");
        let ended = world.polled(polls, mutex.acquire()).await.is_some();
        assert!(!ended, "two hold the key");
        world.rests_with_only(&holder).await;
        drop(holder);
        world.rests_without("key").await;
        polls >= 30
    });
}

/// The grant arrives between any two polls.
#[test]
fn acquire_that_is_granted_while_it_waits() {
    for_every_poll(&async |world, polls| {
        let holder = world.hold("key").await;
        let mutex = world.locks.mutex("key");
        let mut waiting = Box::pin(mutex.acquire());
        world.until_it_waits("key", &mut waiting).await;
        let released = world.release_aside(holder);
        let ended = world.polled(polls, &mut waiting).await.is_some();
        drop(waiting);
        released.await.expect("no panic");
        world.rests_without("key").await;
        ended
    });
}

#[test]
fn release() {
    for_every_poll(&async |world, polls| {
        let guard = world.hold("key").await;
        let ended = world.polled(polls, guard.release()).await;
        let ended = ended.map(|answer| assert_eq!(answer.expect("an answer"), Released::Released));
        world.rests_without("key").await;
        ended.is_some()
    });
}

#[test]
fn release_to_a_waiter() {
    for_every_poll(&async |world, polls| {
        let guard = world.hold("key").await;
        let mutex = world.locks.mutex("key");
        let waiter = tokio::spawn(async move { mutex.acquire().await });
        world.until_waiting("key").await;
        let ended = world.polled(polls, guard.release()).await.is_some();
        let next = world.within("the waiter", waiter).await.expect("no panic").expect("granted");
        world.rests_with_only(&next).await;
        drop(next);
        world.rests_without("key").await;
        ended
    });
}

#[test]
fn extend() {
    for_every_poll(&async |world, polls| {
        let guard = world.hold("key").await;
        let extended = guard.extend_to(std::time::Duration::from_secs(100));
        let ended = world.polled(polls, extended).await.is_some();
        guard.check().expect("an extension that was given up loses nothing");
        world.rests_with_only(&guard).await;
        drop(guard);
        world.rests_without("key").await;
        ended
    });
}

#[test]
fn inspect_and_list() {
    for_every_poll(&async |world, polls| {
        let guard = world.hold("key").await;
        let mutex = world.locks.mutex("key");
        let looked = world.polled(polls, mutex.inspect()).await.is_some();
        let listed = world.polled(polls, world.locks.list("", None, 10)).await.is_some();
        world.rests_with_only(&guard).await;
        looked && listed
    });
}

/// It stays closed, and the background gives all back.
#[test]
fn close() {
    for_every_poll(&async |world, polls| {
        let guard = world.hold("key").await;
        let other = world.hold("other").await;
        let mutex = world.locks.mutex("key");
        let waiter = tokio::spawn(async move { mutex.acquire().await });
        world.until_waiting("key").await;
        let closed = world.polled(polls, world.locks.close(world::PATIENCE)).await;
        let ended = closed.map(|answer| answer.expect("all was answered")).is_some();
        if polls == 0 && !ended {
            // An async fn does nothing before its first poll: it is still open.
            guard.check().expect("held");
            waiter.abort();
            drop((guard, other));
        } else {
            let refused = world.within("the waiter", waiter).await.expect("no panic");
            assert_eq!(refused.expect_err("closed").kind(), tenure::ErrorKind::Closed);
            assert!(guard.check().is_err() && other.check().is_err());
        }
        world.rests_without("key").await;
        world.rests_without("other").await;
        ended
    });
}
