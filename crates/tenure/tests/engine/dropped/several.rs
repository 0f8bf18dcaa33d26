//! Several keys, dropped after n polls: none of them stays held.

use super::for_every_poll;
use super::world::World;

const KEYS: [&str; 3] = ["a", "b", "c"];

async fn rests_without_any(world: &World) {
    for key in KEYS {
        world.rests_without(key).await;
    }
}

#[test]
fn acquire_of_free_keys() {
    for_every_poll(&async |world, polls| {
        let all = world.locks.all(KEYS);
        let ended = world.polled(polls, all.acquire()).await.is_some();
        rests_without_any(world).await;
        ended
    });
}

#[test]
fn try_acquire_of_free_keys() {
    for_every_poll(&async |world, polls| {
        let all = world.locks.all(KEYS);
        let ended = world.polled(polls, all.try_acquire()).await;
        let ended = ended.map(|tried| assert!(tried.expect("an answer").is_some())).is_some();
        rests_without_any(world).await;
        ended
    });
}

#[test]
fn try_acquire_of_keys_of_which_one_is_held() {
    for_every_poll(&async |world, polls| {
        let holder = world.hold("b").await;
        let all = world.locks.all(KEYS);
        let ended = world.polled(polls, all.try_acquire()).await;
        let ended = ended.map(|tried| assert!(tried.expect("an answer").is_none())).is_some();
        world.rests_without("a").await;
        world.rests_without("c").await;
        world.rests_with_only(&holder).await;
        ended
    });
}

/// The step that takes all at once is refused, and the keys are taken one by one.
#[test]
fn acquire_that_is_granted_the_last_key_while_it_waits() {
    for_every_poll(&async |world, polls| {
        let holder = world.hold("c").await;
        let all = world.locks.all(KEYS);
        let mut waiting = Box::pin(all.acquire());
        world.until_it_waits("c", &mut waiting).await;
        let released = world.release_aside(holder);
        let ended = world.polled(polls, &mut waiting).await.is_some();
        drop(waiting);
        released.await.expect("no panic");
        rests_without_any(world).await;
        ended
    });
}
