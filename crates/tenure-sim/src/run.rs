//! One seed, from the first call to the last look.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};

use tenure::Key;
use tenure::runtime::Runtime;
use tenure::store::{Quorum, QuorumOptions, Store};

use crate::clock::Clock;
use crate::defect::Defect;
use crate::faults::Faults;
use crate::host::{CLOSE_LIMIT, Host};
use crate::judge::{Judge, Rule};
use crate::link::{Network, SimStore};
use crate::plan::{Plan, SECOND, Stream};
use crate::process::SimRuntime;
use crate::rng::Rng;
use crate::server::{Server, ServerSettings};
use crate::trace::Trace;
use crate::user::User;
use crate::world::{Failure, Observer, Part, Pid, World};

/// Minimum time for which work goes on after the faults, in microseconds.
const GOOD_NETWORK: u64 = 3 * SECOND;
/// Maximum time until enough of that work is done, in microseconds.
const GOOD_NETWORK_MAX: u64 = 60 * SECOND;
/// Number of grants that are enough.
const GRANTS_OVER_GOOD_NETWORK: u64 = 5;
/// Maximum time until every open call then ends, in microseconds: some leases are long, and their
/// holders dead.
const ALL_HAVE_ENDED: u64 = 90 * SECOND;

/// Time until the nodes that a close does not wait for know of it too, in microseconds.
const OTHERS_HAVE_HEARD: u64 = 5 * SECOND;

/// How to run a seed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// The store is a quorum of servers, not one server.
    pub quorum: bool,
    /// Users ask for locks of all kinds, not for mutexes alone. One server only.
    pub all_kinds: bool,
    /// A bug to build into the server.
    pub defect: Option<Defect>,
    /// Judge by one rule alone.
    pub only: Option<Rule>,
    /// Keep a line of every event.
    pub trace: bool,
}

/// The outcome of a seed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// The first promise that was broken.
    pub failure: Option<Failure>,
    /// How many guards were handed out.
    pub grants: u64,
    /// How many of them were lost in their holders' hands.
    pub losses: u64,
    /// The events, if they were kept.
    pub trace: Vec<String>,
}

/// Runs a seed. The same seed and options give the same outcome.
#[must_use]
pub fn run(seed: u64, options: Options) -> Outcome {
    let simulation = Simulation::new(seed, options);
    let ended = catch_unwind(AssertUnwindSafe(|| simulation.run()));
    if let Err(panic) = ended {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).into()));
        simulation.world.fail(Rule::Panic, text.unwrap_or_default());
    }
    // A value that is dropped half-way through a panic may panic again.
    let _ended = catch_unwind(AssertUnwindSafe(|| simulation.world.end()));
    Outcome {
        seed,
        failure: simulation.world.failure().cloned(),
        grants: simulation.judge.handed_out(),
        losses: simulation.judge.lost(),
        trace: simulation.world.trace.take(),
    }
}

/// The world of one seed, and all that is in it.
struct Simulation {
    seed: u64,
    plan: Plan,
    world: Arc<World>,
    judge: Arc<Judge>,
    nodes: Vec<(Arc<Server>, Arc<Network>)>,
    keys: Arc<[Key]>,
    /// Users that have not ended.
    living: Arc<AtomicUsize>,
    /// Users begin nothing new.
    over: Arc<AtomicBool>,
    hosts: Arc<Mutex<Vec<Arc<Host>>>>,
}

impl Simulation {
    fn new(seed: u64, options: Options) -> Self {
        let plan = match options {
            Options { quorum: true, .. } => Plan::of_quorum(seed, options.defect),
            Options { all_kinds: true, .. } => Plan::of_all_kinds(seed, options.defect),
            _ => Plan::of(seed, options.defect),
        };
        let rng = Rng::new(seed, Stream::World as u64);
        let world = World::new(plan.clocks.clone(), rng, Trace::new(options.trace));
        world.note(|| format!("{plan:#?}"));
        let (round_trip, calm) = (2 * plan.network_faults.delay, plan.calm);
        let judge =
            Judge::new(Arc::clone(&world), options.only, calm, round_trip, plan.servers.len());
        world.observe(Arc::downgrade(&judge) as Weak<dyn Observer>);
        let found_node = |(node, clock): (usize, &Clock)| {
            let (w, j) = (Arc::clone(&world), Arc::clone(&judge));
            let settings = ServerSettings {
                clock: *clock,
                retention: plan.retention,
                guard: plan.guard,
                guards_memory: plan.guards_memory,
                defect: options.defect,
            };
            let server = Server::new(w, j, node, settings);
            let (w, s, j) = (Arc::clone(&world), Arc::clone(&server), Arc::clone(&judge));
            (server, Network::new(w, s, j, plan.network_faults.clone(), plan.pushes))
        };
        let nodes = plan.servers.iter().enumerate().map(found_node).collect();
        let names = (0..plan.keys).map(|i| Key::new(format!("k{i}")).expect("a good key"));
        let keys = names.collect();
        let (living, over, hosts) = (Arc::default(), Arc::default(), Arc::default());
        Self { seed, plan, world, judge, nodes, keys, living, over, hosts }
    }

