//! Holding permits: how many at a time, in which order, and how they come back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tenure::protocol::{Inspection, Op, Reply};
use tenure::{Claim, ErrorKind, LostReason, Released, Renewal, Semaphore};

use crate::world::{
    PATIENCE, World, acquire, grows, ms, outcome, too_late, until, waiting, within,
};

/// So long before the end that no pause of a busy machine loses the lease.
const OFTEN: Renewal = Renewal::Every(ms(50));

async fn inspect(semaphore: &Semaphore) -> Inspection {
    semaphore.inspect().await.expect("a look")
}

fn used(seen: &Inspection) -> u32 {
    seen.holders.iter().map(|holder| holder.units).sum()
}

/// Starts to wait for several permits in the background.
fn waiting_for(
    semaphore: Semaphore,
    units: u32,
) -> tokio::task::JoinHandle<tenure::Result<tenure::Guard>> {
    tokio::spawn(async move { semaphore.acquire_many(units).await })
}

pub(crate) async fn as_many_are_held_as_there_are(world: World) {
    let [ours, theirs] = [world.locks(), world.rival()].map(|locks| locks.semaphore("key", 3));
    let mut fence = tenure::Fence::default();
    let mut guards = Vec::new();
    for semaphore in [&ours, &theirs, &ours] {
        let guard = semaphore.try_acquire().await.expect("an answer").expect("a permit");
        grows(&mut fence, &guard);
        guards.push(guard);
    }
    let seen = inspect(&theirs).await;
    assert_eq!((seen.limit, seen.holders.len(), used(&seen)), (Some(3), 3, 3));
    for semaphore in [&ours, &theirs] {
        assert!(semaphore.try_acquire().await.expect("an answer").is_none(), "a fourth permit");
    }
    let waiter = waiting(theirs.clone());
    world.until_waiting("key", 1).await;
    // Any of them, not the first: its permit goes to the one that waits.
    guards.remove(1).release().await.expect("released");
    grows(&mut fence, &outcome(waiter).await.expect("granted"));
    for guard in guards {
        guard.check().expect("the others are left alone");
        assert_eq!(guard.release().await.expect("an answer"), Released::Released);
    }
    until("all are free", async || inspect(&ours).await.holders.is_empty()).await;
}

pub(crate) async fn many_are_granted_together(world: World) {
    let world = world.with_lasting_places();
    let semaphore = world.locks().semaphore("key", 5);
    let three = semaphore.acquire_many(3).await.expect("granted");
    assert!(semaphore.try_acquire_many(3).await.expect("an answer").is_none());
    let two = semaphore.try_acquire_many(2).await.expect("an answer").expect("two are free");
    let seen = inspect(&semaphore).await;
    let units: Vec<_> = seen.holders.iter().map(|holder| (holder.units, holder.fence)).collect();
    assert_eq!(units, [(3, three.fence()), (2, two.fence())]);
    let four = waiting_for(world.rival().semaphore("key", 5), 4);
    world.until_waiting("key", 1).await;
    assert_eq!(inspect(&semaphore).await.waiters[0].units, 4);
    two.release().await.expect("released");
    assert_eq!(inspect(&semaphore).await.waiters.len(), 1, "four were granted of two");
    three.release().await.expect("released");
    let four = outcome(four).await.expect("granted");
    assert_eq!(used(&inspect(&semaphore).await), 4);
    four.check().expect("held");
}

pub(crate) async fn many_are_not_overtaken_by_few(world: World) {
    let world = world.with_lasting_places();
    let semaphore = world.locks().semaphore("key", 3);
    let one = semaphore.acquire().await.expect("granted");
    let other = semaphore.acquire().await.expect("granted");
    let all = waiting_for(world.rival().semaphore("key", 3), 3);
    world.until_waiting("key", 1).await;
    // One is free, and it is kept for the one that waits for all.
    assert!(semaphore.try_acquire().await.expect("an answer").is_none(), "it was overtaken");
    let few = waiting(semaphore.clone());
    world.until_waiting("key", 2).await;
    one.release().await.expect("released");
    assert_eq!(inspect(&semaphore).await.waiters.len(), 2, "it was overtaken");
    other.release().await.expect("released");
    let all = outcome(all).await.expect("granted");
    assert!(!few.is_finished(), "four of three permits");
    all.release().await.expect("released");
    drop(outcome(few).await.expect("granted"));
}

