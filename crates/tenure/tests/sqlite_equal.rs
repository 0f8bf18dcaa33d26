//! The file behaves like the machine: the same random steps bring the same replies and the same
//! grants, step by step, whatever is loaded, stored and forgotten in between.

#![cfg(feature = "sqlite")]

mod sqlite_world;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use sqlite_world::{Clock, key, owner};
use tenure::logic::{Acquire, At, Grant, Op, Queueing, Reply, Resource, Step};
use tenure::seam::Seam;
use tenure::store::{Push, Sqlite, SqliteOptions, Store};
use tenure::{Claim, Fence, Key, Label, StoreTime};

/// What happens next: time passes, or one of two connections is asked for a batch of steps, or
/// is opened anew.
#[derive(Debug, Clone)]
enum Event {
    Pass(Duration),
    Ask(usize, Vec<(u8, Draft)>),
    Reopen(usize),
}

/// A step whose owners and inbox are still numbers.
#[derive(Debug, Clone)]
enum Draft {
    Acquire { owner: u64, units: u32, limit: u32, ttl: u64, window: Option<u64>, stamp: u64 },
    Steal { owner: u64, ttl: u64 },
    Renew { owner: u64, ttl: u64 },
    Release { owner: u64, min_hold: u64, tombstone: Option<u64> },
    Withdraw { owner: u64, tombstone: u64 },
    Pass { owner: u64, to: u64, ttl: u64, ahead: bool },
    Transfer { from: u64, to: u64, ttl: u64 },
    Force { none: bool },
    Inspect,
}

