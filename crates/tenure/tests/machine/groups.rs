//! A step over several keys: it grants what an acquire of each key alone would have granted, or it
//! changes nothing but what time changes.

use std::convert::Infallible;

use proptest::prelude::*;
use tenure::protocol::{Acquire, Group, KeyState, Op, Reply, StepContext};
use tenure::{Claim, Key, Owner, StoreTime};

use super::acts::{Act, OWNERS, acquire, aimed, at, histories, line, ms, owner, start};

fn key(number: usize) -> Key {
    Key::new(format!("key {number}")).expect("a good key")
}

/// Keys after some history each.
fn after(histories: &[Vec<Act>]) -> (Vec<KeyState>, StoreTime) {
    let mut states = Vec::new();
    let mut latest = start();
    for acts in histories {
        let (mut state, mut now) = (KeyState::default(), start());
        for act in acts {
            now = now + act.gap;
            state.apply(&aimed(&act.op, &state), at(now));
        }
        states.push(state);
        latest = latest.max(now);
    }
    (states, latest)
}

fn carry_out(states: &mut [KeyState], claims: &[Acquire], at: StepContext) -> Reply {
    let members = claims.iter().enumerate().map(|(number, claim)| (key(number), claim.clone()));
    let group = Group::new(members).expect("a good group");
    let Ok(reply) = group.carry_out(|of, part| {
        let place = (0..states.len()).find(|&number| key(number) == *of).expect("a key of ours");
        Ok::<_, Infallible>(states[place].apply_part(part, at).0)
    });
    reply
}

/// The key when nothing came but time.
fn after_time_alone(before: &KeyState, at: StepContext) -> KeyState {
    let mut state = before.clone();
    let owner = Owner::from_parts("stranger", u64::MAX);
    state.apply(&Op::Renew { owner, ttl: ms(1) }, at);
    state
}

fn claims() -> impl Strategy<Value = Vec<Acquire>> {
    let claim = prop_oneof![
        3 => Just(Claim::EXCLUSIVE),
        3 => (1..=3_u32).prop_map(|units| Claim::new(units, 3).expect("a good claim")),
    ];
    let acquire = (0..OWNERS, claim, prop::sample::select(vec![ms(10), ms(1_000)]))
        .prop_map(|(who, claim, ttl)| acquire(&owner(who), claim, ttl, None));
    prop::collection::vec(acquire, 3)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, ..ProptestConfig::default() })]

    #[test]
    fn all_are_granted_or_nothing_changes(
        histories in prop::collection::vec(histories(6), 3),
        claims in claims(),
        gap in 0..50_u64,
    ) {
        let (before, latest) = after(&histories);
        let now = at(latest + ms(gap));
        let mut states = before.clone();
        let reply = carry_out(&mut states, &claims, now);
        // Each key asked alone.
        let mut alone = before.clone();
        let replies: Vec<_> = alone
            .iter_mut()
            .zip(&claims)
            .map(|(state, claim)| state.apply(&Op::Acquire(claim.clone()), now).0)
            .collect();
        let refused = replies.iter().position(|reply| !matches!(reply, Reply::Granted { .. }));
        match refused {
            None => {
                let fences = replies.iter().map(|reply| match reply {
                    Reply::Granted { fence } => *fence,
                    other => unreachable!("{other:?}"),
                });
                prop_assert_eq!(reply, Reply::AllGranted { fences: fences.collect() });
                prop_assert_eq!(states, alone);
            }
            Some(place) => {
                let by = Box::new(replies[place].clone());
                prop_assert_eq!(reply, Reply::Blocked { key: key(place), by });
                for number in 0..=place {
                    prop_assert_eq!(&states[number], &after_time_alone(&before[number], now));
                }
                prop_assert_eq!(&states[place + 1..], &before[place + 1..]);
            }
        }
    }
}

/// Its reply was lost, so it comes again. A part of it may be lost meanwhile.
#[test]
fn a_group_that_comes_again_is_granted_again() {
    let now = at(start());
    let claims: Vec<_> =
        (0..3).map(|n| acquire(&owner(n), Claim::EXCLUSIVE, ms(1_000), None)).collect();
    let mut states = vec![KeyState::default(); 3];
    let Reply::AllGranted { fences } = carry_out(&mut states, &claims, now) else {
        panic!("they were free")
    };
    let again = carry_out(&mut states, &claims, now);
    assert_eq!(again, Reply::AllGranted { fences: fences.clone() });
    states[1].apply(&Op::Force { up_to: fences[1] }, now);
    let refused = carry_out(&mut states, &claims, now);
    let by = Box::new(Reply::Withdrawn);
    assert_eq!(refused, Reply::Blocked { key: key(1), by }, "the forced owner is refused");
    assert!(states[1].holders().is_empty());
    assert_eq!(states[0].holders()[0].fence, fences[0], "the engine withdraws it");
}

#[test]
fn a_group_has_distinct_keys_and_no_place() {
    let claim = || acquire(&owner(0), Claim::EXCLUSIVE, ms(10), None);
    assert_eq!(Group::new([]), None);
    assert_eq!(Group::new([(key(1), claim()), (key(1), claim())]), None);
    let waits = acquire(&owner(0), Claim::EXCLUSIVE, ms(10), line(ms(10), 1));
    assert_eq!(Group::new([(key(1), waits)]), None);
    let group = Group::new([(key(2), claim()), (key(1), claim())]).expect("a good group");
    assert_eq!(group.keys().collect::<Vec<_>>(), [&key(1), &key(2)]);
    let (refused, _) = KeyState::default().apply(&Op::AcquireAll(group), at(start()));
    assert!(matches!(refused, Reply::Refused(_)), "{refused:?}");
}
