//! The scripts in Redis and Valkey are the machine in another language.

use std::time::Duration;

use proptest::prelude::*;
use tenure::protocol::{Acquire, FenceRule, Group, Op, Request, StepContext, Ticks};
use tenure::runtime;
use tenure::store::{Redis, RedisOptions, Store};
use tenure::{Claim, Key, Owner, StoreTime};
use tenure_testkit::{Flavour, Server};

use super::drafts::{Draft, Ends, Model, asks, share, share_draft, steps};

/// Where the scripts read the time in place of the server's clock.
const CLOCK: &str = "test:clock";
const RETENTION: Duration = Duration::from_secs(24 * 3600);
/// Spans are a thousand times longer than drafted, and whole tens of seconds: so no lease ends on
/// the server's own clock before the test does.
fn stretched_span(span: Duration) -> Duration {
    Duration::from_secs(10) * u32::try_from(span.as_millis().div_ceil(10)).expect("a short span")
}

#[derive(Debug, Clone)]
pub(super) enum Event {
    Pass(Duration),
    /// The server's clock is set back.
    Back(Duration),
    /// A batch on one connection.
    Ask(Vec<(u8, Draft)>),
}

/// The keys of a sequence. Locks that say everything themselves have their last fences in one
/// number, so the fence of one key may be larger than the machine of another key says.
#[derive(Debug, Clone, Copy)]
enum Keys {
    /// Two, whose fences all come from the clock, which is above that number and never set back.
    /// The second has no lock of that kind, and nothing that may be sent again in full, after the
    /// rest of its call: it would find the number at the clock.
    OfTheClock,
    /// This one alone, with fences that are proposed, carried and raised, too.
    Only(&'static [u8]),
}

/// Keys, and what comes upon them: a long mixture, or mostly simple steps.
fn sequence(keys: &[Keys]) -> impl Strategy<Value = (Keys, Vec<Event>)> + use<> {
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

fn stretched_claim(mut acquire: Acquire) -> Acquire {
    acquire.ttl = stretched_span(acquire.ttl);
    if let Some(queue) = &mut acquire.queue {
        queue.window = stretched_span(queue.window);
    }
    acquire
}

/// Makes every span of a step so many times longer.
fn stretched(op: Op) -> Op {
    match op {
        Op::Acquire(acquire) => Op::Acquire(stretched_claim(acquire)),
        Op::Steal(acquire) => Op::Steal(stretched_claim(acquire)),
        Op::Handoff { owner, min_hold, tombstone, to, ahead } => Op::Handoff {
            owner,
            min_hold: stretched_span(min_hold),
            tombstone: tombstone.map(stretched_span),
            to: stretched_claim(to),
            ahead,
        },
        Op::Renew { owner, ttl } => Op::Renew { owner, ttl: stretched_span(ttl) },
        Op::Release { owner, min_hold, tombstone } => Op::Release {
            owner,
            min_hold: stretched_span(min_hold),
            tombstone: tombstone.map(stretched_span),
        },
        Op::Withdraw { owner, tombstone } => {
            Op::Withdraw { owner, tombstone: stretched_span(tombstone) }
        }
        Op::Begin { acquire, ticks } => {
            let ticks = Ticks { every: stretched_span(ticks.every), ..ticks };
            Op::Begin { acquire: stretched_claim(acquire), ticks }
        }
        Op::Finish { owner, outcome, tombstone } => {
            Op::Finish { owner, outcome, tombstone: tombstone.map(stretched_span) }
        }
        Op::Transfer { from, to, label, ttl } => {
            Op::Transfer { from, to, label, ttl: stretched_span(ttl) }
        }
        Op::AcquireAll(group) => {
            let members = group.members().iter();
            let members = members.map(|(key, claim)| (key.clone(), stretched_claim(claim.clone())));
            Op::AcquireAll(Group::new(members).expect("a good group"))
        }
        other => other,
    }
}

/// The task that a handoff grants to mostly gives its first sign of life with that. It has a place
/// already only if the handoff comes late.
fn first_sign(step: &mut Request) {
    if let Op::Handoff { to, .. } = &mut step.op
        && let Some(queue) = &mut to.queue
        && queue.stamp % 4 != 1
    {
        queue.stamp = 1;
    }
}

pub(super) struct Scene {
    /// How many steps on other keys come along with each batch: in company, fewer words travel.
    company: u32,
    server: Server,
    store: Redis,
    pub(super) tokio_runtime: tokio::runtime::Runtime,
}

impl Scene {
    pub(super) fn start(flavour: Flavour, company: u32) -> Self {
        let server = Server::of(flavour).start();
        let tokio_runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let runtime = runtime::machine().expect("the machine's runtime starts");
        let options = RedisOptions { clock: Some(CLOCK.into()), ..RedisOptions::default() };
        let opened = Redis::open_with(&server.url(), runtime, options);
        let store = tokio_runtime.block_on(opened).expect("the server answers");
        Self { company, server, store, tokio_runtime }
    }

    pub(super) async fn run(&self, events: Vec<Event>) {
        self.server.command(&["FLUSHALL"]);
        let mut micros = 1_700_000_000_000_000_u64;
        let mut inbox = self.store.inbox().await.expect("an answer").expect("an inbox");
        let mut model = Model::default();
        for event in events {
            let asks = match event {
                Event::Pass(span) => {
                    micros += u64::try_from(span.as_micros()).expect("a short span");
                    continue;
                }
                Event::Back(span) => {
                    micros -= u64::try_from(span.as_micros()).expect("a short span");
                    continue;
                }
                Event::Ask(asks) => asks,
            };
            self.server.command(&["SET", CLOCK, &micros.to_string()]);
            let mut steps = steps(&asks, &inbox.address);
            for step in &mut steps {
                step.op = stretched(step.op.clone());
                first_sign(step);
            }
            steps.extend((0..self.company).map(|number| Request {
                key: Key::new(format!("company-{number}")).expect("a good key"),
                op: Op::Release {
                    owner: Owner::from_parts("nobody", 0),
                    min_hold: Duration::ZERO,
                    tombstone: None,
                },
            }));
            self.end_locks_to_be_released(&steps, micros);
            let now = StoreTime::from_micros(micros);
            let at = StepContext { now, fence_seed: micros, wall: micros, retention: RETENTION };
            model.agrees_with(&self.store, &mut inbox, steps, at).await;
            // No call brings a key so many fences.
            micros += 100;
        }
        assert_eq!(self.without_ttl(), Vec::<String>::new(), "they would stay for ever");
    }

    /// A lock that says everything itself ends with its key, and this server's own clock is not the
    /// test's: nothing else would tell a release that it comes too late.
    fn end_locks_to_be_released(&self, steps: &[Request], micros: u64) {
        for step in steps.iter().filter(|step| matches!(step.op, Op::Release { .. })) {
            let lock = self.server.command(&["GET", step.key.as_str()]).text();
            let expires = lock
                .as_deref()
                .filter(|lock| lock.contains('\n'))
                .map(|lock| lock[lock.len() - 16..].parse::<u64>().expect("until when it is held"));
            if expires.is_some_and(|expires| expires <= micros) {
                self.server.command(&["DEL", step.key.as_str()]);
            }
        }
    }

    fn without_ttl(&self) -> Vec<String> {
        let keys = self.server.command(&["KEYS", "*"]);
        let names = keys.list().iter().filter_map(tenure_testkit::Reply::text);
        let stays = |name: &String| self.server.command(&["PTTL", name]).int() == -1;
        names.filter(|name| name != CLOCK).filter(stays).collect()
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
    let scene = Scene::start(flavour, company);
    let config = ProptestConfig { cases, max_shrink_time: 30_000, ..ProptestConfig::default() };
    let ran = proptest::test_runner::TestRunner::new(config).run(sequence, |(_, events)| {
        scene.tokio_runtime.block_on(scene.run(events));
        Ok(())
    });
    if let Err(failure) = ran {
        panic!("{failure}");
    }
}

const ALL: [Keys; 3] = [Keys::OfTheClock, Keys::Only(&[0]), Keys::Only(&[1])];

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
