//! Steps over several keys among others: every store answers as the machines of the keys do.

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tenure::Claim;
use tenure::protocol::FenceRule;
use tenure_testkit::Flavour;

use super::drafts::{Draft, claim, draft, share};
use super::{memory, redis, scene, sqlite};

/// Number of keys that a group can have.
const KEYS: u8 = 3;

type Ask = (u8, Draft);

/// A group of some of the keys, mostly of exclusive claims alone.
fn group() -> impl Strategy<Value = Ask> {
    let claims = prop_oneof![
        2 => prop::collection::vec(Just(Claim::EXCLUSIVE), usize::from(KEYS)),
        1 => prop::collection::vec(claim(), usize::from(KEYS)),
    ];
    let owners = prop::collection::vec(0..6_u64, usize::from(KEYS));
    let wanted = prop::collection::vec(prop::bool::weighted(0.8), usize::from(KEYS));
    let ttl = (10..4000_u64, prop::bool::weighted(0.2));
    (owners, claims, wanted, ttl).prop_map(|(owners, claims, mut wanted, (ttl, uneven))| {
        wanted[0] |= wanted.iter().all(|wanted| !wanted);
        let members = (0..KEYS).zip(owners).zip(claims).zip(wanted);
        let members = members.filter(|(_, wanted)| *wanted);
        let members = members.map(|(((key, owner), claim), _)| (key, owner, claim)).collect();
        (0, Draft::AcquireAll { members, ttl, uneven })
    })
}

fn ask() -> impl Strategy<Value = Ask> {
    let single = (0..KEYS, draft()).prop_map(|(key, draft)| (key, draft.on(key).minted()));
    prop_oneof![2 => group(), 3 => single]
}

impl Draft {
    /// The same step with a fence of the store's own.
    fn minted(mut self) -> Self {
        match &mut self {
            Self::Acquire { fence, .. } | Self::Pass { fence, .. } => *fence = FenceRule::Mint,
            Self::Raise { .. } => return Self::Inspect,
            _ => {}
        }
        self
    }

    /// The same step, so that it grants no lock that says everything itself: the fences of these
    /// come from one number for all keys, which the machine of one key does not know.
    fn in_full(self) -> Self {
        match self {
            Self::Acquire { window: None, .. } => self.of_a_share(),
            Self::AcquireAll { mut members, ttl, uneven } => {
                if members.iter().all(|(_, _, claim)| claim.is_exclusive()) {
                    members[0].2 = share(1, 2);
                }
                Self::AcquireAll { members, ttl, uneven }
            }
            other => other,
        }
    }
}

fn run<E: std::fmt::Debug>(cases: u32, event: impl Strategy<Value = E>, run: impl Fn(Vec<E>)) {
    let config = ProptestConfig { cases, max_shrink_time: 30_000, ..ProptestConfig::default() };
    let events = prop::collection::vec(event, 1..50);
    let ran = TestRunner::new(config).run(&events, |events| {
        run(events);
        Ok(())
    });
    if let Err(failure) = ran {
        panic!("{failure}");
    }
}

fn blocking(work: impl Future<Output = ()>) {
    let tokio_runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    tokio_runtime.expect("a runtime").block_on(work);
}

fn span() -> impl Strategy<Value = std::time::Duration> {
    (1..3000_u64).prop_map(std::time::Duration::from_millis)
}

#[test]
fn memory_answers_as_the_machines_do() {
    let event = prop_oneof![
        6 => prop::collection::vec(ask(), 1..5).prop_map(memory::Event::Ask),
        2 => span().prop_map(memory::Event::Pass),
    ];
    run(500, event, |events| blocking(memory::run(events)));
}

#[test]
fn the_file_answers_as_the_machines_do() {
    let asks = (0..2_usize, prop::collection::vec(ask(), 1..5));
    let event = prop_oneof![
        6 => asks.prop_map(|(which, asks)| sqlite::Event::Ask(which, asks)),
        2 => span().prop_map(sqlite::Event::Pass),
        1 => (0..2_usize).prop_map(sqlite::Event::Reopen),
    ];
    run(60, event, |events| blocking(sqlite::run(events)));
}

/// One step at a time, of which many are carried out in short; with company, they travel in a
/// larger call.
#[test]
fn redis_answers_a_lone_step_as_the_machines_do() {
    for (flavour, company) in [(Flavour::Redis, 0), (Flavour::Valkey, 0), (Flavour::Redis, 9)] {
        let scene = scene::Scene::start(flavour, company);
        let event = prop_oneof![
            6 => ask().prop_map(|ask| scene::Event::Ask(vec![ask])),
            2 => redis::passes(),
        ];
        run(300, event, |events| scene.tokio_runtime.block_on(scene.run(events)));
    }
}

/// Several steps in one call: a group has its place among those of each of its keys.
#[test]
fn redis_answers_many_steps_as_the_machines_do() {
    for flavour in Flavour::ALL {
        let scene = scene::Scene::start(flavour, 0);
        let ask = || ask().prop_map(|(key, draft)| (key, draft.in_full()));
        let event = prop_oneof![
            6 => prop::collection::vec(ask(), 1..6).prop_map(scene::Event::Ask),
            2 => redis::passes(),
        ];
        run(200, event, |events| scene.tokio_runtime.block_on(scene.run(events)));
    }
}