/// The tasks of one process have one place at the store, and hand the key on. Which of them is the
/// first there, the store's answers decide.
pub(crate) async fn all_of_them_wait_like_a_mutex(world: World) {
    let semaphore = world.locks().semaphore("key", 3);
    let busy = world.rival().semaphore("key", 3).acquire().await.expect("granted");
    let (sender, mut served) = tokio::sync::mpsc::unbounded_channel();
    for _ in 0..5 {
        let (semaphore, sender) = (semaphore.clone(), sender.clone());
        tokio::spawn(async move {
            let guard = semaphore.acquire_many(3).await.expect("granted");
            let seen = inspect(&semaphore).await;
            assert_eq!((seen.holders.len(), used(&seen)), (1, 3));
            sender.send(guard.fence()).expect("the test listens");
            guard.release().await.expect("released");
        });
    }
    world.until_waiting("key", 1).await;
    let mut last = busy.fence();
    busy.release().await.expect("released");
    for _ in 0..5 {
        let next = within("the next", PATIENCE, served.recv()).await.expect("five are served");
        assert!(next > last, "the fence went from {last} to {next}");
        last = next;
    }
    until("all are free", async || inspect(&semaphore).await.holders.is_empty()).await;
}

pub(crate) async fn permits_of_the_dead_come_back(world: World) {
    let two_of_three = Claim::new(2, 3).expect("valid");
    let (began, ttl) = (Instant::now(), ms(2_500));
    let dead = World::crashed(1, two_of_three, ttl, false);
    let granted = world.ask("key", Op::Acquire(dead)).await;
    assert!(matches!(granted, Reply::Granted { .. }), "{granted:?}");
    let semaphore = world.locks().semaphore("key", 3);
    let alive = semaphore.acquire().await.expect("the third permit");
    // A waiter that dies does not hold up those behind it.
    let dead = World::crashed(2, two_of_three, ms(400), true);
    let queued = world.ask("key", Op::Acquire(dead)).await;
    let is_queued = matches!(queued, Reply::Queued { .. });
    assert!(is_queued || began.elapsed() >= ttl, "{queued:?}");
    let both = waiting_for(world.rival().semaphore("key", 3), 2);
    let both = outcome(both).await.expect("granted when the dead one's lease has ended");
    assert_eq!(used(&inspect(&semaphore).await), 3);
    alive.check().expect("the living are left alone");
    both.check().expect("held");
}

/// Eight tasks of two processes, some for several permits at once.
pub(crate) async fn crowd_reaches_the_number_and_never_more(world: World) {
    const PERMITS: u32 = 3;
    let inside = Arc::new(AtomicU32::new(0));
    let most = Arc::new(AtomicU32::new(0));
    let crowd: Vec<_> = (0..8)
        .map(|number: u32| {
            let locks = [world.locks(), world.rival()][number as usize % 2];
            let semaphore = locks.semaphore("key", PERMITS);
            let units = 1 + number / 2 % PERMITS;
            let (inside, most) = (Arc::clone(&inside), Arc::clone(&most));
            tokio::spawn(async move {
                for _ in 0..12 {
                    let guard = semaphore.acquire_many(units).await.expect("granted");
                    let now = inside.fetch_add(units, Ordering::SeqCst) + units;
                    assert!(now <= PERMITS, "{now} of {PERMITS} permits are held");
                    most.fetch_max(now, Ordering::SeqCst);
                    tokio::time::sleep(ms(1)).await;
                    inside.fetch_sub(units, Ordering::SeqCst);
                    guard.release().await.expect("released");
                }
            })
        })
        .collect();
    for one in crowd {
        within("its turns", Duration::from_secs(60), one).await.expect("never more");
    }
    assert_eq!(most.load(Ordering::SeqCst), PERMITS, "permits were left unused");
}

pub(crate) async fn dropped_claim_for_many_lets_few_pass(world: World) {
    let semaphore = world.locks().semaphore("key", 3);
    let _one = semaphore.acquire().await.expect("granted");
    let all = waiting_for(world.rival().semaphore("key", 3), 3);
    world.until_waiting("key", 1).await;
    let few = waiting_for(semaphore.clone(), 2);
    world.until_waiting("key", 2).await;
    all.abort();
    let few = outcome(few).await.expect("granted when nobody is in front");
    assert_eq!(used(&inspect(&semaphore).await), 3);
    few.check().expect("held");
    until("no place is left", async || inspect(&semaphore).await.waiters.is_empty()).await;
}

pub(crate) async fn force_release_takes_all(world: World) {
    let semaphore = world.locks().semaphore("key", 3).with_renewal(OFTEN);
    let guards = [acquire(&semaphore).await, acquire(&semaphore).await];
    assert_eq!(world.rival().semaphore("key", 3).force_release().await.expect("forced"), 2);
    for guard in &guards {
        assert_eq!(within("the loss", PATIENCE, guard.lost()).await, LostReason::Gone);
    }
    let all = world.rival().semaphore("key", 3).try_acquire_many(3).await.expect("an answer");
    let all = all.expect("all are free");
    for guard in guards {
        assert_eq!(guard.release().await.expect("an answer"), Released::Others);
    }
    all.check().expect("the successor is left alone");
}

