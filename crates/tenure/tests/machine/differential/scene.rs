//! A server or a cluster with a clock of the test's own, on which sequences of steps run.

use std::time::Duration;

use tenure::protocol::{Acquire, Group, Op, Request, StepContext, Ticks};
use tenure::runtime;
use tenure::store::{Redis, RedisOptions, Store};
use tenure::{Key, Owner, StoreTime};
use tenure_testkit::{Cluster, Flavour, Server};

use super::drafts::{Draft, Model, steps};

/// Where the scripts read the time in place of the server's clock.
pub(super) const CLOCK: &str = "test:clock";
const RETENTION: Duration = Duration::from_secs(24 * 3600);
/// Spans are a thousand times longer than drafted, and whole tens of seconds: so no lease ends on
/// the server's own clock before the test does.
pub(super) fn stretched_span(span: Duration) -> Duration {
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

/// The place of the keys: a server, or a cluster that is one node.
pub(super) enum Home {
    Server(Server),
    Cluster(Cluster),
}

impl Home {
    fn url(&self) -> String {
        match self {
            Self::Server(server) => server.url(),
            Self::Cluster(cluster) => cluster.url(),
        }
    }

    pub(super) fn server(&self) -> &Server {
        match self {
            Self::Server(server) => server,
            Self::Cluster(cluster) => &cluster.nodes()[0],
        }
    }
}

pub(super) struct Scene {
    /// How many steps on other keys come along with each batch: in company, fewer words travel.
    company: u32,
    home: Home,
    /// The name of a key here.
    name: fn(&Key) -> String,
    store: Redis,
    pub(super) tokio_runtime: tokio::runtime::Runtime,
}

impl Scene {
    pub(super) fn start(flavour: Flavour, company: u32) -> Self {
        Self::at(Home::Server(Server::of(flavour).start()), company, |key| key.as_str().into())
    }

    pub(super) fn at(home: Home, company: u32, name: fn(&Key) -> String) -> Self {
        let tokio_runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let runtime = runtime::machine().expect("the machine's runtime starts");
        let options = RedisOptions { clock: Some(CLOCK.into()), ..RedisOptions::default() };
        let opened = Redis::open_with(&home.url(), runtime, options);
        let store = tokio_runtime.block_on(opened).expect("the server answers");
        Self { company, home, name, store, tokio_runtime }
    }

    pub(super) fn server(&self) -> &Server {
        self.home.server()
    }

    pub(super) async fn run(&self, events: Vec<Event>) {
        self.server().command(&["FLUSHALL"]);
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
            self.server().command(&["SET", CLOCK, &micros.to_string()]);
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
            for step in &mut steps {
                step.key = Key::new((self.name)(&step.key)).expect("a good key");
            }
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
            let lock = self.server().command(&["GET", step.key.as_str()]).text();
            let expires = lock
                .as_deref()
                .filter(|lock| lock.contains('\n'))
                .map(|lock| lock[lock.len() - 16..].parse::<u64>().expect("until when it is held"));
            if expires.is_some_and(|expires| expires <= micros) {
                self.server().command(&["DEL", step.key.as_str()]);
            }
        }
    }

    fn without_ttl(&self) -> Vec<String> {
        let keys = self.server().command(&["KEYS", "*"]);
        let names = keys.list().iter().filter_map(tenure_testkit::Reply::text);
        let stays = |name: &String| self.server().command(&["PTTL", name]).int() == -1;
        names.filter(|name| name != CLOCK).filter(stays).collect()
    }
}