    fn run(&self) {
        let plan = &self.plan;
        let first = plan.processes - plan.spare;
        for pid in 0..first {
            self.booter()(pid);
        }
        self.world.set_stumbling(plan.stumble_per_mille, 300_000);
        let faults = Faults {
            nodes: self.nodes.clone(),
            kinds: plan.faults.clone(),
            keys: Arc::clone(&self.keys),
            rng: Rng::new(self.seed, Stream::Faults as u64),
            every: plan.fault_every,
            until: plan.calm_at,
            alive: (0..first).collect(),
            spare: (first..plan.processes).collect(),
            boot: self.booter(),
        };
        faults.go_on(&self.world);
        self.world.run(plan.calm_at, || false);
        self.world.note(|| "the network turns good".into());
        self.nodes.iter().for_each(|(_, network)| network.calm());
        self.world.set_stumbling(0, 0);
        let enough = self.judge.handed_out() + GRANTS_OVER_GOOD_NETWORK;
        let now = self.world.now();
        self.world.run(now + GOOD_NETWORK, || false);
        self.world.run(now + GOOD_NETWORK_MAX, || self.judge.handed_out() >= enough);
        if self.judge.handed_out() < enough {
            let text = || "hardly anybody gets a lock over a good network".into();
            self.judge.complain(Rule::Throughput, text);
        }
        self.over.store(true, Ordering::Relaxed);
        let end = self.world.now() + ALL_HAVE_ENDED;
        self.world.run(end, || self.living.load(Ordering::Relaxed) == 0);
        if self.world.failure().is_none() {
            self.judge.nobody_waits();
        }
        self.close();
        if self.world.failure().is_some() {
            return;
        }
        if self.nodes.len() > 1 {
            // It has closed when a majority has answered; the others hear of it a little later.
            self.world.run(self.world.now() + OTHERS_HAVE_HEARD, || false);
        }
        self.judge.nothing_is_left();
        let kept: usize = self.nodes.iter().map(|(s, _)| s.keys_kept_for_ever()).sum();
        if kept > 0 {
            self.judge.complain(Rule::Orphan, || format!("{kept} keys are kept for ever"));
        }
    }

    /// Every process that lives closes its `Locks`.
    fn close(&self) {
        let hosts = self.hosts.lock().expect("no host panics").clone();
        for host in hosts.iter().filter(|host| !self.world.is_crashed(host.pid)) {
            let (host, living) = (Arc::clone(host), Arc::clone(&self.living));
            living.fetch_add(1, Ordering::Relaxed);
            let pid = host.pid;
            let closing = Box::pin(async move {
                host.close().await;
                living.fetch_sub(1, Ordering::Relaxed);
            });
            self.world.spawn(pid, Part::Program, closing);
        }
        let limit = u64::try_from(CLOSE_LIMIT.as_micros()).unwrap_or(u64::MAX) * 2;
        self.world.run(self.world.now() + limit, || self.living.load(Ordering::Relaxed) == 0);
    }

    /// Starts a process, and once it has its store, all of its users.
    fn booter(&self) -> Arc<dyn Fn(Pid) + Send + Sync> {
        let (seed, guard, limit) = (self.seed, self.plan.guard, self.plan.node_timeout);
        let (world, nodes) = (Arc::clone(&self.world), self.nodes.clone());
        let (living, move_in) = (Arc::clone(&self.living), self.mover());
        Arc::new(move |pid| {
            let rng = Rng::new(seed, Stream::Runtime as u64 + pid as u64);
            let runtime = SimRuntime::new(Arc::clone(&world), pid, rng);
            let store = |(_, network): &(_, Arc<Network>)| -> Arc<dyn Store> {
                SimStore::new(Arc::clone(network), pid)
            };
            let stores: Vec<_> = nodes.iter().map(store).collect();
            if let [store] = &*stores {
                return move_in(&runtime, Arc::clone(store));
            }
            let options = QuorumOptions::default().with_max_ttl(guard).with_node_timeout(limit);
            let (present, move_in) = (Presence::new(&living), Arc::clone(&move_in));
            let opening = async move {
                let _present = present;
                loop {
                    let machine = Arc::clone(&runtime) as Arc<dyn Runtime>;
                    if let Ok(quorum) = Quorum::open(stores.clone(), machine, options).await {
                        return move_in(&runtime, Arc::new(quorum));
                    }
                    runtime.sleep_until(runtime.now() + limit).await;
                }
            };
            world.spawn(pid, Part::Program, Box::pin(opening));
        })
    }

    /// Lets the users of a process move in, with the store that they use.
    fn mover(&self) -> Arc<Mover> {
        let Self { seed, ref plan, .. } = *self;
        let (world, judge) = (Arc::clone(&self.world), Arc::clone(&self.judge));
        let keys = Arc::clone(&self.keys);
        let (living, hosts) = (Arc::clone(&self.living), Arc::clone(&self.hosts));
        let (users, over, idle) = (plan.users, Arc::clone(&self.over), plan.idle);
        let mixture = plan.mixture.clone();
        Arc::new(move |runtime, store| {
            let (pid, runtime) = (runtime.pid(), Arc::clone(runtime));
            let host = Host::new(Arc::clone(&world), Arc::clone(&judge), pid, runtime, store);
            for user in 0..users {
                let stream = Stream::User as u64 + (pid * users + user) as u64;
                let user = User {
                    host: Arc::clone(&host),
                    rng: Rng::new(seed, stream),
                    keys: Arc::clone(&keys),
                    mixture: mixture.clone(),
                    over: Arc::clone(&over),
                    idle,
                };
                let present = Presence::new(&living);
                let life = Box::pin(async move {
                    let _present = present;
                    user.live().await;
                });
                world.spawn(pid, Part::Program, life);
            }
            hosts.lock().expect("no host panics").push(Arc::clone(&host));
        })
    }
}

type Mover = dyn Fn(&Arc<SimRuntime>, Arc<dyn Store>) + Send + Sync;

/// One more user as long as it exists: a crash ends it as well.
struct Presence(Arc<AtomicUsize>);

impl Presence {
    fn new(living: &Arc<AtomicUsize>) -> Self {
        living.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(living))
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
