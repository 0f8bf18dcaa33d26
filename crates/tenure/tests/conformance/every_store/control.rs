//! Control by hand: looking, forcing, stealing.

use tenure::{ErrorKind, LostReason, Renewal};

use crate::world::{PATIENCE, World, acquire, grows, ms, outcome, waiting, within};

super::over_every_store! {
    held_by_anyone_and_by_me,
    force_release_hands_on,
    force_release_of_nothing_forces_nobody,
    force_release_up_to_a_fence_leaves_later_holders_alone,
    steal_goes_ahead_of_the_line,
    steal_of_a_free_key_is_an_acquire,
    list_all_streams_every_page,
    watch_tells_each_change,
}

/// So long before the end that no pause of a busy machine loses the lease.
const OFTEN: Renewal = Renewal::Every(ms(50));

async fn held_by_anyone_and_by_me(world: World) {
    let mine = world.locks().mutex("key").with_owner("worker-1");
    let theirs = world.rival().mutex("key").with_owner("worker-10");
    assert!(!mine.held_by_anyone().await.expect("a look"));
    assert!(!mine.held_by_me().await.expect("a look"));
    let guard = acquire(&mine).await;
    assert!(theirs.held_by_anyone().await.expect("a look"));
    assert!(mine.held_by_me().await.expect("a look"));
    assert!(!theirs.held_by_me().await.expect("a look"));
    // Another process of the same worker.
    assert!(world.rival().mutex("key").with_owner("worker-1").held_by_me().await.expect("a look"));
    let nobody = world.locks().mutex("key").held_by_me().await.expect_err("who is me?");
    assert_eq!(nobody.kind(), ErrorKind::Invalid);
    guard.release().await.expect("released");
    assert!(!mine.held_by_anyone().await.expect("a look"));
}

async fn force_release_hands_on(world: World) {
    let guard = acquire(&world.locks().mutex("key").with_renewal(OFTEN)).await;
    let waiter = waiting(world.rival().mutex("key"));
    world.until_waiting("key", 1).await;
    assert_eq!(world.rival().mutex("key").force_release().await.expect("forced"), 1);
    let next = outcome(waiter).await.expect("granted");
    assert!(next.fence() > guard.fence());
    // Nobody told the holder yet: it learns at its next renewal.
    let reason = within("the loss", PATIENCE, guard.lost()).await;
    assert_eq!(reason, LostReason::Gone);
    next.check().expect("the successor is left alone");
}

async fn force_release_of_nothing_forces_nobody(world: World) {
    assert_eq!(world.locks().mutex("key").force_release().await.expect("an answer"), 0);
    assert!(world.is_untouched().await);
}

async fn force_release_up_to_a_fence_leaves_later_holders_alone(world: World) {
    let mutex = world.rival().mutex("key");
    let shown = acquire(&world.locks().mutex("key")).await;
    let fence = shown.fence();
    shown.release().await.expect("released");
    let later = acquire(&world.locks().mutex("key")).await;
    assert_eq!(mutex.force_release_up_to(fence).await.expect("an answer"), 0);
    later.extend_to(ms(60_000)).await.expect("it came later");
    assert_eq!(mutex.force_release_up_to(later.fence()).await.expect("an answer"), 1);
    assert_eq!(later.extend_to(ms(60_000)).await.expect_err("lost").kind(), ErrorKind::Lost);
}

async fn steal_goes_ahead_of_the_line(world: World) {
    let robbed = acquire(&world.locks().mutex("key").with_renewal(OFTEN)).await;
    let waiter = waiting(world.rival().mutex("key"));
    world.until_waiting("key", 1).await;
    let mut fence = robbed.fence();
    let thief = world.locks().mutex("key").steal().await.expect("stolen");
    grows(&mut fence, &thief);
    assert_eq!(within("the loss", PATIENCE, robbed.lost()).await, LostReason::Gone);
    thief.check().expect("held");
    world.until_waiting("key", 1).await;
    thief.release().await.expect("released");
    grows(&mut fence, &outcome(waiter).await.expect("its turn at last"));
}

async fn steal_of_a_free_key_is_an_acquire(world: World) {
    let guard = world.locks().mutex("key").steal().await.expect("taken");
    guard.check().expect("held");
    let waiter = waiting(world.rival().mutex("key"));
    world.until_waiting("key", 1).await;
    guard.release().await.expect("released");
    drop(outcome(waiter).await.expect("granted"));
}

async fn list_all_streams_every_page(world: World) {
    let mut guards = Vec::new();
    for number in 0..230 {
        guards.push(acquire(&world.locks().mutex(format!("job:{number:03}"))).await);
    }
    let _other = acquire(&world.locks().mutex("other")).await;
    let mut list = world.rival().list_all("job:");
    for guard in &guards {
        let (key, seen) = list.next().await.expect("one more").expect("a page");
        assert_eq!((&key, seen.holders[0].fence), (guard.key(), guard.fence()));
    }
    assert!(list.next().await.is_none() && list.next().await.is_none());
    assert!(world.locks().list_all("none:").next().await.is_none());
}

async fn watch_tells_each_change(world: World) {
    let world = world.with_lasting_places();
    let mut watch = world.rival().watch("key").with_interval(ms(10));
    let mut next = async || {
        let next = within("a change", PATIENCE, watch.next()).await;
        next.expect("it never ends").expect("a look")
    };
    assert!(next().await.holders.is_empty());
    let guard = acquire(&world.locks().mutex("key").with_renewal(OFTEN)).await;
    assert_eq!(next().await.holders[0].fence, guard.fence());
    let waiter = waiting(world.rival().mutex("key"));
    assert_eq!(next().await.waiters.len(), 1);
    // Renewals change nothing that is worth telling.
    within("renewals", PATIENCE, guard.renewed(guard.deadline() + ms(300))).await;
    guard.release().await.expect("released");
    let after = outcome(waiter).await.expect("granted");
    let seen = next().await;
    assert_eq!((seen.holders[0].fence, seen.waiters.len()), (after.fence(), 0));
    let mut bad = world.locks().watch("");
    let refused = bad.next().await.expect("an answer").expect_err("no key");
    assert_eq!(refused.kind(), ErrorKind::Invalid);
}
