//! A change of units or of the limit, in place: what it may do, and when it is refused.

use tenure::protocol::{Holder, KeyState, Op, Reply};
use tenure::{Claim, Fence, Owner};

use super::acts::{acquire, apply, at, line, ms, owner, start};
use super::checks::{Taken, Verdict, ensure, fits, shares};

/// Whether one claim takes no more than another.
fn is_within(claim: Claim, other: Claim) -> bool {
    match (claim.is_exclusive(), other.is_exclusive()) {
        (_, true) => true,
        (true, false) => false,
        (false, false) => claim.units() <= other.units(),
    }
}

/// The state without one of its holders.
fn without(key: &KeyState, owner: &Owner) -> KeyState {
    let others = key.holders().iter().filter(|h| h.owner != *owner).cloned().collect();
    let queue = key.queue().clone();
    KeyState::from_parts(others, queue, vec![], key.fence(), key.fence_until())
}

impl Taken<'_> {
    /// The lease of the one that asked for other units.
    pub(crate) fn is_resized_as_told(&self, old: &Holder, new: &Holder) -> Verdict {
        let Op::Resize { from, to, .. } = self.op else { return Ok(()) };
        ensure!((new.expires, new.since) == (old.expires, old.since), "it is another lease");
        let Reply::Resized { fence } = *self.reply else {
            ensure!(new == old, "a refused change of units changed the lease");
            return Ok(());
        };
        ensure!(new.claim == *to, "it has {:?} in place of {to:?}", new.claim);
        ensure!(new.fence == fence, "it is told of the fence {fence}");
        let keeps = is_within(*to, old.claim) && !same_units(*from, *to);
        ensure!(keeps == (fence == old.fence), "from {:?} to {to:?} with {fence}", old.claim);
        ensure!(keeps || fence > self.before.fence(), "not a new fence: {fence}");
        Ok(())
    }

    /// The answer that is due, by what was before.
    pub(crate) fn resize_is_due(&self) -> Verdict {
        let Op::Resize { owner, fence, from, to } = self.op else { return Ok(()) };
        let idle = self.after_time_alone();
        let due = match idle.holders().iter().find(|h| h.owner == *owner) {
            _ if self.was_buried(owner) => "withdrawn",
            None => "gone",
            Some(held) if held.claim == *to && !same_units(*from, *to) => "resized",
            Some(held) if held.fence != *fence || !same_units(held.claim, *from) => "mismatch",
            Some(_) if differs(&idle, *to) => "mismatch",
            Some(held) if is_within(*to, held.claim) => "resized",
            Some(_) if !idle.queue().is_empty() => "busy",
            Some(_) if !fits(&without(&idle, owner), *to) => "busy",
            Some(_) => "resized",
        };
        let told = match self.reply {
            Reply::Withdrawn => "withdrawn",
            Reply::Gone => "gone",
            Reply::Resized { .. } => "resized",
            Reply::Mismatch(_) => "mismatch",
            Reply::Busy { .. } => "busy",
            other => return Err(format!("{other:?} is no answer to a change of units")),
        };
        ensure!(told == due, "{due} was due");
        ensure!(told == "resized" || *self.after == idle, "a refused request changed something");
        Ok(())
    }
}

impl Taken<'_> {
    /// Whether an administrator changed the limit of the shares.
    pub(crate) fn is_limit_changed(&self) -> bool {
        let Op::SetLimit { limit } = self.op else { return false };
        matches!(self.reply, Reply::LimitSet { was: Some(was) } if was != limit)
    }

    /// Whether a claim is the one that it was, but for a change of the limit.
    pub(crate) fn is_kept(&self, old: Claim, new: Claim) -> bool {
        if !self.is_limit_changed() || old.is_exclusive() {
            return old == new;
        }
        old.units() == new.units() && !new.is_exclusive()
    }

    pub(crate) fn limit_is_set(&self) -> Verdict {
        let Op::SetLimit { limit } = self.op else { return Ok(()) };
        let idle = self.after_time_alone();
        let was = shares(&idle).next().map(Claim::limit);
        let due = match Claim::new(1, *limit) {
            Some(_) => *self.reply == Reply::LimitSet { was },
            None => matches!(self.reply, Reply::Mismatch(_)),
        };
        ensure!(due, "{was:?} was the limit");
        if was.is_none() || was == Some(*limit) {
            ensure!(*self.after == idle, "it is what it was, and something changed");
        } else if matches!(self.reply, Reply::LimitSet { .. }) {
            ensure!(shares(self.after).all(|c| c.limit() == *limit), "a share kept its limit");
        }
        Ok(())
    }
}

