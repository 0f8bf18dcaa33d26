//! Holding the lock: how long, and how its end is told.

use std::time::{Duration, Instant};

use tenure::{ErrorKind, LostReason, Renewal};

use crate::world::{PATIENCE, World, acquire, ms, within};

pub(crate) async fn renewal_keeps_the_lease(world: World) {
    // It is renewed after a third: a slow machine has the rest.
    let guard = acquire(&world.lock("key").with_ttl(ms(12_000))).await;
    let mut deadline = guard.deadline();
    for _ in 0..2 {
        let later = within("a renewal", PATIENCE, guard.renewed(deadline)).await;
        assert!(later > deadline);
        deadline = later;
    }
    guard.check().expect("held");
    let seen = world.inspect("key").await;
    assert_eq!(seen.holders[0].fence, guard.fence(), "renewal keeps the fence");
    assert!(seen.holders[0].since > ms(6_000));
}

pub(crate) async fn renewal_off_ends_with_the_ttl(world: World) {
    let lock = world.lock("key").with_ttl(ms(300)).with_renewal(Renewal::Off);
    let guard = acquire(&lock).await;
    let reason = within("the loss", PATIENCE, guard.lost()).await;
    assert_eq!(reason, LostReason::Expired);
    let error = guard.check().expect_err("lost");
    assert_eq!(error.kind(), ErrorKind::Lost);
    let next = acquire(&world.rival_lock("key")).await;
    assert!(next.fence() > guard.fence());
}

pub(crate) async fn own_interval_is_kept(world: World) {
    let every = Renewal::Every(ms(200));
    let guard = acquire(&world.lock("key").with_renewal(every)).await;
    let started = Instant::now();
    let mut deadline = guard.deadline();
    for _ in 0..3 {
        deadline = within("a renewal", PATIENCE, guard.renewed(deadline)).await;
    }
    let took = started.elapsed();
    assert!(took < Duration::from_secs(10), "a third of the ttl went by: {took:?}");
}

pub(crate) async fn max_hold_loses(world: World) {
    let started = Instant::now();
    let lock = world.lock("key").with_ttl(ms(10_000)).with_max_hold(ms(300));
    let guard = acquire(&lock).await;
    assert!(guard.remaining() <= ms(300));
    let extended = guard.extend_to(ms(5_000)).await;
    assert!(extended.is_err() || guard.remaining() <= ms(300), "max_hold is the limit");
    assert_eq!(within("the loss", PATIENCE, guard.lost()).await, LostReason::MaxHold);
    assert!(started.elapsed() >= ms(200));
    assert_eq!(guard.check().expect_err("lost").kind(), ErrorKind::Lost);
    guard.release().await.expect("what is left is given back");
    drop(world.rival_takes("key").await);
}

pub(crate) async fn min_hold_keeps_the_key_taken(world: World) {
    let started = Instant::now();
    let lock = world.lock("key").with_ttl(ms(60_000)).with_min_hold(ms(900));
    let guard = acquire(&lock).await;
    let is_kept = async || world.inspect("key").await.holders.first().map(|holder| holder.kept);
    assert_eq!(is_kept().await, Some(false), "it is held");
    assert_eq!(guard.release().await.expect("released"), tenure::Released::Released);
    let kept = is_kept().await;
    assert!(kept == Some(true) || started.elapsed() >= ms(900), "{kept:?}");
    let next = world.rival_lock("key").try_acquire().await.expect("an answer");
    assert!(next.is_none() || started.elapsed() >= ms(900), "free before its time");
    drop(next);
    let _next = acquire(&world.rival_lock("key")).await;
    assert!(started.elapsed() >= ms(900), "granted after {:?}", started.elapsed());
    assert!(started.elapsed() < ms(30_000), "the rest of the ttl was waited for");
}

pub(crate) async fn extend_to_lasts_at_least_so_long(world: World) {
    let lock = world.lock("key").with_ttl(ms(10_000)).with_renewal(Renewal::Off);
    let guard = acquire(&lock).await;
    let fence = guard.fence();
    guard.extend_to(ms(60_000)).await.expect("extended");
    let remaining = guard.remaining();
    assert!(remaining > ms(50_000) && remaining <= ms(60_100), "{remaining:?}");
    let seen = world.inspect("key").await.holders[0].remaining;
    assert!(seen > ms(50_000) && seen <= ms(62_000), "{seen:?}");
    guard.extend_to(ms(1_000)).await.expect("nothing to do");
    assert!(guard.remaining() > ms(40_000), "it never shortens");
    assert!(world.inspect("key").await.holders[0].remaining > ms(40_000));
    assert_eq!(guard.fence(), fence);
    let refused = guard.extend_to(Duration::from_secs(31 * 24 * 3600)).await;
    assert_eq!(refused.expect_err("too long").kind(), ErrorKind::Invalid);
    let refused = guard.extend_to(ms(1)).await;
    assert_eq!(refused.expect_err("too short").kind(), ErrorKind::Invalid);
    guard.check().expect("a refused extension loses nothing");
}

