//! Readers beside each other, writers alone, and the order of both.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tenure::protocol::{Inspection, Op, Reply};
use tenure::{Claim, ErrorKind, Guard, LostReason, Released, Renewal, Result, RwLock};
use tokio::task::JoinHandle;

use crate::world::{PATIENCE, World, grows, ms, outcome, too_late, until, within};

/// So long before the end that no pause of a busy machine loses the lease.
const OFTEN: Renewal = Renewal::Every(ms(50));

/// One lock on the key for each client.
pub(crate) fn both(world: &World) -> [RwLock; 2] {
    [world.locks(), world.rival()].map(|locks| locks.rwlock("key"))
}

pub(crate) async fn inspect(rwlock: &RwLock) -> Inspection {
    rwlock.inspect().await.expect("a look")
}

/// Whether each holder is a writer.
pub(crate) async fn writers(rwlock: &RwLock) -> Vec<bool> {
    inspect(rwlock).await.holders.iter().map(|holder| holder.exclusive).collect()
}

pub(crate) async fn reads(rwlock: &RwLock) -> Guard {
    within("the read lock", PATIENCE, rwlock.read()).await.expect("granted")
}

pub(crate) async fn writes(rwlock: &RwLock) -> Guard {
    within("the write lock", PATIENCE, rwlock.write()).await.expect("granted")
}

/// Starts to wait in the background.
pub(crate) fn waits_to_read(rwlock: &RwLock) -> JoinHandle<Result<Guard>> {
    let rwlock = rwlock.clone();
    tokio::spawn(async move { rwlock.read().await })
}

pub(crate) fn waits_to_write(rwlock: &RwLock) -> JoinHandle<Result<Guard>> {
    let rwlock = rwlock.clone();
    tokio::spawn(async move { rwlock.write().await })
}

pub(crate) async fn readers_share_and_writers_do_not(world: World) {
    let [ours, theirs] = both(&world);
    let mut fence = tenure::Fence::default();
    let mut readers = Vec::new();
    for rwlock in [&ours, &theirs, &ours] {
        let reader = rwlock.try_read().await.expect("an answer").expect("beside the others");
        grows(&mut fence, &reader);
        readers.push(reader);
    }
    assert_eq!(writers(&theirs).await, [false; 3]);
    for rwlock in [&ours, &theirs] {
        assert!(rwlock.try_write().await.expect("an answer").is_none(), "it writes beside readers");
    }
    for reader in readers {
        reader.check().expect("each has a lease of its own");
        assert_eq!(reader.release().await.expect("an answer"), Released::Released);
    }
    let writer = theirs.try_write().await.expect("an answer").expect("nobody reads");
    grows(&mut fence, &writer);
    for rwlock in [&ours, &theirs] {
        assert!(rwlock.try_read().await.expect("an answer").is_none(), "it reads beside a writer");
        assert!(rwlock.try_write().await.expect("an answer").is_none(), "two write");
    }
    assert_eq!(writers(&ours).await, [true]);
    writer.release().await.expect("released");
    until("it is free", async || inspect(&ours).await.holders.is_empty()).await;
}

pub(crate) async fn mutex_and_writer_exclude_each_other(world: World) {
    let [ours, theirs] = both(&world);
    let mutex = world.locks().mutex("key");
    let writer = writes(&theirs).await;
    assert!(mutex.try_acquire().await.expect("an answer").is_none(), "beside a writer");
    writer.release().await.expect("released");
    let alone = mutex.try_acquire().await.expect("an answer").expect("free");
    assert!(theirs.try_write().await.expect("an answer").is_none(), "beside a mutex");
    assert!(theirs.try_read().await.expect("an answer").is_none(), "beside a mutex");
    let reader = waits_to_read(&theirs);
    world.until_waiting("key", 1).await;
    alone.release().await.expect("released");
    let reader = outcome(reader).await.expect("granted");
    assert!(mutex.try_acquire().await.expect("an answer").is_none(), "beside a reader");
    reader.release().await.expect("released");
    drop(writes(&ours).await);
}

