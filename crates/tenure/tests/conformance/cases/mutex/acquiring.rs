//! Getting the lock: at once, after a wait, or not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tenure::protocol::{Acquire, Op, Queueing, Reply, State};
use tenure::{Claim, ErrorKind};

use crate::world::{
    PATIENCE, World, acquire, ms, outcome, too_late, until, waiting, was_read_late, within,
};

pub(crate) async fn free_key_is_held_at_once(world: World) {
    let guard = acquire(&world.lock("key").with_ttl(ms(20_000))).await;
    guard.check().expect("held");
    assert_eq!(guard.key().as_str(), "key");
    assert!(guard.remaining() <= ms(20_000) && guard.remaining() > ms(5_000));
    let seen = world.inspect("key").await;
    let [holder] = &seen.holders[..] else { panic!("one holder, not {seen:?}") };
    let claim = world.claim();
    let limit = if claim.is_exclusive() { 1 } else { claim.limit() };
    assert_eq!((seen.state, seen.limit), (State::Held, Some(limit)));
    assert_eq!((&holder.owner, holder.fence, holder.units), (guard.owner(), guard.fence(), 1));
    assert_eq!(seen.fence, Some(guard.fence()));
    assert!(holder.remaining <= ms(20_000) && holder.remaining > guard.remaining() - ms(10_000));
    assert!(holder.since < ms(15_000));
}

pub(crate) async fn try_answers_none_while_held(world: World) {
    let guard = world.rival_takes("key").await;
    let lock = world.lock("key");
    // A try that waited would do so for ever.
    let tried = within("the answer", PATIENCE, lock.try_acquire()).await;
    assert!(tried.expect("an answer").is_none());
    assert!(world.inspect("key").await.waiters.is_empty(), "a try takes no place");
    guard.release().await.expect("released");
    assert!(lock.try_acquire().await.expect("an answer").is_some());
}

pub(crate) async fn wait_ends_and_names_the_holder(world: World) {
    let holder = world.rival_lock("key").with_label("night shift");
    let _guard = acquire(&holder).await;
    let hasty = world.lock("key").with_wait(ms(2_000));
    let mut started = Instant::now();
    let error = too_late(async || {
        started = Instant::now();
        hasty.acquire().await
    })
    .await;
    assert!(started.elapsed() >= ms(2_000));
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert!(error.to_string().contains(world.blocker("night shift")), "{error}");
    assert!(!error.may_hold());
    until("the place is given up", async || world.inspect("key").await.waiters.is_empty()).await;
}

pub(crate) async fn retries_wait_in_line(world: World) {
    let guard = world.rival_takes("key").await;
    let lock = world.lock("key").with_retry(3, ms(700));
    let started = Instant::now();
    let error = lock.acquire().await.expect_err("the key is held");
    assert!(started.elapsed() >= ms(2_100));
    assert_eq!(error.kind(), ErrorKind::Busy);
    let waiter = waiting(world.lock("key").with_retry(1_000, ms(1_000)));
    world.until_waiting("key", 1).await;
    guard.release().await.expect("released");
    drop(outcome(waiter).await.expect("granted in line"));
}

pub(crate) async fn released_key_goes_to_the_waiter(world: World) {
    let world = world.with_lasting_places();
    let first = world.rival_takes("key").await;
    let waiter = waiting(world.lock("key"));
    world.until_waiting("key", 1).await;
    let fence = first.fence();
    first.release().await.expect("released");
    // From this very step on the key is the waiter's: nobody can slip in between.
    let slipped_in = world.rival_lock("key").try_acquire().await.expect("an answer");
    assert!(slipped_in.is_none(), "the key was free between two holders");
    let second = outcome(waiter).await.expect("granted");
    assert!(second.fence() > fence);
    second.check().expect("held");
}

pub(crate) async fn line_is_first_come_first_served(world: World) {
    let world = world.with_lasting_places();
    let guard = world.rival_takes("key").await;
    let (sender, mut served) = tokio::sync::mpsc::unbounded_channel();
    for number in 0..6 {
        // Each a process of its own: the tasks of one stand in a line of their own.
        let (lock, sender) = (world.lock_of(&world.another(), "key"), sender.clone());
        tokio::spawn(async move {
            let guard = lock.acquire().await.expect("granted");
            sender.send(number).expect("the test listens");
            guard.release().await.expect("released");
        });
        world.until_waiting("key", number + 1).await;
    }
    guard.release().await.expect("released");
    for number in 0..6 {
        let next = within("the next", PATIENCE, served.recv()).await;
        assert_eq!(next, Some(number));
    }
}

