//! Waiting where the store has no queue.

use std::time::Instant;

use tenure::protocol::{Op, Reply};
use tenure::{Claim, ErrorKind, Fence, Renewal};

use crate::world::{PATIENCE, World, acquire, ms, outcome, until, waiting, within};

pub(crate) async fn no_queue_is_promised_and_nobody_stands_in_one(world: World) {
    assert!(!world.locks().capabilities().fifo && !world.locks().capabilities().many_units);
    let guard = world.rival_takes("key").await;
    let waiter = waiting(world.locks().mutex("key"));
    tokio::task::yield_now().await;
    assert!(world.inspect("key").await.waiters.is_empty());
    guard.release().await.expect("released");
    outcome(waiter).await.expect("granted").check().expect("held");
}

pub(crate) async fn released_key_goes_to_one_who_waits(world: World) {
    for _ in 0..3 {
        let guard = acquire(&world.rival().mutex("key")).await;
        let fence = guard.fence();
        let waiter = waiting(world.locks().mutex("key").with_retry(1_000, ms(1_000)));
        let neighbour = waiting(world.locks().mutex("key"));
        guard.release().await.expect("released");
        let first = outcome(waiter).await.expect("granted");
        assert!(first.fence() > fence);
        first.check().expect("held");
        // In either order; one lets the other in.
        drop(first);
        drop(outcome(neighbour).await.expect("granted"));
    }
}

pub(crate) async fn waiting_ends_with_its_limit(world: World) {
    let _guard = world.rival_takes("key").await;
    let started = Instant::now();
    let mutex = world.locks().mutex("key").with_wait(ms(2_000));
    let (one, other) = (waiting(mutex.clone()), waiting(mutex));
    for waiter in [one, other] {
        assert_eq!(outcome(waiter).await.expect_err("held").kind(), ErrorKind::Busy);
    }
    assert!(started.elapsed() >= ms(2_000));
}

pub(crate) async fn dropped_waiter_leaves_nothing(world: World) {
    let guard = world.rival_takes("key").await;
    let waiter = waiting(world.locks().mutex("key"));
    tokio::time::sleep(ms(30)).await;
    waiter.abort();
    guard.release().await.expect("released");
    until("free again", async || world.inspect("key").await.holders.is_empty()).await;
    let next = acquire(&world.rival().mutex("key")).await;
    next.check().expect("held");
}

pub(crate) async fn fixed_value_does_not_wait_for_itself(world: World) {
    let mutex = world.locks().mutex("key").with_owner("job-1");
    let guard = acquire(&mutex).await;
    let refused = within("the refusal", PATIENCE, mutex.acquire()).await;
    let error = refused.expect_err("it would wait for itself");
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("oneself"), "{error}");
    guard.check().expect("the holder was left alone");
    // Another value may wait.
    let other = waiting(world.rival().mutex("key").with_owner("job-2"));
    guard.release().await.expect("released");
    drop(outcome(other).await.expect("granted"));
}

pub(crate) async fn close_ends_waiting(world: World) {
    let holder = World::crashed(1, Claim::EXCLUSIVE, ms(60_000), false);
    world.ask("key", Op::Acquire(holder)).await;
    let waiters: Vec<_> = (0..3).map(|_| waiting(world.locks().mutex("key"))).collect();
    tokio::time::sleep(ms(30)).await;
    within("the close", PATIENCE, world.locks().close(PATIENCE)).await.expect("answered");
    for waiter in waiters {
        assert_eq!(outcome(waiter).await.expect_err("closed").kind(), ErrorKind::Closed);
    }
    assert_eq!(world.inspect("key").await.holders.len(), 1);
}

pub(crate) async fn requests_may_be_repeated(world: World) {
    let claim = World::crashed(1, Claim::EXCLUSIVE, ms(60_000), false);
    let owner = claim.owner.clone();
    let acquire = Op::Acquire(claim);
    let first = world.ask("key", acquire.clone()).await;
    assert!(matches!(first, Reply::Granted { .. }), "{first:?}");
    assert_eq!(world.ask("key", acquire).await, first);
    let renew = Op::Renew { owner: owner.clone(), ttl: ms(60_000) };
    assert_eq!(world.ask("key", renew.clone()).await, Reply::Renewed);
    assert_eq!(world.ask("key", renew.clone()).await, Reply::Renewed);
    let release = Op::Release { owner, min_hold: ms(0), tombstone: None };
    assert_eq!(world.ask("key", release.clone()).await, Reply::Released);
    assert_eq!(world.ask("key", release).await, Reply::Gone);
    assert_eq!(world.ask("key", renew).await, Reply::Gone, "renewal never creates");
}

pub(crate) async fn shares_are_refused(world: World) {
    for (units, limit) in [(1, 3), (1, 1)] {
        let share = Claim::new(units, limit).expect("valid");
        let reader = World::crashed(1, share, ms(60_000), false);
        let resize = Op::Resize {
            owner: reader.owner.clone(),
            fence: Fence::default(),
            from: Claim::EXCLUSIVE,
            to: share,
        };
        for op in [Op::Acquire(reader), resize, Op::SetLimit { limit }] {
            let reply = world.ask("key", op).await;
            let is_refused = matches!(&reply, Reply::Refused(why) if why.contains("one holder"));
            assert!(is_refused, "{reply:?}");
        }
    }
    assert!(world.is_untouched().await);
}

pub(crate) async fn errors_name_every_node(world: World) {
    let _guard = world.rival_takes("key").await;
    let waited = world.locks().mutex("key").with_wait(ms(2_000)).acquire().await;
    let text = waited.expect_err("held").to_string();
    let seen = world.inspect("key").await;
    assert!(seen.nodes.len() >= 3);
    for node in &seen.nodes {
        assert!(text.contains(&*node.name), "{}: {text}", node.name);
    }
    let short = world.locks().mutex("key").with_renewal(Renewal::Off);
    assert!(short.try_acquire().await.expect("an answer").is_none());
}
