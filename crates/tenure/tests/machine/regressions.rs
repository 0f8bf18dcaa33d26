//! Sequences that went wrong once, and must not again.

use std::time::Duration;

use tenure::protocol::{KeyState, Op, Reply};
use tenure::{Claim, Fence, Label};

use super::acts::{RETENTION, acquire, apply, line, ms, owner, start};

fn hold(resource: &mut KeyState, number: usize, ttl: Duration) -> Fence {
    let op = Op::Acquire(acquire(&owner(number), Claim::EXCLUSIVE, ttl, None));
    match apply(resource, &op, start()) {
        Reply::Granted { fence } => fence,
        other => panic!("not granted: {other:?}"),
    }
}

fn wait(number: usize, claim: Claim, window: Duration) -> Op {
    Op::Acquire(acquire(&owner(number), claim, ms(1_000), line(window, 1)))
}

#[test]
fn force_repeated_after_a_lost_reply_took_the_successors_lease() {
    let mut resource = KeyState::default();
    let fence = hold(&mut resource, 0, ms(100));
    apply(&mut resource, &wait(1, Claim::EXCLUSIVE, ms(100)), start());
    let force = Op::Force { up_to: fence };
    assert_eq!(apply(&mut resource, &force, start()), Reply::Forced { holders: 1 });
    assert_eq!(apply(&mut resource, &force, start()), Reply::Forced { holders: 0 });
    assert_eq!(resource.holders()[0].owner, owner(1));
}

#[test]
fn heir_that_stood_in_line_was_in_it_twice() {
    let mut resource = KeyState::default();
    hold(&mut resource, 0, ms(100));
    apply(&mut resource, &wait(1, Claim::EXCLUSIVE, ms(100)), start());
    let (from, to) = (owner(0), owner(1));
    let transfer = Op::Transfer { from, to, label: Label::new("heir"), ttl: ms(100) };
    assert!(matches!(apply(&mut resource, &transfer, start()), Reply::Transferred { .. }));
    assert!(resource.queue().is_empty());
}

#[test]
fn claim_that_fits_beside_the_holders_was_told_to_wait_for_them() {
    let one = Claim::new(1, 2).expect("valid");
    let two = Claim::new(2, 2).expect("valid");
    let mut resource = KeyState::default();
    let holder = Op::Acquire(acquire(&owner(0), one, ms(500), None));
    apply(&mut resource, &holder, start());
    apply(&mut resource, &wait(1, two, ms(30)), start());
    let Reply::Queued { look_in, .. } = apply(&mut resource, &wait(2, one, ms(90)), start()) else {
        panic!("the head wants two of two, and stands in front");
    };
    assert_eq!(look_in, ms(30), "it is free as soon as the head is dead");
}

#[test]
fn remainder_of_min_hold_was_refused_as_waiting_for_oneself() {
    let mut resource = KeyState::default();
    hold(&mut resource, 3, ms(100));
    let release = Op::Release { owner: owner(3), min_hold: ms(60), tombstone: None };
    apply(&mut resource, &release, start());
    let next = apply(&mut resource, &wait(4, Claim::EXCLUSIVE, ms(100)), start());
    assert!(matches!(next, Reply::Queued { look_in, .. } if look_in == ms(60)), "{next:?}");
}

#[test]
fn fence_of_a_lease_longer_than_the_retention_was_forgotten_at_its_end() {
    let mut resource = KeyState::default();
    let ttl = RETENTION * 4;
    hold(&mut resource, 0, ttl);
    assert!(!resource.is_forgettable(start() + ttl));
    assert!(resource.is_forgettable(start() + ttl + RETENTION));
}

#[test]
fn forced_owner_of_a_long_lease_came_back_as_a_ghost() {
    let mut resource = KeyState::default();
    let ttl = ms(120_000);
    let up_to = hold(&mut resource, 0, ttl);
    apply(&mut resource, &Op::Force { up_to }, start());
    let late = Op::Acquire(acquire(&owner(0), Claim::EXCLUSIVE, ttl, None));
    assert_eq!(apply(&mut resource, &late, start() + ms(90_000)), Reply::Withdrawn);
}

/// A pass granted for the ttl alone, where the place in line would have brought more.
#[test]
fn pass_is_no_shorter_than_a_grant_from_the_queue() {
    let (mut key, now) = (KeyState::default(), start());
    apply(&mut key, &Op::Acquire(acquire(&owner(1), Claim::EXCLUSIVE, ms(40), None)), now);
    let waits = acquire(&owner(0), Claim::EXCLUSIVE, ms(40), line(ms(30), 1));
    apply(&mut key, &Op::Acquire(waits), now);
    let to = acquire(&owner(0), Claim::EXCLUSIVE, ms(10), line(ms(10), 2));
    let (min_hold, tombstone) = (ms(0), None);
    let pass = Op::Handoff { owner: owner(1), min_hold, tombstone, to, ahead: true };
    apply(&mut key, &pass, now);
    assert_eq!(key.holders()[0].expires, now + ms(30));
}

/// A minimum hold was counted from the grant, which lay in the future.
#[test]
fn clock_that_was_set_back_kept_a_released_lock_until_it_had_caught_up() {
    for (min_hold, held) in [(ms(0), ms(0)), (ms(30), ms(30))] {
        let mut key = KeyState::default();
        let granted = start() + ms(500_000);
        apply(&mut key, &Op::Acquire(acquire(&owner(0), Claim::EXCLUSIVE, ms(100), None)), granted);
        let release = Op::Release { owner: owner(0), min_hold, tombstone: None };
        assert_eq!(apply(&mut key, &release, start()), Reply::Released);
        let next = Op::Acquire(acquire(&owner(1), Claim::EXCLUSIVE, ms(100), None));
        let reply = apply(&mut key, &next, start() + held);
        assert!(matches!(reply, Reply::Granted { .. }), "{reply:?}");
    }
}
