//! Behind a task that was granted, the next of its process puts off its place at the store, since
//! it is mostly passed to before it needs one. Here it waits for ever for its time to come: what
//! brings it on is what happens to those in front of it.

use std::pin::Pin;
use std::time::Duration;

use tenure::{Guard, LocksOptions, Result};
use tokio::task::JoinHandle;

use super::world::World;
use super::{at_every_pace, for_every_poll};

type Acquiring = Pin<Box<dyn Future<Output = Result<Guard>> + Send>>;

/// Three tasks that stand in line in their order, of which the first has been passed the key.
struct Line {
    first: Guard,
    second: Acquiring,
    third: Acquiring,
}

impl Line {
    async fn of(world: &World) -> Self {
        let holder = world.hold("key").await;
        let mut first = acquiring(world);
        world.until_it_waits("key", &mut first).await;
        let (mut second, mut third) = (acquiring(world), acquiring(world));
        for next in [&mut second, &mut third] {
            assert!(world.polled(1, next).await.is_none(), "two hold the key");
        }
        world.within("the release", holder.release()).await.expect("an answer");
        let first = world.within("the grant", first).await.expect("granted");
        Self { first, second, third }
    }
}

fn acquiring(world: &World) -> Acquiring {
    let mutex = world.locks.mutex("key");
    Box::pin(async move { mutex.acquire().await })
}

fn aside(acquiring: Acquiring) -> JoinHandle<Result<Guard>> {
    tokio::spawn(acquiring)
}

async fn granted(world: &World, next: JoinHandle<Result<Guard>>) -> Guard {
    world.within("the grant", next).await.expect("no panic").expect("granted")
}

#[test]
fn it_has_no_place_and_is_passed_to() {
    at_every_pace(LocksOptions::default(), &async |world| {
        let Line { first, second, third } = Line::of(world).await;
        world.rests_with_only(&first).await;
        let second = aside(second);
        first.release().await.expect("an answer");
        let second = granted(world, second).await;
        world.rests_with_only(&second).await;
        drop((second, third));
        world.rests_without("key").await;
    });
}

#[test]
fn it_has_its_place_at_once_where_no_pass_goes_ahead() {
    // The first has it by the only pass of this turn.
    let once = LocksOptions::default().with_local_handoffs(1, Duration::from_secs(60));
    at_every_pace(once, &async |world| {
        let line = Line::of(world).await;
        world.until_waiting("key").await;
        drop(line);
        world.rests_without("key").await;
    });
}

#[test]
fn a_guard_that_is_dropped_brings_it_on() {
    at_every_pace(LocksOptions::default(), &async |world| {
        let Line { first, second, third } = Line::of(world).await;
        let (second, third) = (aside(second), aside(third));
        drop(first);
        drop(granted(world, second).await);
        drop(granted(world, third).await);
        world.rests_without("key").await;
    });
}

#[test]
fn dropped_itself_it_leaves_its_turn_to_the_next() {
    at_every_pace(LocksOptions::default(), &async |world| {
        let Line { first, second, third } = Line::of(world).await;
        drop(second);
        // Nobody in front of it was granted: it asks at once.
        world.until_waiting("key").await;
        let third = aside(third);
        first.release().await.expect("an answer");
        let third = granted(world, third).await;
        world.rests_with_only(&third).await;
        drop(third);
        world.rests_without("key").await;
    });
}

/// One that was granted, and dropped before it looked.
#[test]
fn a_grant_that_nobody_takes_brings_it_on() {
    at_every_pace(LocksOptions::default(), &async |world| {
        let Line { first, second, third } = Line::of(world).await;
        first.release().await.expect("an answer");
        drop(second);
        let third = granted(world, aside(third)).await;
        world.rests_with_only(&third).await;
        drop(third);
        world.rests_without("key").await;
    });
}

/// Whether the pass was sent, carried out or answered by then.
#[test]
fn a_release_dropped_at_any_moment_reaches_it() {
    for_every_poll(&async |world, polls| {
        let Line { first, second, third } = Line::of(world).await;
        let (second, third) = (aside(second), aside(third));
        let ended = world.polled(polls, first.release()).await.is_some();
        let second = granted(world, second).await;
        second.release().await.expect("an answer");
        let third = granted(world, third).await;
        world.rests_with_only(&third).await;
        drop(third);
        world.rests_without("key").await;
        ended
    });
}

/// At any moment of the release in front of it.
#[test]
fn dropped_while_it_is_passed_to_it_holds_up_nobody() {
    for_every_poll(&async |world, polls| {
        let Line { first, second, third } = Line::of(world).await;
        let mut releasing = Box::pin(first.release());
        let ended = world.polled(polls, &mut releasing).await;
        drop(second);
        let third = aside(third);
        let is_over = ended.is_some();
        if !is_over {
            world.within("the release", releasing).await.expect("an answer");
        }
        let third = granted(world, third).await;
        world.rests_with_only(&third).await;
        drop(third);
        world.rests_without("key").await;
        is_over
    });
}
