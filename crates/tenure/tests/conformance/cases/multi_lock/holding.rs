//! One guard for all keys: what it says, and how it is lost.

use std::time::Duration;

use tenure::{ErrorKind, Failure, LostReason, MultiGuard, MultiLease, Released, Renewal};

use super::{acquire, until_free};
use crate::world::{PATIENCE, World, acquire as acquire_one, ms, too_late, within};

/// So long before the end that no pause of a busy machine loses the lease, and often enough to find
/// soon that it was taken away.
const TTL: Duration = ms(20_000);
const OFTEN: Renewal = Renewal::Every(ms(100));

pub(crate) async fn one_lost_is_all_lost(world: World) {
    let lock = world.locks().all(["a", "b", "c"]).with_ttl(TTL).with_renewal(OFTEN);
    let guard = acquire(&lock).await;
    let copy = guard.lease();
    assert_eq!(world.rival().mutex("b").force_release().await.expect("forced"), 1);
    assert_eq!(within("the loss", PATIENCE, copy.lost()).await, LostReason::Gone);
    for error in [guard.check(), copy.check()] {
        let error = error.expect_err("lost");
        assert_eq!(
            (error.kind(), error.key().map(tenure::Key::as_str)),
            (ErrorKind::Lost, Some("b"))
        );
    }
    assert!(!guard.held() && guard.remaining().is_zero());
    within("no risk left", PATIENCE, guard.at_risk(ms(1))).await;
    // The others are held until the guard is gone.
    assert!(guard.leases()[0].held() && guard.leases()[2].held());
    let next = world.rival_takes("b").await;
    assert_eq!(guard.release().await.expect("an answer"), Released::Others);
    next.check().expect("the successor was left alone");
    until_free(&world, &["a", "c"]).await;
}

pub(crate) async fn all_leases_are_renewed_and_extended(world: World) {
    let lock = world.locks().all(["a", "b"]).with_ttl(ms(6_000));
    let guard = acquire(&lock).await;
    let later = guard.deadline() + ms(600);
    assert!(within("renewals", PATIENCE, guard.renewed(later)).await > later);
    guard.check().expect("held");
    guard.extend_to(ms(60_000)).await.expect("extended");
    assert!(guard.remaining() > ms(50_000));
    assert!(guard.leases().iter().all(|lease| lease.deadline() >= guard.deadline()));
    drop(guard);
    until_free(&world, &["a", "b"]).await;
    let lock = lock.with_ttl(ms(600)).with_renewal(Renewal::Off);
    let guard = acquire(&lock).await;
    assert_eq!(within("the loss", PATIENCE, guard.lost()).await, LostReason::Expired);
    let lock = lock.with_ttl(TTL).with_renewal(Renewal::Auto).with_max_hold(ms(300));
    let guard = acquire(&lock).await;
    assert_eq!(within("the loss", PATIENCE, guard.lost()).await, LostReason::MaxHold);
}

pub(crate) async fn run_holds_all_and_gives_back(world: World) {
    let lock = world.locks().all(["a", "b"]).with_ttl(TTL).with_renewal(OFTEN);
    let ran = lock.run(|lease| async move {
        lease.check()?;
        tenure::ok(lease.fences().count())
    });
    assert_eq!(within("the work", PATIENCE, ran).await.expect("ran"), 2);
    let busy = world.rival_takes("b").await;
    assert_eq!(lock.try_run(|_| async { tenure::ok(7) }).await.expect("skipped"), None);
    busy.release().await.expect("released");
    let stuck = lock.run(|_| async {
        world.rival().mutex("b").force_release().await?;
        std::future::pending::<tenure::Result<()>>().await
    });
    let error = within("the loss", PATIENCE, stuck).await.expect_err("b was forced");
    assert_eq!((error.kind(), error.key().map(tenure::Key::as_str)), (ErrorKind::Lost, Some("b")));
    // It is found at the release too, and the work's own error comes first.
    let late = lock.run(|_| async {
        world.rival().mutex("a").force_release().await?;
        tenure::ok(())
    });
    assert_eq!(late.await.expect_err("a was forced").kind(), ErrorKind::Lost);
    let failed = lock.run(|_| async { Err::<(), _>(std::io::Error::other("no paper").into()) });
    let failed: Box<dyn std::error::Error> = failed.await.expect_err("the work's own");
    assert_eq!(failed.to_string(), "no paper");
    until_free(&world, &["a", "b"]).await;
}