pub(crate) async fn heartbeats_keep_the_place(world: World) {
    let _guard = world.rival_takes("key").await;
    // A place without heartbeats would last three seconds.
    let _waiter = waiting(world.lock("key"));
    world.until_waiting("key", 1).await;
    let (mut longest, mut looked, mut stood_still) = (ms(0), Instant::now(), None);
    until("a long wait", async || {
        let seen = world.inspect("key").await;
        if std::mem::replace(&mut looked, Instant::now()).elapsed() > ms(300) {
            // A machine that stands still sends no heartbeats, nor does a server answer them.
            stood_still = Some(looked);
        }
        let waited = seen.waiters.first().map(|place| place.waiting);
        let is_kept = waited.is_some_and(|waited| waited >= longest);
        let is_excused = stood_still.is_some_and(|at| at.elapsed() < ms(5_000));
        assert!(is_kept || is_excused, "the place was lost, perhaps taken anew: {waited:?}");
        // One that is taken anew begins anew.
        longest = waited.unwrap_or_default();
        longest > ms(4_000)
    })
    .await;
}

pub(crate) async fn dropped_waiter_leaves_the_line(world: World) {
    let _guard = world.rival_takes("key").await;
    let waiter = waiting(world.lock("key"));
    world.until_waiting("key", 1).await;
    waiter.abort();
    world.until_waiting("key", 0).await;
}

pub(crate) async fn dead_waiter_does_not_hold_up_the_line(world: World) {
    let guard = world.rival_takes("key").await;
    let dead = World::crashed(1, world.claim(), ms(400), true);
    let queued = world.ask("key", Op::Acquire(dead)).await;
    assert!(matches!(queued, Reply::Queued { ahead: 0, .. }), "{queued:?}");
    let waiter = waiting(world.lock("key"));
    // On a busy machine the dead one's place may have ended before.
    until("it waits", async || !places_of_the_living(&world).await.is_empty()).await;
    guard.release().await.expect("released");
    drop(outcome(waiter).await.expect("granted after the dead one's time"));
}

pub(crate) async fn crashed_holder_is_succeeded(world: World) {
    let crashed = World::crashed(1, world.claim(), ms(500), false);
    let granted = world.ask("key", Op::Acquire(crashed)).await;
    let Reply::Granted { fence } = granted else { panic!("{granted:?}") };
    let guard = acquire(&world.lock("key")).await;
    assert!(guard.fence() > fence);
}

/// Nobody runs a release for one who dies just as the key is handed to it; its successor has
/// been told of another holder.
pub(crate) async fn dead_heir_is_succeeded_as_soon_as_its_lease_ends(world: World) {
    let ttl = ms(120);
    let (began, mut late) = (Instant::now(), Vec::new());
    for number in 0.. {
        let guard = acquire(&world.rival_lock("key")).await;
        let heir = World::crashed(number, world.claim(), ttl, true);
        let heir = Acquire { queue: line(ms(900)), ..heir };
        world.ask("key", Op::Acquire(heir)).await;
        // Not of the holder's process, which would hand on to it ahead of the heir.
        let waiter = waiting(world.lock_of(&world.another(), "key").with_ttl(ttl));
        let waits = async || !places_of_the_living(&world).await.is_empty();
        until("it waits", waits).await;
        // On a busy machine the heir's place may have ended.
        let is_behind = places_of_the_living(&world).await == [1];
        let released = Instant::now();
        guard.release().await.expect("released");
        let granted = outcome(waiter).await;
        let took = released.elapsed();
        // Its own lease is as short as the heir's.
        match granted {
            Ok(next) => drop(next.release().await.expect("an answer")),
            Err(error) => assert!(was_read_late(&error), "{error}"),
        }
        if is_behind {
            late.push(took.saturating_sub(ttl));
        }
        // A busy machine makes many late; a waiter that is not told is late each time.
        if late.last().is_some_and(|late| *late <= ms(100)) {
            break;
        }
        let is_over = began.elapsed() > PATIENCE;
        assert!(!is_over, "granted so late after the lease's end: {late:?}");
    }
}