pub(crate) async fn extend_by_adds(world: World) {
    let lock = world.lock("key").with_ttl(ms(20_000)).with_renewal(Renewal::Off);
    let guard = acquire(&lock).await;
    guard.extend_by(ms(30_000)).await.expect("extended");
    let remaining = guard.remaining();
    assert!(remaining > ms(35_000) && remaining <= ms(50_100), "{remaining:?}");
    for _ in 0..9 {
        guard.extend_by(ms(1_000)).await.expect("extended");
    }
    guard.extend_by(ms(21_000)).await.expect("extended");
    let remaining = guard.remaining();
    assert!(remaining > ms(60_000) && remaining <= ms(80_100), "{remaining:?}");
    let seen = world.inspect("key").await.holders[0].remaining;
    assert!(seen <= ms(82_000), "the allowance counts once: {seen:?}");
}

pub(crate) async fn loss_is_announced_every_way(world: World) {
    let lock = world.lock("key").with_ttl(ms(400)).with_renewal(Renewal::Off);
    let guard = acquire(&lock).await;
    let token = guard.lost_token();
    assert!(!token.is_cancelled());
    within("the token", PATIENCE, token.cancelled()).await;
    assert_eq!(within("the future", PATIENCE, guard.lost()).await, LostReason::Expired);
    assert_eq!(within("again", PATIENCE, guard.lost()).await, LostReason::Expired);
    within("the risk", PATIENCE, guard.at_risk(ms(1))).await;
    assert_eq!(guard.remaining(), Duration::ZERO);
    assert!(guard.check().is_err());
    let refused = guard.extend_to(ms(5_000)).await.expect_err("once lost, always lost");
    assert_eq!(refused.kind(), ErrorKind::Lost);
}

pub(crate) async fn at_risk_comes_before_the_loss(world: World) {
    let lock = world.lock("key").with_ttl(ms(20_000)).with_renewal(Renewal::Off);
    let guard = acquire(&lock).await;
    within("the risk", PATIENCE, guard.at_risk(ms(19_000))).await;
    assert!(guard.remaining() <= ms(19_000));
    assert!(guard.check().is_ok(), "there is time left to stop the work");
    assert!(!guard.lost_token().is_cancelled());
}

pub(crate) async fn at_risk_is_put_off_by_renewals(world: World) {
    let lock = world.lock("key").with_ttl(ms(20_000));
    let guard = acquire(&lock.with_renewal(Renewal::Every(ms(300)))).await;
    let renewals = async {
        let first = guard.deadline();
        let mut deadline = first;
        while deadline.since(first) < ms(2_000) {
            deadline = guard.renewed(deadline).await;
        }
    };
    tokio::select! {
        biased;
        () = guard.at_risk(ms(8_000)) => panic!("at risk in spite of renewals"),
        () = renewals => {}
    }
}

pub(crate) async fn forced_holder_learns_at_its_next_renewal(world: World) {
    let every = Renewal::Every(ms(200));
    let guard = acquire(&world.lock("key").with_renewal(every)).await;
    world.force(&guard).await;
    let next = world.rival_takes("key").await;
    assert!(next.fence() > guard.fence());
    let started = Instant::now();
    assert_eq!(within("the loss", PATIENCE, guard.lost()).await, LostReason::Gone);
    assert!(started.elapsed() < Duration::from_secs(10), "before a third of the ttl");
    assert_eq!(guard.check().expect_err("lost").kind(), ErrorKind::Lost);
    assert_eq!(guard.release().await.expect("an answer"), tenure::Released::Others);
    next.check().expect("the successor was left alone");
    assert_eq!(world.inspect("key").await.holders[0].fence, next.fence());
}

/// Leases are kept by a thread of the engine's own, not by the runtime that asked for them.
pub(crate) async fn guard_outlives_its_runtime(world: World) {
    let lock = world.lock("key").with_ttl(ms(6_000));
    let elsewhere = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(acquire(&lock))
    });
    let guard = elsewhere.join().expect("no panic");
    let mut deadline = guard.deadline();
    for _ in 0..2 {
        deadline = within("a renewal", PATIENCE, guard.renewed(deadline)).await;
    }
    guard.check().expect("held");
    assert_eq!(guard.release().await.expect("an answer"), tenure::Released::Released);
}

/// This case's runtime has one thread, and here it is blocked.
pub(crate) async fn blocked_program_keeps_its_lease(world: World) {
    let guard = acquire(&world.lock("key").with_ttl(ms(6_000))).await;
    std::thread::sleep(ms(7_000));
    guard.check().expect("held past its first ttl");
    assert!(world.inspect("key").await.holders[0].since > ms(6_000));
}