pub(crate) async fn run_to_end_says_which_key_was_lost(world: World) {
    let lock = world.locks().all(["a", "b"]).with_ttl(TTL).with_renewal(OFTEN);
    let whole = lock.run_to_end(|_| async { 7 }).await.expect("acquired");
    assert!(whole.lost.is_none() && matches!(whole.release, Ok(Released::Released)));
    assert_eq!(whole.or_lost().expect("held to the end"), 7);
    let world = &world;
    let forces = |lease: MultiLease| async move {
        world.rival().mutex("b").force_release().await.expect("forced");
        within("the loss", PATIENCE, lease.lost()).await
    };
    let late = within("the work", PATIENCE, lock.run_to_end(forces)).await.expect("acquired");
    let outlived = late.or_lost().expect_err("b was lost");
    assert_eq!((outlived.value, outlived.reason), (LostReason::Gone, LostReason::Gone));
    assert_eq!(outlived.error().key().map(tenure::Key::as_str), Some("b"));
    until_free(world, &["a", "b"]).await;
}

pub(crate) async fn compensation_runs_while_all_are_held(world: World) {
    let lock = world.locks().all(["a", "b"]);
    let world = &world;
    let undo = |lease: MultiLease, failure: Failure<'_, (), &str>| {
        assert!(matches!(failure, Failure::Work(&"no paper")), "{failure:?}");
        async move {
            for key in ["a", "b"] {
                assert!(!world.inspect(key).await.holders.is_empty());
            }
            lease.held()
        }
    };
    let done = lock.run_compensated(|_| async { Err("no paper") }, undo).await.expect("acquired");
    assert_eq!((done.compensation, done.finished.value), (Some(true), Err("no paper")));
    until_free(world, &["a", "b"]).await;
}

pub(crate) async fn token_is_cancelled_with_the_first_loss(world: World) {
    let lock = world.locks().all(["a", "b"]).with_ttl(TTL).with_renewal(OFTEN);
    let guard = acquire(&lock).await;
    let [token, same] = [guard.lost_token(), guard.lease().lost_token()];
    let of_a = guard.leases()[0].lost_token();
    assert_eq!(world.rival().mutex("b").force_release().await.expect("forced"), 1);
    within("the loss", PATIENCE, token.cancelled()).await;
    within("the loss, told to a copy", PATIENCE, same.cancelled()).await;
    assert!(guard.lost_token().is_cancelled(), "one that comes late is cancelled at once");
    assert!(!of_a.is_cancelled(), "a is held");
    drop(guard);
    until_free(&world, &["a", "b"]).await;
    let given_back = acquire(&lock).await;
    let token = given_back.lost_token();
    given_back.release().await.expect("released");
    assert!(!token.is_cancelled(), "nothing was lost");
}

pub(crate) async fn owner_and_label_are_those_of_every_key(world: World) {
    let guard = acquire(&world.locks().all(["a", "b"]).with_owner("me").with_label("test")).await;
    for lease in guard.leases() {
        let seen = world.inspect(lease.key().as_str()).await;
        assert_eq!(seen.holders[0].owner.value(), "me");
        assert_eq!(seen.holders[0].label.as_str(), "test");
    }
}

pub(crate) async fn guards_go_both_ways(world: World) {
    let guard = MultiGuard::from(acquire_one(&world.locks().mutex("a")).await);
    assert_eq!(guard.fences().count(), 1);
    assert_eq!(guard.release().await.expect("an answer"), Released::Released);
    let mut guards = acquire(&world.locks().all(["a", "b"])).await.into_guards();
    let last = guards.pop().expect("b");
    drop(guards);
    until_free(&world, &["a"]).await;
    last.check().expect("b is held");
}

pub(crate) async fn everything_has_its_blocking_name(world: World) {
    let locks = tenure::blocking::Locks::from(world.locks().clone());
    let lock = locks.all(["a", "b"]).with_ttl(ms(10_000)).with_wait(ms(1_500)).with_label("test");
    lock.validate().expect("good options");
    let guard = lock.acquire().expect("granted");
    guard.check().expect("held");
    assert_eq!(too_late(async || lock.acquire()).await.kind(), ErrorKind::Busy);
    assert!(lock.try_acquire().expect("an answer").is_none());
    assert_eq!(lock.try_run(|_| tenure::ok(())).expect("skipped"), None);
    assert_eq!(guard.release().expect("an answer"), Released::Released);
    let ran = lock.run(|lease| {
        lease.check()?;
        tenure::ok(lease.fences().count())
    });
    assert_eq!(ran.expect("ran"), 2);
    assert_eq!(lock.run_to_end(|_| 7).expect("acquired").or_lost().expect("held"), 7);
    let work = |_: MultiLease| Err::<(), tenure::Error>(lock.acquire().expect_err("it is held"));
    let done = lock.run_compensated(work, |lease, _failure| lease.held()).expect("acquired");
    assert_eq!(done.compensation, Some(true));
    until_free(&world, &["a", "b"]).await;
}
