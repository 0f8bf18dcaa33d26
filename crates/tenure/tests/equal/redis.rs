//! The scripts in Redis and Valkey are the machine in another language.

use std::time::Duration;

use proptest::prelude::*;
use tenure::logic::{Acquire, At, Op, Step};
use tenure::seam;
use tenure::store::{Redis, RedisOptions, Store};
use tenure::{Key, StoreTime};
use tenure_testkit::{Flavour, Server};

use crate::drafts::{Draft, Model, asks};

/// Where the scripts read the time in place of the server's clock.
const CLOCK: &str = "test:clock";
const RETENTION: Duration = Duration::from_secs(24 * 3600);
/// A lease of a test is long enough on the server's own clock not to end before the test.
const STRETCH: u32 = 1000;

#[derive(Debug, Clone)]
enum Event {
    Pass(Duration),
    /// A batch on one connection.
    Ask(Vec<(u8, Draft)>),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => asks().prop_map(Event::Ask),
        2 => (1..3000_u64).prop_map(|ms| Event::Pass(Duration::from_millis(ms) * STRETCH)),
    ]
}

fn stretched_claim(mut acquire: Acquire) -> Acquire {
    acquire.ttl *= STRETCH;
    if let Some(queue) = &mut acquire.queue {
        queue.window *= STRETCH;
    }
    acquire
}

/// Makes every span of a step so many times longer.
fn stretched(op: Op) -> Op {
    match op {
        Op::Acquire(acquire) => Op::Acquire(stretched_claim(acquire)),
        Op::Steal(acquire) => Op::Steal(stretched_claim(acquire)),
        Op::Pass { owner, min_hold, tombstone, to, ahead } => Op::Pass {
            owner,
            min_hold: min_hold * STRETCH,
            tombstone: tombstone.map(|span| span * STRETCH),
            to: stretched_claim(to),
            ahead,
        },
        Op::Renew { owner, ttl } => Op::Renew { owner, ttl: ttl * STRETCH },
        Op::Release { owner, min_hold, tombstone } => Op::Release {
            owner,
            min_hold: min_hold * STRETCH,
            tombstone: tombstone.map(|span| span * STRETCH),
        },
        Op::Withdraw { owner, tombstone } => Op::Withdraw { owner, tombstone: tombstone * STRETCH },
        Op::Transfer { from, to, label, ttl } => {
            Op::Transfer { from, to, label, ttl: ttl * STRETCH }
        }
        other => other,
    }
}

struct Scene {
    server: Server,
    store: Redis,
    runtime: tokio::runtime::Runtime,
}

impl Scene {
    fn start(flavour: Flavour) -> Self {
        let server = Server::of(flavour).start();
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let seam = seam::machine().expect("the machine's seam starts");
        let options = RedisOptions { clock: Some(CLOCK.into()), ..RedisOptions::default() };
        let opened = Redis::open_with(&server.url(), seam, options);
        let store = runtime.block_on(opened).expect("the server answers");
        Self { server, store, runtime }
    }

    async fn run(&self, events: Vec<Event>) {
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
                Event::Ask(asks) => asks,
            };
            self.server.command(&["SET", CLOCK, &micros.to_string()]);
            let mut steps = Vec::new();
            for (number, draft) in &asks {
                let key = Key::new(format!("key-{number}")).expect("a good key");
                steps.push(Step { key, op: stretched(draft.op(&inbox.address)) });
            }
            let now = StoreTime::from_micros(micros);
            let at = At { now, fence_seed: micros, retention: RETENTION };
            model.agrees_with(&self.store, &mut inbox, steps, at).await;
            // All keys share the clock of their fences: no two calls come at the same moment.
            micros += 10;
        }
        assert_eq!(self.without_ttl(), Vec::<String>::new(), "they would stay for ever");
    }

    fn without_ttl(&self) -> Vec<String> {
        let keys = self.server.command(&["KEYS", "*"]);
        let names = keys.list().iter().filter_map(tenure_testkit::Reply::text);
        let stays = |name: &String| self.server.command(&["PTTL", name]).int() == -1;
        names.filter(|name| name != CLOCK).filter(stays).collect()
    }
}

fn equal_on(flavour: Flavour) {
    let scene = Scene::start(flavour);
    let config =
        ProptestConfig { cases: 100, max_shrink_time: 30_000, ..ProptestConfig::default() };
    let sequences = prop::collection::vec(event(), 1..60);
    let ran = proptest::test_runner::TestRunner::new(config).run(&sequences, |events| {
        scene.runtime.block_on(scene.run(events));
        Ok(())
    });
    if let Err(failure) = ran {
        panic!("{failure}");
    }
}

#[test]
fn redis_answers_as_the_machine_does() {
    equal_on(Flavour::Redis);
}

#[test]
fn valkey_answers_as_the_machine_does() {
    equal_on(Flavour::Valkey);
}
