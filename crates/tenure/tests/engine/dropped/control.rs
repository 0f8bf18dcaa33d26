//! Scopes, tickets and force, dropped in the middle.

use std::time::Duration;

use tenure::ErrorKind;

use super::for_every_poll;
use super::world::World;

/// Long enough to be dropped within.
async fn work() {
    for _ in 0..5 {
        tokio::task::yield_now().await;
    }
}

#[test]
fn run() {
    for_every_poll(&async |world, polls| {
        let mutex = world.locks.mutex("key");
        let ran = mutex.run(async |lease| {
            work().await;
            tenure::ok(lease.fence())
        });
        let ended = world.polled(polls, ran).await;
        let ended = ended.map(|ran| assert!(ran.is_ok(), "{ran:?}")).is_some();
        world.rests_without("key").await;
        ended
    });
}

#[test]
fn run_compensated() {
    for_every_poll(&async |world, polls| {
        let mutex = world.locks.mutex("key");
        let fails = async |_| {
            work().await;
            Err::<(), _>(std::fmt::Error)
        };
        let ran = mutex.run_compensated(fails, |_, _| work());
        let ended = world.polled(polls, ran).await.is_some();
        world.rests_without("key").await;
        ended
    });
}

#[test]
fn steal_of_a_held_key() {
    for_every_poll(&async |world, polls| {
        let robbed = world.hold("key").await;
        let mutex = world.locks.mutex("key");
        let ended = world.polled(polls, mutex.steal()).await;
        let ended = ended.map(|thief| drop(thief.expect("stolen"))).is_some();
        // Whether it was robbed or not: nothing of the thief is left beside it.
        drop(robbed);
        world.rests_without("key").await;
        ended
    });
}

#[test]
fn force_release() {
    for_every_poll(&async |world, polls| {
        let guard = world.hold("key").await;
        let mutex = world.locks.mutex("key");
        let ended = world.polled(polls, mutex.force_release()).await;
        let ended = ended.map(|forced| assert_eq!(forced.expect("an answer"), 1)).is_some();
        drop(guard);
        world.rests_without("key").await;
        ended
    });
}

const KEEP: Duration = Duration::from_secs(60);

async fn ticket(world: &World) -> tenure::Ticket {
    let handed = world.hold("key").await.hand_over(KEEP);
    world.within("a ticket", handed).await.expect("a ticket")
}

/// No ticket, no lock.
#[test]
fn hand_over() {
    for_every_poll(&async |world, polls| {
        let guard = world.hold("key").await;
        let handed = world.polled(polls, guard.hand_over(KEEP)).await;
        let ended = handed.is_some();
        if let Some(ticket) = handed {
            let ticket = ticket.expect("a ticket");
            let adopted = world.locks.adopt(&ticket);
            drop(world.within("the heir", adopted).await.expect("adopted"));
        }
        world.rests_without("key").await;
        ended
    });
}

/// The ticket is as good as it was, or the lease is given back.
#[test]
fn adopt() {
    for_every_poll(&async |world, polls| {
        let ticket = ticket(world).await;
        let ended = world.polled(polls, world.locks.adopt(&ticket)).await;
        let ended = ended.map(|heir| drop(heir.expect("adopted"))).is_some();
        let again = world.within("the second heir", world.locks.adopt(&ticket)).await;
        match again {
            Ok(heir) => assert!(!ended, "two guards of one ticket: {heir:?}"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Lost),
        }
        world.rests_without("key").await;
        ended
    });
}