pub(crate) async fn writer_is_not_overtaken_by_readers(world: World) {
    let world = world.with_lasting_places();
    let [ours, theirs] = both(&world);
    let first = reads(&ours).await;
    let writer = waits_to_write(&theirs);
    world.until_waiting("key", 1).await;
    // It would fit beside the first one, and comes after the writer.
    assert!(ours.try_read().await.expect("an answer").is_none(), "the writer was overtaken");
    let behind = [waits_to_read(&ours), waits_to_read(&theirs)];
    world.until_waiting("key", 3).await;
    let last = waits_to_write(&world.another().rwlock("key"));
    world.until_waiting("key", 4).await;
    let mut fence = first.fence();
    first.release().await.expect("released");
    let writer = outcome(writer).await.expect("granted");
    grows(&mut fence, &writer);
    assert_eq!((writers(&ours).await, inspect(&ours).await.waiters.len()), (vec![true], 3));
    writer.release().await.expect("released");
    // In the step of the release: both at once, and not the writer behind them.
    assert_eq!((writers(&ours).await, inspect(&ours).await.waiters.len()), (vec![false; 2], 1));
    for reader in behind {
        let reader = outcome(reader).await.expect("granted");
        assert!(reader.fence() > fence, "the fence of a reader behind a writer");
        reader.release().await.expect("released");
    }
    let last = outcome(last).await.expect("granted");
    assert_eq!(writers(&ours).await, [true]);
    last.release().await.expect("released");
}

pub(crate) async fn readers_of_the_dead_let_the_writer_in(world: World) {
    let [ours, theirs] = both(&world);
    let share = Claim::new(1, Claim::MAX).expect("valid");
    let dead = World::crashed(1, share, ms(2_500), false);
    let granted = world.ask("key", Op::Acquire(dead)).await;
    assert!(matches!(granted, Reply::Granted { .. }), "{granted:?}");
    let alive = reads(&ours).await;
    // A writer that dies in line does not hold up those behind it.
    let dead = World::crashed(2, Claim::EXCLUSIVE, ms(400), true);
    let queued = world.ask("key", Op::Acquire(dead)).await;
    assert!(matches!(queued, Reply::Queued { .. }), "{queued:?}");
    let beside = reads(&theirs).await;
    let writer = waits_to_write(&theirs);
    world.until_waiting("key", 1).await;
    for reader in [alive, beside] {
        reader.check().expect("the living are left alone");
        reader.release().await.expect("released");
    }
    let writer = outcome(writer).await.expect("granted when the dead one's lease has ended");
    assert_eq!(writers(&ours).await, [true]);
    writer.check().expect("held");
}

/// Eight tasks of two processes. Every fourth turn is a writer's.
pub(crate) async fn crowd_reads_together_and_writes_alone(world: World) {
    const WRITER: u32 = 1_000;
    let inside = Arc::new(AtomicU32::new(0));
    let most = Arc::new(AtomicU32::new(0));
    let locks = both(&world);
    let crowd: Vec<_> = (0..8)
        .map(|number: u32| {
            let rwlock = locks[number as usize % 2].clone();
            let (inside, most) = (Arc::clone(&inside), Arc::clone(&most));
            tokio::spawn(async move {
                for turn in 0..12 {
                    let is_writer = (number + turn).is_multiple_of(4);
                    let guard = if is_writer { rwlock.write().await } else { rwlock.read().await };
                    let guard = guard.expect("granted");
                    let weight = if is_writer { WRITER } else { 1 };
                    let before = inside.fetch_add(weight, Ordering::SeqCst);
                    assert!(before == 0 || !is_writer && before < WRITER, "{before} beside it");
                    most.fetch_max(before % WRITER + 1, Ordering::SeqCst);
                    tokio::time::sleep(ms(3)).await;
                    inside.fetch_sub(weight, Ordering::SeqCst);
                    guard.release().await.expect("released");
                }
            })
        })
        .collect();
    for one in crowd {
        within("its turns", Duration::from_secs(60), one).await.expect("alone, or with readers");
    }
    assert!(most.load(Ordering::SeqCst) > 1, "no two read together");
}