fn draft() -> impl Strategy<Value = Draft> {
    let who = || 0..6_u64;
    let ttl = || 10..4000_u64;
    prop_oneof![
        6 => (who(), 1..3_u32, 2..4_u32, ttl(), prop::option::of(500..3000_u64), 0..9_u64).prop_map(
            |(owner, units, limit, ttl, window, stamp)| {
                // Mostly the same limit, so that queues form.
                let (units, limit) = if limit == 3 { (units, 2) } else { (1, 1) };
                Draft::Acquire { owner, units, limit, ttl, window, stamp }
            }
        ),
        1 => (who(), ttl()).prop_map(|(owner, ttl)| Draft::Steal { owner, ttl }),
        2 => (who(), ttl()).prop_map(|(owner, ttl)| Draft::Renew { owner, ttl }),
        3 => (who(), prop_oneof![Just(0), ttl()], prop::option::of(ttl())).prop_map(
            |(owner, min_hold, tombstone)| Draft::Release { owner, min_hold, tombstone }
        ),
        1 => (who(), ttl()).prop_map(|(owner, tombstone)| Draft::Withdraw { owner, tombstone }),
        2 => (who(), who(), ttl(), any::<bool>())
            .prop_map(|(owner, to, ttl, ahead)| Draft::Pass { owner, to, ttl, ahead }),
        1 => (who(), who(), ttl()).prop_map(|(from, to, ttl)| Draft::Transfer { from, to, ttl }),
        1 => any::<bool>().prop_map(|none| Draft::Force { none }),
        1 => Just(Draft::Inspect),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    let asks = prop::collection::vec((0..2_u8, draft()), 1..6);
    prop_oneof![
        6 => (0..2_usize, asks).prop_map(|(which, asks)| Event::Ask(which, asks)),
        2 => (1..3000_u64).prop_map(|ms| Event::Pass(Duration::from_millis(ms))),
        1 => (0..2_usize).prop_map(Event::Reopen),
    ]
}

impl Draft {
    fn op(&self, inbox: &Arc<str>) -> Op {
        let ms = |ms: &u64| Duration::from_millis(*ms);
        let label = |owner: &u64| Label::new(format!("label {owner}"));
        match self {
            Self::Acquire { owner: who, units, limit, ttl, window, stamp } => {
                let queue = window.as_ref().map(|window| {
                    let inbox = (who % 2 == 0).then(|| Arc::clone(inbox));
                    Queueing { window: ms(window), stamp: *stamp, inbox }
                });
                let claim = Claim::new(*units, *limit).expect("a good claim");
                let owner = owner(*who);
                Op::Acquire(Acquire { owner, label: label(who), claim, ttl: ms(ttl), queue })
            }
            Self::Steal { owner: who, ttl } => {
                let (claim, ttl) = (Claim::MUTEX, ms(ttl));
                let owner = owner(*who);
                Op::Steal(Acquire { owner, label: label(who), claim, ttl, queue: None })
            }
            Self::Renew { owner: who, ttl } => Op::Renew { owner: owner(*who), ttl: ms(ttl) },
            Self::Release { owner: who, min_hold, tombstone } => Op::Release {
                owner: owner(*who),
                min_hold: ms(min_hold),
                tombstone: tombstone.as_ref().map(ms),
            },
            Self::Withdraw { owner: who, tombstone } => {
                Op::Withdraw { owner: owner(*who), tombstone: ms(tombstone) }
            }
            Self::Pass { owner: who, to, ttl, ahead } => {
                let (window, stamp) = (Duration::from_millis(900), *ttl);
                let inbox = (to % 2 == 0).then(|| Arc::clone(inbox));
                let queue = Some(Queueing { window, stamp, inbox });
                let (claim, ttl, label) = (Claim::MUTEX, ms(ttl), label(to));
                Op::Pass {
                    owner: owner(*who),
                    min_hold: Duration::ZERO,
                    tombstone: None,
                    to: Acquire { owner: owner(*to), label, claim, ttl, queue },
                    ahead: *ahead,
                }
            }
            Self::Transfer { from, to, ttl } => {
                Op::Transfer { from: owner(*from), to: owner(*to), label: label(to), ttl: ms(ttl) }
            }
            Self::Force { none } => {
                Op::Force { up_to: Fence::new(if *none { 0 } else { u64::MAX }) }
            }
            Self::Inspect => Op::Inspect,
        }
    }
}

/// The machine, without a file.
#[derive(Default)]
struct Model {
    keys: BTreeMap<Key, Resource>,
}

impl Model {
    fn apply(&mut self, step: &Step, at: At) -> (Reply, Vec<Grant>) {
        self.keys.entry(step.key.clone()).or_default().apply(&step.op, at)
    }
}

async fn run(events: Vec<Event>) {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("locks.db");
    let clock = Clock::new();
    let retention = Duration::from_secs(24 * 3600);
    let open = || {
        let seam = Arc::clone(&clock) as Arc<dyn Seam>;
        Sqlite::open_with(&path, seam, SqliteOptions::default())
    };
    let mut stores = [open().await.expect("it opens"), open().await.expect("it opens")];
    let mut inbox = stores[0].inbox().await.expect("an answer").expect("an inbox");
    let mut model = Model::default();
    for event in events {
        match event {
            Event::Pass(span) => clock.advance(span),
            Event::Reopen(which) => stores[which] = open().await.expect("it opens again"),
            Event::Ask(which, asks) => {
                let name = |number: &u8| key(&format!("key-{number}"));
                let steps: Vec<_> = asks
                    .iter()
                    .map(|(k, draft)| Step { key: name(k), op: draft.op(&inbox.address) })
                    .collect();
                let at = At {
                    now: StoreTime::from_micros(clock.now().as_micros()),
                    fence_seed: clock.wall_micros(),
                    retention,
                };
                let replies = stores[which].call(steps.clone()).await.expect("the store answers");
                assert_eq!(replies.len(), steps.len());
                let mut granted = Vec::new();
                for (step, reply) in steps.iter().zip(replies) {
                    let (expected, grants) = model.apply(step, at);
                    assert_eq!(reply, expected, "to {step:?}");
                    granted.extend(grants.into_iter().map(|g| Push {
                        key: step.key.clone(),
                        owner: g.owner,
                        fence: g.fence,
                        stamp: g.stamp,
                    }));
                }
                for expected in granted {
                    assert_eq!(inbox.pushes.recv().await, Some(expected));
                }
                assert!(inbox.pushes.try_recv().is_err(), "a push of nobody's grant");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn the_file_answers_as_the_machine_does(events in prop::collection::vec(event(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(run(events));
    }
}