/// The places in line of those who have not crashed.
async fn places_of_the_living(world: &World) -> Vec<usize> {
    let seen = world.inspect("key").await;
    let places = seen.waiters.iter().enumerate();
    places
        .filter(|(_, waiter)| waiter.label.as_str() != "crashed")
        .map(|(place, _)| place)
        .collect()
}

/// A waiter would look by itself only once a second: what comes earlier was pushed.
pub(crate) async fn handover_needs_no_heartbeat(world: World) {
    let (began, mut took) = (Instant::now(), Vec::new());
    // Without a push only the first could be in time by chance: the next wait begins when a look
    // has just been over.
    while took.iter().filter(|took| **took < ms(300)).count() < 4 {
        assert!(began.elapsed() < PATIENCE, "handovers took {took:?}");
        let guard = world.rival_takes("key").await;
        let waiter = waiting(world.lock("key"));
        world.until_waiting("key", 1).await;
        let released = Instant::now();
        guard.release().await.expect("released");
        let next = outcome(waiter).await.expect("granted");
        took.push(released.elapsed());
        next.release().await.expect("released");
    }
}

pub(crate) async fn crowd_never_overlaps(world: World) {
    let inside = Arc::new(AtomicBool::new(false));
    let turns = Arc::new(AtomicU32::new(0));
    let crowd: Vec<_> = (0..8)
        .map(|number| {
            let locks = if number % 2 == 0 { world.locks() } else { world.rival() };
            let lock = world.lock_of(locks, "key");
            let (inside, turns) = (Arc::clone(&inside), Arc::clone(&turns));
            tokio::spawn(async move {
                for _ in 0..15 {
                    let guard = lock.acquire().await.expect("granted");
                    assert!(!inside.swap(true, Ordering::SeqCst), "two hold it at once");
                    tokio::task::yield_now().await;
                    turns.fetch_add(1, Ordering::SeqCst);
                    inside.store(false, Ordering::SeqCst);
                    guard.release().await.expect("released");
                }
            })
        })
        .collect();
    for one in crowd {
        one.await.expect("no overlap");
    }
    assert_eq!(turns.load(Ordering::SeqCst), 8 * 15);
}

fn line(window: Duration) -> Option<Queueing> {
    Some(Queueing { window, stamp: 1, inbox: None })
}

/// Of any limit, and in order of arrival.
pub(crate) async fn shares_and_a_mutex_exclude_each_other(world: World) {
    let world = world.with_lasting_places();
    let share = |number, units, limit| {
        let claim = Claim::new(units, limit).expect("valid");
        World::crashed(number, claim, ms(60_000), true)
    };
    let release = |claim: &Acquire| {
        let owner = claim.owner.clone();
        Op::Release { owner, min_hold: Duration::ZERO, tombstone: None }
    };
    for (units, limit) in [(1, 1), (2, 5), (1, Claim::MAX)] {
        let key = format!("key of {limit}");
        let [first, second] = [1, 2].map(|number| share(number, units, limit));
        let granted = world.ask(&key, Op::Acquire(first.clone())).await;
        assert!(matches!(granted, Reply::Granted { .. }), "{granted:?}");
        let mutex = world.locks().mutex(&key);
        assert!(mutex.try_acquire().await.expect("an answer").is_none(), "a share is held");
        let waiter = waiting(mutex);
        world.until_waiting(&key, 1).await;
        let queued = world.ask(&key, Op::Acquire(second.clone())).await;
        assert!(matches!(queued, Reply::Queued { ahead: 1, .. }), "it overtakes: {queued:?}");
        assert_eq!(world.ask(&key, release(&first)).await, Reply::Released);
        let guard = outcome(waiter).await.expect("granted");
        let seen = world.inspect(&key).await;
        assert_eq!((seen.limit, seen.waiters[0].units), (Some(limit), units));
        let [holder] = &seen.holders[..] else { panic!("{seen:?}") };
        assert_eq!((holder.units, holder.exclusive), (limit, true), "all there are");
        guard.release().await.expect("released");
        let seen = world.inspect(&key).await;
        let [holder] = &seen.holders[..] else { panic!("{seen:?}") };
        assert_eq!((&holder.owner, holder.exclusive), (&second.owner, false));
        assert_eq!(world.ask(&key, release(&second)).await, Reply::Released);
        assert_eq!(world.inspect(&key).await.limit, None, "nothing is left of them");
    }
}