pub(crate) async fn dropped_writer_lets_readers_pass(world: World) {
    let [ours, theirs] = both(&world);
    let first = reads(&ours).await;
    let writer = waits_to_write(&theirs);
    world.until_waiting("key", 1).await;
    let reader = waits_to_read(&ours);
    world.until_waiting("key", 2).await;
    writer.abort();
    let reader = outcome(reader).await.expect("granted when nobody is in front");
    first.check().expect("held");
    reader.check().expect("held");
    until("no place is left", async || inspect(&ours).await.waiters.is_empty()).await;
}

pub(crate) async fn force_release_takes_the_key_from_all_readers(world: World) {
    let [ours, theirs] = both(&world).map(|rwlock| rwlock.with_renewal(OFTEN));
    let readers = [reads(&ours).await, reads(&theirs).await];
    assert_eq!(theirs.force_release().await.expect("forced"), 2);
    for reader in &readers {
        assert_eq!(within("the loss", PATIENCE, reader.lost()).await, LostReason::Gone);
    }
    let writer = theirs.try_write().await.expect("an answer").expect("free");
    for reader in readers {
        assert_eq!(reader.release().await.expect("an answer"), Released::Others);
    }
    writer.check().expect("the successor is left alone");
}

pub(crate) async fn ticket_keeps_its_part(world: World) {
    let [ours, theirs] = both(&world);
    let mut guard = writes(&ours).await;
    guard.downgrade().await.expect("a reader");
    let beside = reads(&theirs).await;
    let ticket = guard.hand_over(ms(60_000)).await.expect("a ticket");
    let mut adopted = theirs.adopt(&ticket).await.expect("adopted");
    assert_eq!((adopted.fence(), writers(&ours).await), (ticket.fence(), vec![false; 2]));
    assert!(!adopted.try_upgrade().await.expect("an answer"), "beside a reader");
    beside.release().await.expect("released");
    assert!(adopted.try_upgrade().await.expect("an answer"));
    assert!(adopted.fence() > ticket.fence());
    assert_eq!(adopted.release().await.expect("an answer"), Released::Released);
}

pub(crate) async fn everything_has_its_blocking_name(world: World) {
    let locks = tenure::blocking::Locks::from(world.locks().clone());
    let rwlock = locks.rwlock("key").with_owner("me").with_renewal(OFTEN);
    rwlock.validate().expect("valid");
    let reader = rwlock.read().expect("granted");
    let mut other = rwlock.try_read().expect("an answer").expect("beside the first");
    assert!(rwlock.try_write().expect("an answer").is_none());
    assert!(rwlock.held_by_me().expect("a look"));
    let hasty = locks.rwlock("key").with_wait(ms(1_500));
    let late = too_late(async || hasty.write()).await;
    assert_eq!(late.kind(), ErrorKind::Busy);
    assert!(!other.try_upgrade().expect("an answer"));
    reader.release().expect("released");
    let seen = world.rival().rwlock("key");
    until("the place is given up", async || inspect(&seen).await.waiters.is_empty()).await;
    assert!(other.try_upgrade().expect("an answer"));
    assert!(rwlock.try_read().expect("an answer").is_none());
    other.downgrade().expect("a reader");
    drop(rwlock.try_read().expect("an answer").expect("beside the first"));
    other.release().expect("released");
    let writer = rwlock.write().expect("granted");
    assert!(rwlock.inspect().expect("a look").holders[0].exclusive);
    assert_eq!(rwlock.force_release().expect("forced"), 1);
    assert_eq!(writer.lost(), LostReason::Gone);
}
