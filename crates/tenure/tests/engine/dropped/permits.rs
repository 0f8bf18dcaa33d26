//! Claims of a part of a key, which stand at the store by themselves, dropped after n polls.

use std::pin::Pin;

use tenure::{Guard, Result, Semaphore};

use super::for_every_poll;
use super::world::World;

/// Acquires at the store without being dropped.
async fn hold(world: &World, semaphore: &Semaphore, units: u32) -> Guard {
    world.within("the permits", semaphore.acquire_many(units)).await.expect("granted")
}

#[test]
fn acquire_of_a_free_permit() {
    for_every_poll(&async |world, polls| {
        let semaphore = world.locks.semaphore("key", 3);
        let holder = hold(world, &semaphore, 1).await;
        let ended = world.polled(polls, semaphore.acquire_many(2)).await.is_some();
        world.rests_with_only(&holder).await;
        ended
    });
}

#[test]
fn try_acquire_of_a_free_permit() {
    for_every_poll(&async |world, polls| {
        let semaphore = world.locks.semaphore("key", 3);
        let holder = hold(world, &semaphore, 2).await;
        let ended = world.polled(polls, semaphore.try_acquire()).await;
        let ended = ended.map(|tried| assert!(tried.expect("an answer").is_some())).is_some();
        world.rests_with_only(&holder).await;
        ended
    });
}

/// It waits for ever, in front of another that its end lets pass.
#[test]
fn acquire_of_more_than_are_free() {
    for_every_poll(&async |world, polls| {
        let semaphore = world.locks.semaphore("key", 3);
        let holder = hold(world, &semaphore, 2).await;
        let mut many = Box::pin(semaphore.acquire_many(2));
        world.until_it_waits("key", &mut many).await;
        let mut few: Pin<Box<dyn Future<Output = Result<Guard>> + Send>> = {
            let semaphore = semaphore.clone();
            Box::pin(async move { semaphore.acquire().await })
        };
        assert!(world.polled(polls, &mut few).await.is_none(), "it was overtaken");
        drop(many);
        let few = world.within("the permit", few).await.expect("granted");
        few.check().expect("held");
        drop(few);
        world.rests_with_only(&holder).await;
        polls >= 30
    });
}

#[test]
fn acquire_that_is_granted_while_it_waits() {
    for_every_poll(&async |world, polls| {
        let semaphore = world.locks.semaphore("key", 3);
        let (holder, other) = (hold(world, &semaphore, 2).await, hold(world, &semaphore, 1).await);
        let mut waiting = Box::pin(semaphore.acquire_many(2));
        world.until_it_waits("key", &mut waiting).await;
        let released = world.release_aside(holder);
        let ended = world.polled(polls, &mut waiting).await.is_some();
        drop(waiting);
        released.await.expect("no panic");
        world.rests_with_only(&other).await;
        ended
    });
}

#[test]
fn release_to_a_waiter() {
    for_every_poll(&async |world, polls| {
        let semaphore = world.locks.semaphore("key", 2);
        let all = hold(world, &semaphore, 2).await;
        let waiter = {
            let semaphore = semaphore.clone();
            tokio::spawn(async move { semaphore.acquire().await })
        };
        world.until_waiting("key").await;
        let ended = world.polled(polls, all.release()).await.is_some();
        let next = world.within("the waiter", waiter).await.expect("no panic").expect("granted");
        world.rests_with_only(&next).await;
        drop(next);
        world.rests_without("key").await;
        ended
    });
}