fn same_units(one: Claim, other: Claim) -> bool {
    is_within(one, other) && is_within(other, one)
}

fn differs(key: &KeyState, claim: Claim) -> bool {
    !claim.is_exclusive() && shares(key).any(|live| live.limit() != claim.limit())
}

fn share(units: u32) -> Claim {
    Claim::new(units, 5).expect("a good claim")
}

fn held(key: &mut KeyState, number: usize, claim: Claim) -> Fence {
    let op = Op::Acquire(acquire(&owner(number), claim, ms(1_000), None));
    match apply(key, &op, start()) {
        Reply::Granted { fence } => fence,
        other => panic!("not granted: {other:?}"),
    }
}

fn wait(key: &mut KeyState, number: usize, claim: Claim) {
    let op = Op::Acquire(acquire(&owner(number), claim, ms(1_000), line(ms(1_000), 1)));
    let reply = apply(key, &op, start());
    assert!(matches!(reply, Reply::Queued { .. }), "{reply:?}");
}

fn resize(number: usize, fence: Fence, from: Claim, to: Claim) -> Op {
    Op::Resize { owner: owner(number), fence, from, to }
}

#[test]
fn units_that_become_free_are_granted_in_the_same_step() {
    let mut key = KeyState::default();
    let fence = held(&mut key, 0, Claim::EXCLUSIVE);
    wait(&mut key, 1, share(1));
    wait(&mut key, 2, share(3));
    let (reply, grants) = key.apply(&resize(0, fence, Claim::EXCLUSIVE, share(2)), at(start()));
    assert_eq!(reply, Reply::Resized { fence }, "its fence stays");
    assert_eq!((grants.len(), key.queue().len()), (1, 1), "2 and 1 of 5: the next wants 3");
    let smaller = resize(0, fence, share(2), share(1));
    assert_eq!(apply(&mut key, &smaller, start()), Reply::Resized { fence });
    let held: Vec<_> = key.holders().iter().map(|h| h.claim).collect();
    assert_eq!((held, key.queue().len()), (vec![share(1), share(1), share(3)], 0));
}

/// Neither waits, so they never wait for each other.
#[test]
fn two_that_want_all_are_both_refused_until_one_lets_go() {
    let mut key = KeyState::default();
    let fences = [0, 1].map(|number| held(&mut key, number, share(1)));
    let all = |number: usize| resize(number, fences[number], share(1), Claim::EXCLUSIVE);
    for number in [0, 1] {
        let reply = apply(&mut key, &all(number), start());
        let Reply::Busy { look_in, blocker } = reply else { panic!("{reply:?}") };
        assert!(look_in == ms(1_000) && blocker.is_some(), "until the other has ended");
    }
    apply(&mut key, &Op::Release { owner: owner(1), min_hold: ms(0), tombstone: None }, start());
    let Reply::Resized { fence } = apply(&mut key, &all(0), start()) else { panic!("alone") };
    assert!(fence > fences[1], "what the readers saw is refused");
    assert_eq!(apply(&mut key, &all(0), start()), Reply::Resized { fence }, "a lost reply");
}

#[test]
fn more_units_are_refused_while_others_wait() {
    let mut key = KeyState::default();
    let fence = held(&mut key, 0, share(1));
    wait(&mut key, 1, Claim::EXCLUSIVE);
    let reply = apply(&mut key, &resize(0, fence, share(1), share(2)), start());
    assert!(matches!(reply, Reply::Busy { .. }), "it overtakes: {reply:?}");
}

/// So a client whose reply was lost knows that it has what it had, and nothing more.
#[test]
fn with_a_new_fence_a_request_that_is_still_to_arrive_does_nothing() {
    let mut key = KeyState::default();
    let old = held(&mut key, 0, share(1));
    let new_fence = resize(0, old, share(1), share(1));
    let reply = apply(&mut key, &new_fence, start());
    let Reply::Resized { fence } = reply else { panic!("{reply:?}") };
    assert!(fence > old);
    for late in [resize(0, old, share(1), Claim::EXCLUSIVE), new_fence] {
        let reply = apply(&mut key, &late, start());
        assert!(matches!(reply, Reply::Mismatch(_)), "{late:?}: {reply:?}");
        assert_eq!((key.holders()[0].fence, key.holders()[0].claim), (fence, share(1)));
    }
}

