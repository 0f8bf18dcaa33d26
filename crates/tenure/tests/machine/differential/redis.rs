//! The scripts in Redis and Valkey are the machine in another language.

use std::time::Duration;

use proptest::prelude::*;
use tenure::Claim;
use tenure::protocol::FenceRule;
use tenure_testkit::Flavour;

use super::drafts::{Draft, Ends, asks, share, share_draft};
use super::scene::{Event, Scene, stretched_span};

/// The keys of a sequence. Locks that say everything themselves have their last fences in one
/// number, so the fence of one key may be larger than the machine of another key says.
#[derive(Debug, Clone, Copy)]
pub(super) enum Keys {
    /// Two, whose fences all come from the clock, which is above that number and never set back.
    /// The second has no lock of that kind, and nothing that may be sent again in full, after the
    /// rest of its call: it would find the number at the clock.
    OfTheClock,
    /// This one alone, with fences that are proposed, carried and raised, too.
    Only(&'static [u8]),
}

/// Keys, and what comes upon them: a long mixture, or mostly simple steps.
pub(super) fn sequence(keys: &[Keys]) -> impl Strategy<Value = (Keys, Vec<Event>)> + use<> {
    (prop::sample::select(keys.to_vec()), prop::bool::ANY).prop_flat_map(|(keys, simple)| {
        let (often, length) = if simple { (9, 1..20) } else { (3, 1..60) };
        (Just(keys), prop::collection::vec(event(keys, often), length))
    })
}

fn event(keys: Keys, simple: u32) -> impl Strategy<Value = Event> {
    let asked = match keys {
        Keys::OfTheClock => &[0, 1],
        Keys::Only(key) => key,
    };
    let asks = asks(asked, simple).prop_map(move |asks| {
        Event::Ask(
            asks.into_iter()
                .filter_map(|(key, draft)| Some((key, keys.fit(key, draft)?)))
                .collect(),
        )
    });
    let passes = passes();
    match keys {
        Keys::OfTheClock => prop_oneof![6 => asks, 2 => passes].boxed(),
        Keys::Only(_) => {
            prop_oneof![12 => asks, 4 => passes, 1 => span().prop_map(Event::Back)].boxed()
        }
    }
}

fn span() -> impl Strategy<Value = Duration> {
    (1..3000_u64).prop_map(|ms| stretched_span(Duration::from_millis(ms)))
}

pub(super) fn passes() -> impl Strategy<Value = Event> {
    span().prop_map(Event::Pass)
}

impl Keys {
    /// The step with such a fence; none if it is about others.
    fn fit(self, key: u8, mut draft: Draft) -> Option<Draft> {
        match (self, &mut draft) {
            (Self::Only(_), _) => {}
            (Self::OfTheClock, Draft::Raise { .. }) => return None,
            (Self::OfTheClock, Draft::Acquire { window: window @ None, .. }) if key == 1 => {
                *window = Some(900);
                return self.fit(0, draft.of_a_share());
            }
            (Self::OfTheClock, Draft::Acquire { fence, .. } | Draft::Pass { fence, .. }) => {
                *fence = FenceRule::Mint;
            }
            (Self::OfTheClock, _) => {}
        }
        Some(draft)
    }
}

/// Steps of shares that few words describe.
fn of_shares() -> impl Strategy<Value = (Keys, Vec<Event>)> {
    let event = prop_oneof![
        12 => share_draft().prop_map(|draft| Event::Ask(vec![(0, draft)])),
        1 => (1..3000_u64).prop_map(|ms| Event::Pass(stretched_span(Duration::from_millis(ms)))),
    ];
    prop::collection::vec(event, 1..40).prop_map(|events| (Keys::Only(&[0]), events))
}

fn equal_on(flavour: Flavour, keys: &[Keys], company: u32, cases: u32) {
    equal(flavour, &sequence(keys), company, cases);
}

fn equal(
    flavour: Flavour,
    sequence: &impl Strategy<Value = (Keys, Vec<Event>)>,
    company: u32,
    cases: u32,
) {
    equal_at(&Scene::start(flavour, company), sequence, cases);
}

pub(super) fn equal_at(
    scene: &Scene,
    sequence: &impl Strategy<Value = (Keys, Vec<Event>)>,
    cases: u32,
) {
    let config = ProptestConfig { cases, max_shrink_time: 30_000, ..ProptestConfig::default() };
    let ran = proptest::test_runner::TestRunner::new(config).run(sequence, |(_, events)| {
        scene.tokio_runtime.block_on(scene.run(events));
        Ok(())
    });
    if let Err(failure) = ran {
        panic!("{failure}");
    }
}

pub(super) const ALL: [Keys; 3] = [Keys::OfTheClock, Keys::Only(&[0]), Keys::Only(&[1])];

#[test]
fn redis_answers_as_the_machine_does() {
    equal_on(Flavour::Redis, &ALL, 0, 500);
}

#[test]
fn valkey_answers_as_the_machine_does() {
    equal_on(Flavour::Valkey, &ALL, 0, 500);
}

#[test]
fn redis_answers_so_in_company() {
    equal_on(Flavour::Redis, &ALL, 9, 200);
}

#[test]
fn valkey_answers_so_in_company() {
    equal_on(Flavour::Valkey, &ALL, 9, 200);
}

#[test]
fn shares_alone_are_answered_so() {
    for (flavour, company) in [(Flavour::Redis, 0), (Flavour::Valkey, 9)] {
        equal(flavour, &of_shares(), company, 100);
    }
}

/// By an owner that has given back, and by one that has the value of the holder and no more.
#[test]
fn a_pass_is_only_the_holders() {
    let pass = |owner, to| Draft::Pass {
        owner,
        to,
        claim: Claim::EXCLUSIVE,
        ttl: 3000,
        fence: FenceRule::Mint,
        value: None,
        ahead: true,
        ends: Ends::at_once(),
    };
    let acquire = Draft::Acquire {
        owner: 1,
        claim: Claim::EXCLUSIVE,
        ttl: 3000,
        window: None,
        stamp: 1,
        fence: FenceRule::Mint,
        value: None,
    };
    let release = Draft::Release { owner: 4, min_hold: 0, tombstone: None };
    let to_others = [pass(1, 2), pass(2, 3), pass(3, 4)];
    let too_late = [release, pass(4, 5), pass(105, 6)];
    let calls: Vec<_> = [acquire].into_iter().chain(to_others).chain(too_late).collect();
    for flavour in Flavour::ALL {
        let scene = Scene::start(flavour, 0);
        let events = calls.iter().map(|draft| Event::Ask(vec![(0, draft.clone())])).collect();
        scene.tokio_runtime.block_on(scene.run(events));
    }
}

/// Steps of a mutex and of shares that few words describe, in one call.
#[test]
fn shares_and_mutexes_travel_together() {
    let acquire = |owner, claim| Draft::Acquire {
        owner,
        claim,
        ttl: 3000,
        window: None,
        stamp: 1,
        fence: FenceRule::Mint,
        value: None,
    };
    let (whole, one, two) = (Claim::EXCLUSIVE, share(1, 3), share(2, 3));
    let release = |owner| Draft::Release { owner, min_hold: 0, tombstone: None };
    let renew = |owner| Draft::Renew { owner, ttl: 3900 };
    let calls = [
        vec![(0, acquire(0, whole)), (1, acquire(0, one)), (2, acquire(0, two))],
        vec![(0, release(0)), (1, acquire(1, two)), (2, acquire(1, two))],
        vec![(0, acquire(1, one)), (1, renew(1)), (2, renew(1))],
        vec![(0, renew(1)), (1, release(0)), (2, acquire(2, one))],
        vec![(0, Draft::Inspect), (1, Draft::Inspect), (2, Draft::Inspect)],
        vec![(0, release(1)), (1, release(1)), (2, release(0))],
        vec![(0, acquire(2, whole)), (1, acquire(2, whole)), (2, acquire(2, one))],
        vec![(0, Draft::Inspect), (1, Draft::Inspect), (2, Draft::Inspect)],
    ];
    for flavour in Flavour::ALL {
        for company in [0, 9] {
            let scene = Scene::start(flavour, company);
            let events = calls.iter().cloned().map(Event::Ask).collect();
            scene.tokio_runtime.block_on(scene.run(events));
        }
    }
}

#[test]
fn a_release_in_company_sees_who_waits_behind_a_lock_that_said_everything() {
    let acquire = |owner, window| Draft::Acquire {
        owner,
        claim: Claim::EXCLUSIVE,
        ttl: 3000,
        window,
        stamp: 1,
        fence: FenceRule::Mint,
        value: None,
    };
    let release = |owner| Draft::Release { owner, min_hold: 0, tombstone: None };
    let calls = [acquire(0, None), acquire(2, Some(3000)), release(0), release(2)];
    for flavour in Flavour::ALL {
        let scene = Scene::start(flavour, 9);
        let events = calls.iter().map(|draft| Event::Ask(vec![(0, draft.clone())])).collect();
        scene.tokio_runtime.block_on(scene.run(events));
    }
}