pub(crate) async fn ticket_keeps_its_permits(world: World) {
    let semaphore = world.locks().semaphore("key", 3);
    let guard = semaphore.acquire_many(2).await.expect("granted");
    let ticket = guard.hand_over(ms(60_000)).await.expect("a ticket");
    let adopted = world.rival().semaphore("key", 3).adopt(&ticket).await.expect("adopted");
    assert_eq!(adopted.fence(), ticket.fence());
    let seen = inspect(&semaphore).await;
    assert_eq!((seen.limit, used(&seen)), (Some(3), 2));
    let renewed = within("a renewal", PATIENCE, adopted.extend_to(ms(90_000))).await;
    renewed.expect("extended");
    assert!(semaphore.try_acquire_many(2).await.expect("an answer").is_none());
    let ticket = adopted.hand_over(ms(60_000)).await.expect("a ticket");
    // The door that knows no kind.
    let adopted = world.locks().adopt(&ticket).await.expect("adopted");
    assert_eq!(used(&inspect(&semaphore).await), 2);
    assert_eq!(adopted.release().await.expect("an answer"), Released::Released);
    drop(semaphore.try_acquire_many(3).await.expect("an answer").expect("all are free"));
}

pub(crate) async fn holders_are_told_apart_by_their_values(world: World) {
    let [one, same] =
        [world.locks(), world.rival()].map(|locks| locks.semaphore("key", 2).with_owner("job-1"));
    let other = world.rival().semaphore("key", 2).with_owner("job-2");
    assert!(!one.held_by_anyone().await.expect("a look"));
    let first = acquire(&one).await;
    assert!(same.held_by_me().await.expect("a look"));
    assert!(!other.held_by_me().await.expect("a look"));
    let nobody = world.locks().semaphore("key", 2).held_by_me().await.expect_err("who is me?");
    assert_eq!(nobody.kind(), ErrorKind::Invalid);
    // The same value may have both permits, but not wait for the one that it has.
    let second = acquire(&same).await;
    let refused = within("the refusal", PATIENCE, one.acquire()).await;
    assert_eq!(refused.expect_err("it waits for itself").kind(), ErrorKind::Invalid);
    let waiter = waiting(other.clone());
    world.until_waiting("key", 1).await;
    first.release().await.expect("released");
    let waiter = outcome(waiter).await.expect("granted");
    assert!(other.held_by_me().await.expect("a look") && one.held_by_me().await.expect("a look"));
    let released = world.locks().release_owner("key", "job-1").await.expect("an answer");
    assert_eq!(released, Released::Released);
    assert_eq!(second.release().await.expect("an answer"), Released::Others);
    waiter.check().expect("another value is left alone");
}

pub(crate) async fn scopes_give_their_permits_back(world: World) {
    let semaphore = world.locks().semaphore("key", 2);
    let rival = world.rival().semaphore("key", 2);
    let _one = acquire(&rival).await;
    let ran = semaphore.run(|lease| async move {
        lease.check()?;
        tenure::ok(lease.fence())
    });
    ran.await.expect("ran");
    let nested = semaphore.run(|_lease| async {
        let skipped = rival.try_run(|_lease| async { tenure::ok(()) }).await?;
        tenure::ok(skipped.is_none())
    });
    assert!(nested.await.expect("ran"), "three of two permits");
    let finished = semaphore.run_to_end(|_lease| async { 7 }).await.expect("acquired");
    assert_eq!(finished.or_lost().expect("held to the end"), 7);
    let failing = |_lease| async { Err::<(), _>(std::io::Error::other("as planned")) };
    let undone = semaphore.run_compensated(failing, |_lease, _failure| async { 9 }).await;
    assert_eq!(undone.expect("acquired").compensation, Some(9));
    until("one is left", async || used(&inspect(&semaphore).await) == 1).await;
}

pub(crate) async fn everything_has_its_blocking_name(world: World) {
    let locks = tenure::blocking::Locks::from(world.locks().clone());
    let semaphore = locks.semaphore("key", 3).with_owner("me").with_renewal(OFTEN);
    assert_eq!(semaphore.permits(), 3);
    semaphore.validate().expect("valid");
    let two = semaphore.acquire_many(2).expect("granted");
    let one = semaphore.try_acquire().expect("an answer").expect("one is free");
    assert!(semaphore.try_acquire_many(2).expect("an answer").is_none());
    assert!(semaphore.held_by_me().expect("a look"));
    let hasty = locks.semaphore("key", 3).with_wait(ms(1_500));
    let late = too_late(async || hasty.acquire()).await;
    assert_eq!(late.kind(), ErrorKind::Busy);
    one.release().expect("released");
    assert_eq!(semaphore.run(|_lease| tenure::ok(7)).expect("ran"), 7);
    assert_eq!(semaphore.try_run(|_lease| tenure::ok(8)).expect("ran"), Some(8));
    assert_eq!(semaphore.inspect().expect("a look").holders[0].units, 2);
    assert_eq!(semaphore.force_release().expect("forced"), 1);
    assert_eq!(two.lost(), LostReason::Gone);
}
