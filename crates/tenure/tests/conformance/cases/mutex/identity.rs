//! The identity of a holder: owners, labels, fences, and requests that come twice.

use tenure::protocol::{Op, Reply};
use tenure::{ErrorKind, Fence, Released, Renewal};

use crate::world::{PATIENCE, World, acquire, grows, ms, outcome, until, waiting, within};

pub(crate) async fn fixed_value_excludes_itself(world: World) {
    let lock = world.lock("key").with_owner("job-1");
    let guard = acquire(&lock).await;
    assert_eq!(guard.owner().value(), "job-1");
    let same = world.rival_lock("key").with_owner("job-1");
    assert!(lock.try_acquire().await.expect("an answer").is_none());
    assert!(same.try_acquire().await.expect("an answer").is_none());
    guard.release().await.expect("released");
    let next = same.try_acquire().await.expect("an answer").expect("free");
    assert_eq!(next.owner().value(), "job-1");
}

pub(crate) async fn fixed_value_does_not_wait_for_itself(world: World) {
    let lock = world.lock("key").with_owner("job-1");
    let guard = acquire(&lock).await;
    let refused = within("the refusal", PATIENCE, lock.acquire()).await;
    let error = refused.expect_err("it would wait for itself");
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("oneself"), "{error}");
    until("no place", async || world.inspect("key").await.waiters.is_empty()).await;
    guard.check().expect("the holder was left alone");
    // Another value may wait, and so may the same value for another holder.
    let other = waiting(world.rival_lock("key").with_owner("job-2"));
    world.until_waiting("key", 1).await;
    guard.release().await.expect("released");
    let other = outcome(other).await.expect("granted");
    let again = waiting(lock);
    world.until_waiting("key", 1).await;
    other.release().await.expect("released");
    drop(outcome(again).await.expect("granted"));
}

pub(crate) async fn fixed_values_are_compared_whole(world: World) {
    let guard = acquire(&world.lock("key").with_owner("job-10")).await;
    let prefix = world.rival_lock("key").with_owner("job-1");
    assert!(prefix.try_acquire().await.expect("an answer").is_none());
    let waiter = waiting(prefix.clone());
    world.until_waiting("key", 1).await;
    waiter.abort();
    world.until_waiting("key", 0).await;
    assert_eq!(world.inspect("key").await.holders[0].owner, *guard.owner());
}

pub(crate) async fn label_and_waiters_are_shown(world: World) {
    let label = "back\u{7}office 🌙";
    let guard = acquire(&world.lock("key").with_label(label)).await;
    let _waiter = waiting(world.rival_lock("key").with_label("early bird"));
    let seen = world.until_waiting("key", 1).await;
    assert_eq!(seen.holders[0].label.as_str(), "back?office 🌙");
    assert_eq!(seen.waiters[0].label.as_str(), "early bird");
    assert_eq!(seen.waiters[0].units, 1);
    drop(guard);
}

pub(crate) async fn default_label_names_the_process(world: World) {
    let _guard = acquire(&world.lock("key")).await;
    let seen = world.inspect("key").await;
    let label = seen.holders[0].label.as_str();
    let pid = std::process::id().to_string();
    assert!(label.split(':').any(|part| part == pid), "{label}");
}

pub(crate) async fn fences_grow_whatever_ends_a_lease(world: World) {
    let lock = world.lock("key");
    let mut last = Fence::default();
    let guard = acquire(&lock).await;
    grows(&mut last, &guard);
    guard.release().await.expect("released");
    let guard = acquire(&world.rival_lock("key")).await;
    grows(&mut last, &guard);
    drop(guard);
    let short = lock.clone().with_ttl(ms(100)).with_renewal(Renewal::Off);
    let guard = acquire(&short).await;
    grows(&mut last, &guard);
    let expired = acquire(&lock).await;
    grows(&mut last, &expired);
    world.force(&expired).await;
    let guard = acquire(&world.rival_lock("key")).await;
    grows(&mut last, &guard);
    assert!(last.get() < 1 << 53, "it fits what JSON carries");
}

/// A client sends a request twice because the first answer was lost.
pub(crate) async fn requests_may_be_repeated(world: World) {
    let claim = World::crashed(1, world.claim(), ms(60_000), true);
    let owner = claim.owner.clone();
    let acquire = Op::Acquire(claim);
    let first = world.ask("key", acquire.clone()).await;
    assert!(matches!(first, Reply::Granted { .. }), "{first:?}");
    assert_eq!(world.ask("key", acquire).await, first);
    let waiter = World::crashed(2, world.claim(), ms(60_000), true);
    for _ in 0..2 {
        let queued = world.ask("key", Op::Acquire(waiter.clone())).await;
        assert!(matches!(queued, Reply::Queued { ahead: 0, .. }), "{queued:?}");
        assert_eq!(world.inspect("key").await.waiters.len(), 1);
    }
    let renew = Op::Renew { owner: owner.clone(), ttl: ms(60_000) };
    assert_eq!(world.ask("key", renew.clone()).await, Reply::Renewed);
    assert_eq!(world.ask("key", renew.clone()).await, Reply::Renewed);
    let release = Op::Release { owner, min_hold: ms(0), tombstone: None };
    assert_eq!(world.ask("key", release.clone()).await, Reply::Released);
    assert_eq!(world.ask("key", release).await, Reply::Others, "the waiter has it now");
    assert_eq!(world.ask("key", renew).await, Reply::Gone, "renewal never creates");
    assert_eq!(world.inspect("key").await.holders[0].owner, waiter.owner);
}

/// A request arrives after its caller has given up.
pub(crate) async fn withdrawn_owner_gets_nothing(world: World) {
    let claim = World::crashed(1, world.claim(), ms(60_000), true);
    let withdraw = Op::Withdraw { owner: claim.owner.clone(), tombstone: ms(60_000) };
    let gone = if world.gone() == Released::Gone { Reply::Gone } else { Reply::Others };
    assert_eq!(world.ask("key", withdraw.clone()).await, gone);
    assert_eq!(world.ask("key", Op::Acquire(claim.clone())).await, Reply::Withdrawn);
    assert_eq!(world.ask("key", withdraw).await, gone);
    assert_eq!(world.ask("key", Op::Steal(claim)).await, Reply::Withdrawn);
    drop(world.rival_takes("key").await);
}
