//! Random histories of one key.

use std::collections::BTreeSet;

use proptest::prelude::*;
use tenure::protocol::{KeyState, Op, Reply, StepContext};
use tenure::{Claim, StoreTime};

use super::acts::{Act, OWNERS, RETENTION, acquire, aimed, at, histories, line, ms, owner, start};
use super::checks::take;
use super::drain::drain;

fn moment(now: StoreTime, act: &Act) -> StepContext {
    let sane = at(now);
    if act.clock_set_back { StepContext { fence_seed: 1, wall: 1, ..sane } } else { sane }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, ..ProptestConfig::default() })]

    /// Every invariant of one step, step by step; and over the whole history: a fence is given
    /// out once.
    #[test]
    fn every_step_keeps_the_promises(acts in histories(40)) {
        let (mut resource, mut now) = (KeyState::default(), start());
        let mut minted = BTreeSet::new();
        let mut known = BTreeSet::new();
        for act in &acts {
            now = now + act.gap;
            let op = aimed(&act.op, &resource);
            take(&mut resource, &op, moment(now, act)).map_err(TestCaseError::fail)?;
            let held: BTreeSet<_> = resource.holders().iter().map(|h| h.fence).collect();
            for fence in held.difference(&known) {
                prop_assert!(minted.insert(*fence), "the fence {} was given out twice", fence);
            }
            known = held;
        }
    }

    #[test]
    fn waiters_who_only_look_when_told_are_all_granted(
        acts in histories(25),
        waiters in 1..6_usize,
    ) {
        let (mut resource, mut now) = (KeyState::default(), start());
        for act in &acts {
            now = now + act.gap;
            resource.apply(&aimed(&act.op, &resource), moment(now, act));
        }
        drain(resource, now, waiters).map_err(TestCaseError::fail)?;
    }

    /// A state that a store forgets by `is_forgettable` is missed by nobody: neither a lease, a
    /// place or a tombstone, nor a fence before its time.
    #[test]
    fn only_what_nobody_misses_is_forgettable(acts in histories(15), rest in 0..2_000_u64) {
        let (mut resource, mut now) = (KeyState::default(), start());
        let mut last_use = now;
        for act in &acts {
            now = now + act.gap;
            resource.apply(&aimed(&act.op, &resource), moment(now, act));
            if act.op != Op::Inspect {
                last_use = now;
            }
        }
        let last_use = resource.holders().iter().map(|h| h.expires).fold(last_use, StoreTime::max);
        let later = now + ms(rest);
        if !resource.is_forgettable(later) {
            return Ok(());
        }
        let minted = resource.fence() > tenure::Fence::default();
        prop_assert!(!minted || later >= last_use + RETENTION, "a fence was forgotten early");
        for number in 0..OWNERS {
            let who = owner(number);
            let claim = acquire(&who, Claim::EXCLUSIVE, ms(10), line(ms(30), 1));
            let asked = [
                Op::Acquire(claim.clone()),
                Op::Steal(claim),
                Op::Renew { owner: who.clone(), ttl: ms(10) },
                Op::Withdraw { owner: who, tombstone: ms(10) },
            ];
            for op in asked {
                let kept = resource.clone().apply(&op, at(later)).0;
                let fresh = KeyState::default().apply(&op, at(later)).0;
                match (&kept, &fresh) {
                    (Reply::Granted { .. }, Reply::Granted { .. }) => {}
                    _ => prop_assert_eq!(kept, fresh),
                }
            }
        }
    }
}
