//! The value beside a claim: with which a lease begins, and who changes it.

use tenure::protocol::{Acquire, Holder, KeyState, Op, Reply};
use tenure::{Claim, Fence, Label, StoreTime, Value};

use super::acts::{acquire, apply, line, ms, owner, revised, start};
use super::checks::{Taken, Verdict, ensure};

impl Taken<'_> {
    /// A lease begins with the value of its claim, and only its owner changes that.
    pub(crate) fn leases_begin_with_their_values(&self) -> Verdict {
        // Some are granted from the queue before the step itself.
        let idle = self.after_time_alone();
        for holder in idle.holders() {
            let old = self.live_holders().find(|old| old.fence == holder.fence);
            let place = self.live_places().find(|place| place.owner == holder.owner);
            let due = old.map(|old| &old.value).or(place.map(|place| &place.value));
            ensure!(due == Some(&holder.value), "time alone made {:?} of {due:?}", holder.value);
        }
        for holder in self.after.holders() {
            let owner = &holder.owner;
            let is_set = matches!(self.op, Op::SetValue { owner: o, .. } if o == owner);
            let is_resized = matches!(self.op, Op::Resize { owner: o, .. } if o == owner);
            // A lease that changes hands keeps its fence, and one that grows keeps its owner.
            let is_same =
                |old: &&Holder| old.fence == holder.fence || is_resized && old.owner == *owner;
            if let Some(old) = idle.holders().iter().find(is_same) {
                ensure!(is_set || old.value == holder.value, "the value of {owner:?} was changed");
                continue;
            }
            let asked = match self.op {
                Op::Acquire(acquire) | Op::Steal(acquire) | Op::Begin { acquire, .. } => {
                    Some(acquire)
                }
                Op::Handoff { to, .. } => Some(to),
                _ => None,
            };
            let asked = asked.filter(|acquire| acquire.owner == *owner).map(|a| &a.value);
            let placed = idle.queue().iter().find(|p| p.owner == *owner).map(|p| &p.value);
            let began = [asked, placed].contains(&Some(&holder.value));
            ensure!(began, "the lease of {owner:?} begins with {:?}", holder.value);
        }
        Ok(())
    }

    /// The answer that is due, by what was before; nothing else changes.
    pub(crate) fn value_is_set(&self) -> Verdict {
        let Op::SetValue { owner, fence, value } = self.op else { return Ok(()) };
        let mut due = self.after_time_alone();
        let held = due.holders().iter().find(|h| h.owner == *owner);
        let before = held.and_then(|h| h.value.as_ref()).map_or(0, Value::revision);
        let (is_told, is_changed) = match held {
            _ if self.was_buried(owner) => (*self.reply == Reply::Withdrawn, false),
            None => (*self.reply == Reply::Gone, false),
            Some(held) if held.fence != *fence || value.revision() < before => {
                (matches!(self.reply, Reply::Mismatch(_)), false)
            }
            Some(_) => (*self.reply == Reply::ValueSet, value.revision() > before),
        };
        ensure!(is_told, "{:?} is not what was due", self.reply);
        if is_changed {
            due = with_value(&due, *fence, value);
        }
        ensure!(*self.after == due, "{due:#?} was due");
        Ok(())
    }
}

/// The state with another value beside the lease with this fence.
fn with_value(key: &KeyState, fence: Fence, value: &Value) -> KeyState {
    let mut holders = key.holders().to_vec();
    let held = holders.iter_mut().find(|holder| holder.fence == fence).expect("it is held");
    held.value = Some(value.clone());
    let (queue, tombstones) = (key.queue().clone(), key.tombstones().to_vec());
    let fences = (key.fence(), key.fence_until());
    KeyState::from_parts(holders, queue, tombstones, fences.0, fences.1)
        .with_runs(key.runs().cloned())
}

/// A claim of the whole key, with a first value.
fn claim(number: usize, text: &str, in_line: bool) -> Acquire {
    let queue = in_line.then(|| line(ms(1_000), 1)).flatten();
    let claim = acquire(&owner(number), Claim::EXCLUSIVE, ms(1_000), queue);
    Acquire { value: Some(revised(text, 0)), ..claim }
}

fn held(key: &mut KeyState, number: usize, text: &str) -> Fence {
    match apply(key, &Op::Acquire(claim(number, text, false)), start()) {
        Reply::Granted { fence } => fence,
        other => panic!("not granted: {other:?}"),
    }
}

fn set(number: usize, fence: Fence, text: &str, revision: u64) -> Op {
    Op::SetValue { owner: owner(number), fence, value: revised(text, revision) }
}

/// The texts beside the leases.
fn texts(key: &KeyState) -> Vec<&str> {
    key.holders().iter().map(|h| h.value.as_ref().map_or("none", Value::as_str)).collect()
}

#[test]
fn value_that_arrives_after_a_later_one_does_nothing() {
    let mut key = KeyState::default();
    let fence = held(&mut key, 0, "first");
    let [second, third] = [set(0, fence, "second", 1), set(0, fence, "third", 2)];
    for op in [&second, &second, &third, &third] {
        assert_eq!(apply(&mut key, op, start()), Reply::ValueSet);
    }
    let late = apply(&mut key, &second, start());
    assert!(matches!(late, Reply::Mismatch(_)), "{late:?}");
    assert_eq!(texts(&key), ["third"]);
    // The request that began the lease, once more.
    apply(&mut key, &Op::Acquire(claim(0, "first", false)), start());
    assert_eq!(texts(&key), ["third"]);
}

#[test]
fn value_from_before_a_loss_does_nothing() {
    let mut key = KeyState::default();
    let fence = held(&mut key, 0, "old");
    let late = set(0, fence, "late", 1);
    apply(&mut key, &Op::Force { up_to: fence }, start());
    held(&mut key, 1, "new");
    assert_eq!(apply(&mut key, &late, start()), Reply::Withdrawn);
    // Its own owner again, when the tombstone has ended.
    let later = start() + ms(100_000);
    let again = Op::Acquire(claim(0, "again", false));
    assert!(matches!(apply(&mut key, &again, later), Reply::Granted { .. }));
    assert!(matches!(apply(&mut key, &late, later), Reply::Mismatch(_)), "of another fence");
    assert_eq!(texts(&key), ["again"]);
}

#[test]
fn waiter_brings_its_value_and_a_lease_keeps_it_on_its_way() {
    let mut key = KeyState::default();
    held(&mut key, 0, "leader");
    apply(&mut key, &Op::Acquire(claim(1, "next", true)), start());
    let release = Op::Release { owner: owner(0), min_hold: ms(0), tombstone: None };
    apply(&mut key, &release, start());
    assert_eq!(texts(&key), ["next"]);
    let (from, to, label) = (owner(1), owner(2), Label::new("heir"));
    apply(&mut key, &Op::Transfer { from, to, label, ttl: ms(1_000) }, start());
    assert_eq!(texts(&key), ["next"]);
    let seen = key.inspect(start());
    assert_eq!(seen.holders[0].value.as_ref().map(Value::as_str), Some("next"));
    let ended: StoreTime = start() + ms(1_000);
    assert_eq!(key.inspect(ended).holders, [], "it ends with the lease");
}
