//! Refusals: another number of permits, numbers that mean nothing, and stores that cannot count.

use std::collections::BTreeSet;

use tenure::protocol::{Op, Reply, State};
use tenure::{Claim, Error, ErrorKind, Guard, Result};

use crate::world::{World, acquire, ms};

/// The errors of all ways to acquire `units` of `permits`.
async fn errors(world: &World, permits: u32, units: u32) -> Vec<Error> {
    let semaphore = world.locks().semaphore("key", permits);
    let mut errors = Vec::new();
    let mut note = |answer: Result<Option<Guard>>| errors.push(answer.expect_err("refused"));
    note(semaphore.acquire_many(units).await.map(Some));
    note(semaphore.try_acquire_many(units).await);
    if units == 1 {
        note(semaphore.acquire().await.map(Some));
        note(semaphore.try_acquire().await);
    }
    errors
}

pub(crate) async fn another_number_is_refused_with_both(world: World) {
    let held = acquire(&world.rival().semaphore("key", 3)).await;
    let before = world.rival().semaphore("key", 3).inspect().await.expect("a look");
    let mut refused = errors(&world, 5, 1).await;
    refused.extend(errors(&world, 2, 2).await);
    for error in refused {
        assert_eq!(error.kind(), ErrorKind::Mismatch, "{error}");
        assert!(error.message().contains("limit of 3"), "{error}");
        let asked = ["limit of 5", "limit of 2"];
        assert!(asked.iter().any(|asked| error.message().contains(asked)), "{error}");
        assert!(!error.may_hold());
    }
    let after = world.rival().semaphore("key", 3).inspect().await.expect("a look");
    assert_eq!((after.limit, after.fence), (Some(3), before.fence));
    assert_eq!((after.holders.len(), after.waiters.len()), (1, 0));
    held.check().expect("held");
}

pub(crate) async fn another_number_follows_when_none_is_held(world: World) {
    for permits in [3, 5, 1, Claim::MAX] {
        let semaphore = world.locks().semaphore("key", permits);
        let all = semaphore.acquire_many(permits).await.expect("granted");
        let seen = semaphore.inspect().await.expect("a look");
        assert_eq!((seen.limit, seen.holders[0].units), (Some(permits), permits));
        assert!(semaphore.try_acquire().await.expect("an answer").is_none());
        all.release().await.expect("released");
    }
}

pub(crate) async fn bad_numbers_are_refused(world: World) {
    let most = Claim::MAX.to_string();
    let cases: [(u32, u32, [&str; 2]); 5] = [
        (0, 1, ["0 permits", "limit of 1"]),
        (Claim::MAX + 1, 1, ["1073741825", &most]),
        (u32::MAX, u32::MAX, ["4294967295", &most]),
        (3, 0, ["0 of 3", "the least is 1"]),
        (3, 4, ["4 permits", "there are 3"]),
    ];
    let mut messages = BTreeSet::new();
    for (permits, units, needles) in cases {
        for error in errors(&world, permits, units).await {
            assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
            let has_all = needles.iter().all(|needle| error.message().contains(needle));
            assert!(has_all, "no {needles:?} in: {error}");
            assert_eq!(error.key().map(tenure::Key::as_str), Some("key"));
            assert!(!error.may_hold());
            messages.insert(error.message().to_owned());
        }
        if units == 1 {
            let set = world.locks().semaphore("key", 3).set_permits(permits).await;
            assert_eq!(set.expect_err("refused").kind(), ErrorKind::Invalid);
        }
        let checked = world.locks().semaphore("key", permits).validate();
        assert_eq!(checked.is_err(), permits == 0 || permits > Claim::MAX);
    }
    assert_eq!(messages.len(), 5, "one message for each fault: {messages:?}");
    assert!(world.is_untouched().await);
}

/// Each node of a quorum would be within the limit while more clients than that had a majority.
pub(crate) async fn store_refuses_before_anything_is_touched(world: World) {
    assert!(!world.locks().capabilities().many_units);
    // Of one permit, too: the kind is refused, not the number.
    for permits in [1, 3] {
        for error in errors(&world, permits, 1).await {
            assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
            assert!(error.message().contains("a semaphore needs a store"), "{error}");
            assert!(error.message().contains("a quorum does not"), "{error}");
            assert_eq!(error.store(), Some(&*world.locks().store_name()));
            assert!(!error.may_hold());
        }
    }
    let set = world.locks().semaphore("key", 3).set_permits(5).await.expect_err("refused");
    assert!(set.message().contains("quorum"), "{set}");
    let run = world.locks().semaphore("key", 3).run(|_lease| async { tenure::ok(()) }).await;
    assert_eq!(run.expect_err("refused").kind(), ErrorKind::Invalid);
    let seen = world.locks().semaphore("key", 3).inspect().await.expect("a look is no claim");
    assert_eq!((seen.state, seen.fence), (State::Free, None), "a node was asked");
    // The engine asks none; and if it did, the store itself would refuse.
    let claim = World::crashed(1, Claim::new(1, 3).expect("valid"), ms(60_000), false);
    let refused = world.ask("key", Op::Acquire(claim)).await;
    assert!(matches!(&refused, Reply::Refused(why) if why.contains("one holder")), "{refused:?}");
    assert!(world.is_untouched().await);
}