/// A request that was sent twice can arrive once more, after all that came later.
#[test]
fn late_change_of_units_does_nothing_to_a_later_claim() {
    let mut key = KeyState::default();
    let first = held(&mut key, 0, Claim::EXCLUSIVE);
    let mut sent = vec![];
    let mut fence = first;
    for (from, to) in [
        (Claim::EXCLUSIVE, share(3)),
        (share(3), share(2)),
        (share(2), share(1)),
        (share(1), share(1)),
        (share(1), share(2)),
        (share(2), Claim::EXCLUSIVE),
        (Claim::EXCLUSIVE, share(1)),
        (share(1), Claim::EXCLUSIVE),
    ] {
        let op = resize(0, fence, from, to);
        let Reply::Resized { fence: next } = apply(&mut key, &op, start()) else {
            panic!("{op:?}")
        };
        fence = next;
        for late in &sent {
            let before = key.clone();
            apply(&mut key, late, start());
            assert_eq!(key.holders(), before.holders(), "{late:?} after {op:?}");
        }
        sent.push(op);
    }
}

/// Carries out `set_limit`, and answers how many hold and wait then.
fn set_limit(key: &mut KeyState, limit: u32, was: u32) -> (usize, usize) {
    let reply = apply(key, &Op::SetLimit { limit }, start());
    assert_eq!(reply, Reply::LimitSet { was: Some(was) });
    (key.holders().len(), key.queue().len())
}

#[test]
fn larger_limit_grants_at_once_and_smaller_one_as_units_come_back() {
    let mut key = KeyState::default();
    for (number, units) in [(0, 3), (1, 2)] {
        held(&mut key, number, share(units));
    }
    wait(&mut key, 2, share(4));
    assert_eq!(set_limit(&mut key, 8, 5), (2, 1), "4 more do not fit yet");
    assert_eq!(set_limit(&mut key, 9, 8), (3, 0));
    assert_eq!(set_limit(&mut key, 3, 9), (3, 0), "holders keep what they have");
    let asked = |limit| {
        let claim = Claim::new(1, limit).expect("a good claim");
        Op::Acquire(acquire(&owner(3), claim, ms(1_000), line(ms(1_000), 1)))
    };
    let refused = apply(&mut key, &asked(9), start());
    assert!(matches!(refused, Reply::Mismatch(_)), "it states the old limit: {refused:?}");
    let queued = apply(&mut key, &asked(3), start());
    assert!(matches!(queued, Reply::Queued { .. }), "{queued:?}");
    for (number, holders) in [(2, 2), (0, 2)] {
        let release = Op::Release { owner: owner(number), min_hold: ms(0), tombstone: None };
        apply(&mut key, &release, start());
        assert_eq!(key.holders().len(), holders, "5 of 3, and then 2 of 3 are held");
    }
    assert_eq!(key.holders()[1].owner, owner(3));
}

/// It states the limit of its arrival with each heartbeat.
#[test]
fn waiter_keeps_its_place_under_another_limit_if_it_can_ever_fit() {
    let mut key = KeyState::default();
    held(&mut key, 0, share(5));
    wait(&mut key, 1, share(4));
    wait(&mut key, 2, share(2));
    assert_eq!(set_limit(&mut key, 3, 5), (1, 1));
    let beat = |number, units| {
        Op::Acquire(acquire(&owner(number), share(units), ms(1_000), line(ms(1_000), 2)))
    };
    let reply = apply(&mut key, &beat(1, 4), start());
    let Reply::Mismatch(why) = &reply else { panic!("4 of 3 never fit: {reply:?}") };
    assert!(why.contains("limit of 3") && why.contains("limit of 5"), "{why}");
    let reply = apply(&mut key, &beat(2, 2), start());
    assert!(matches!(reply, Reply::Queued { ahead: 0, .. }), "{reply:?}");
    apply(&mut key, &Op::Release { owner: owner(0), min_hold: ms(0), tombstone: None }, start());
    assert_eq!(key.holders()[0].owner, owner(2));
}