/// All of the key becomes a share without a gap, and a share becomes all if nobody is in the way.
pub(crate) async fn units_change_in_place(world: World) {
    let share = Claim::new(1, Claim::MAX).expect("valid");
    let [writer, reader] = [1, 2].map(|number| World::crashed(number, share, ms(60_000), true));
    let writer = Acquire { claim: Claim::EXCLUSIVE, ..writer };
    let resize = |acquire: &Acquire, fence, from, to| Op::Resize {
        owner: acquire.owner.clone(),
        fence,
        from,
        to,
    };
    let held = world.ask("key", Op::Acquire(writer.clone())).await;
    let Reply::Granted { fence } = held else { panic!("{held:?}") };
    world.ask("key", Op::Acquire(reader.clone())).await;
    let down = resize(&writer, fence, Claim::EXCLUSIVE, share);
    assert_eq!(world.ask("key", down.clone()).await, Reply::Resized { fence });
    assert_eq!(world.ask("key", down).await, Reply::Resized { fence }, "repeated");
    let seen = world.inspect("key").await;
    assert_eq!((seen.holders.len(), seen.waiters.len(), seen.limit), (2, 0, Some(Claim::MAX)));
    let up = resize(&writer, fence, share, Claim::EXCLUSIVE);
    let busy = world.ask("key", up.clone()).await;
    let Reply::Busy { blocker: Some(blocker), .. } = &busy else { panic!("{busy:?}") };
    assert_eq!(blocker.label, reader.label);
    let (owner, min_hold) = (reader.owner.clone(), Duration::ZERO);
    world.ask("key", Op::Release { owner, min_hold, tombstone: None }).await;
    let resized = world.ask("key", up.clone()).await;
    assert!(matches!(resized, Reply::Resized { fence: new } if new > fence), "{resized:?}");
    assert_eq!(world.ask("key", up).await, resized, "repeated");
    let again = world.ask("key", Op::Acquire(reader)).await;
    assert!(matches!(again, Reply::Queued { .. }), "{again:?}");
    let seen = world.inspect("key").await;
    assert!(seen.holders[0].exclusive && seen.holders[0].since < ms(60_000), "{seen:?}");
}

/// A larger limit grants at once, a smaller one takes effect as units come back.
pub(crate) async fn limit_changes_in_place(world: World) {
    let share = |number, units, limit| {
        let claim = Claim::new(units, limit).expect("valid");
        World::crashed(number, claim, ms(60_000), true)
    };
    let held = async || {
        let seen = world.inspect("key").await;
        let units: u32 = seen.holders.iter().map(|holder| holder.units).sum();
        (units, seen.limit, seen.waiters.len())
    };
    let set = async |limit| world.ask("key", Op::SetLimit { limit }).await;
    let release = async |number| {
        let owner = share(number, 1, 1).owner;
        world.ask("key", Op::Release { owner, min_hold: Duration::ZERO, tombstone: None }).await
    };
    assert_eq!(set(3).await, Reply::LimitSet { was: None }, "nobody uses it");
    for (number, units) in [(1, 2), (2, 2), (3, 1)] {
        world.ask("key", Op::Acquire(share(number, units, 2))).await;
    }
    assert_eq!(held().await, (2, Some(2), 2));
    assert_eq!(set(5).await, Reply::LimitSet { was: Some(2) });
    assert_eq!(held().await, (5, Some(5), 0));
    let old = world.ask("key", Op::Acquire(share(4, 1, 2))).await;
    let Reply::Mismatch(why) = &old else { panic!("{old:?}") };
    assert!(why.contains("limit of 5") && why.contains("limit of 2"), "{why}");
    assert_eq!(set(1).await, Reply::LimitSet { was: Some(5) });
    world.ask("key", Op::Acquire(share(4, 1, 1))).await;
    for (number, units) in [(1, 3), (2, 1)] {
        assert_eq!(held().await, (units + 2, Some(1), 1), "they keep what they have");
        assert_eq!(release(number).await, Reply::Released);
    }
    assert_eq!(held().await, (1, Some(1), 1));
    release(3).await;
    assert_eq!(held().await, (1, Some(1), 0));
    release(4).await;
    let fresh = world.ask("key", Op::Acquire(share(5, 2, 2))).await;
    assert!(matches!(fresh, Reply::Granted { .. }), "the limit goes with its shares: {fresh:?}");
}
