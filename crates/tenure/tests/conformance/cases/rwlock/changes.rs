//! From writer to reader and back, under one lease.

use tenure::{ErrorKind, LostReason, Released, Renewal};

use crate::world::{PATIENCE, World, acquire, ms, outcome, within};

use super::readers::{both, inspect, reads, waits_to_read, waits_to_write, writers, writes};

/// The number of holders that write and of all that wait.
async fn state(world: &World) -> (Vec<bool>, usize) {
    let [ours, _] = both(world);
    (writers(&ours).await, inspect(&ours).await.waiters.len())
}

pub(crate) async fn downgrade_lets_waiting_readers_in(world: World) {
    let world = world.with_lasting_places();
    let [ours, theirs] = both(&world);
    let mut guard = writes(&ours).await;
    let reader = waits_to_read(&theirs);
    world.until_waiting("key", 1).await;
    let writer = waits_to_write(&theirs);
    world.until_waiting("key", 2).await;
    let (fence, deadline) = (guard.fence(), guard.deadline());
    guard.downgrade().await.expect("a reader");
    // In the step of the downgrade: the key was never free, so the writer did not have it.
    assert_eq!(state(&world).await, (vec![false; 2], 1));
    assert_eq!((guard.fence(), guard.deadline() >= deadline), (fence, true));
    guard.downgrade().await.expect("a reader already");
    let reader = outcome(reader).await.expect("granted");
    assert!(reader.fence() > fence);
    reader.release().await.expect("released");
    assert_eq!(state(&world).await, (vec![false], 1), "the guard still reads");
    guard.check().expect("held");
    assert_eq!(guard.release().await.expect("an answer"), Released::Released);
    let writer = outcome(writer).await.expect("granted");
    assert!(writer.fence() > fence);
}

pub(crate) async fn upgrade_alone_gets_a_larger_fence(world: World) {
    let [ours, theirs] = both(&world);
    let other = reads(&theirs).await;
    let mut guard = reads(&ours).await;
    let lease = guard.lease();
    let seen_by_other = other.fence();
    other.release().await.expect("released");
    let mut fence = guard.fence();
    for _ in 0..3 {
        assert!(guard.try_upgrade().await.expect("an answer"), "it is alone");
        assert!(guard.fence() > fence && guard.fence() > seen_by_other, "what a writer must have");
        assert_eq!(lease.fence(), guard.fence(), "its leases know");
        fence = guard.fence();
        assert!(guard.try_upgrade().await.expect("an answer"), "a writer already");
        assert!(theirs.try_read().await.expect("an answer").is_none());
        guard.downgrade().await.expect("a reader");
        assert_eq!(guard.fence(), fence);
        let beside = theirs.try_read().await.expect("an answer").expect("beside a reader");
        beside.release().await.expect("released");
    }
    assert_eq!(inspect(&ours).await.holders[0].fence, fence);
    assert_eq!(guard.release().await.expect("an answer"), Released::Released);
}

/// Two readers that both want to write: none waits for the other.
pub(crate) async fn upgrade_beside_others_keeps_what_it_has(world: World) {
    let [ours, theirs] = both(&world);
    let mut guards = [reads(&ours).await, reads(&theirs).await];
    for guard in &mut guards {
        let fence = guard.fence();
        let upgraded = within("an answer at once", PATIENCE, guard.try_upgrade()).await;
        assert!(!upgraded.expect("an answer"), "it writes beside a reader");
        assert_eq!(guard.fence(), fence);
        guard.check().expect("it reads as before");
    }
    assert_eq!(state(&world).await, (vec![false; 2], 0));
    let [first, mut second] = guards;
    first.release().await.expect("released");
    assert!(second.try_upgrade().await.expect("an answer"));
    assert_eq!(state(&world).await, (vec![true], 0));
}

pub(crate) async fn upgrade_does_not_overtake(world: World) {
    let world = world.with_lasting_places();
    let [ours, theirs] = both(&world);
    let mut guard = reads(&ours).await;
    let writer = waits_to_write(&theirs);
    world.until_waiting("key", 1).await;
    assert!(!guard.try_upgrade().await.expect("an answer"), "a writer waits in front");
    guard.release().await.expect("released");
    outcome(writer).await.expect("granted").release().await.expect("released");
}

pub(crate) async fn changed_lease_is_renewed_and_given_back(world: World) {
    let [ours, theirs] = both(&world);
    let mut guard = writes(&ours.with_ttl(ms(20_000)).with_renewal(Renewal::Every(ms(50)))).await;
    for is_writer in [false, true] {
        match is_writer {
            true => assert!(guard.try_upgrade().await.expect("an answer")),
            false => guard.downgrade().await.expect("a reader"),
        }
        for _ in 0..3 {
            within("a renewal", PATIENCE, guard.renewed(guard.deadline())).await;
        }
        assert_eq!(state(&world).await, (vec![is_writer], 0));
    }
    let reader = waits_to_read(&theirs);
    world.until_waiting("key", 1).await;
    drop(guard);
    outcome(reader).await.expect("granted").check().expect("held");
}

pub(crate) async fn changes_of_other_guards(world: World) {
    let world = world.with_lasting_places();
    // The guard of a mutex is a writer's.
    let [_, theirs] = both(&world);
    let mut guard = acquire(&world.locks().mutex("key")).await;
    guard.downgrade().await.expect("a reader");
    let reader = reads(&theirs).await;
    reader.release().await.expect("released");
    assert!(guard.try_upgrade().await.expect("an answer"));
    guard.release().await.expect("released");
    // Permits of a semaphore are neither.
    let mut permits = world.locks().semaphore("key", 3).acquire_many(2).await.expect("granted");
    let errors = [permits.downgrade().await.err(), permits.try_upgrade().await.err()];
    for error in errors.map(|error| error.expect("neither a writer nor a reader")) {
        assert_eq!(error.kind(), ErrorKind::Mismatch, "{error}");
        assert!(error.to_string().starts_with("cannot resize \"key\" at "), "{error}");
    }
    permits.check().expect("held");
    permits.release().await.expect("released");
    // A downgrade beside a semaphore that waits would be a second limit.
    let mut guard = acquire(&world.locks().mutex("key")).await;
    let waiter = crate::world::waiting(world.rival().semaphore("key", 3));
    world.until_waiting("key", 1).await;
    let error = guard.downgrade().await.expect_err("another limit is waited for");
    assert_eq!(error.kind(), ErrorKind::Mismatch, "{error}");
    assert_eq!(state(&world).await, (vec![true], 1));
    guard.release().await.expect("released");
    drop(outcome(waiter).await.expect("granted"));
}

pub(crate) async fn lost_guard_is_not_changed(world: World) {
    let [ours, theirs] = both(&world);
    let mut guards = [reads(&ours).await, reads(&ours).await];
    assert_eq!(theirs.force_release().await.expect("forced"), 2);
    let writer = writes(&theirs).await;
    let [first, second] = &mut guards;
    let errors = [first.try_upgrade().await.err(), second.downgrade().await.err()];
    for (guard, error) in guards.iter().zip(errors) {
        assert_eq!(error.expect("lost").kind(), ErrorKind::Lost);
        assert_eq!(guard.lost().await, LostReason::Gone, "it knows without a renewal");
    }
    writer.check().expect("the successor is left alone");
    assert_eq!(state(&world).await, (vec![true], 0));
}
