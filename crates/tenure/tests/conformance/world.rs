//! A store with its clients, made anew for each case, and the patience to wait for a condition.

use std::fmt::{Debug, Display};
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tenure::protocol::{self, FenceRule, Inspection, Op, Queueing, Reply, Request, State};
use tenure::store::{Memory, Store, StoreErrorClass};
use tenure::{
    Claim, ErrorKind, Fence, Guard, Key, Label, Locks, LocksOptions, Owner, Released, runtime,
};
use tenure_testkit::{Cluster, Flavour, Sentinels, Server};

use crate::lasting::Lasting;
use crate::lock::{Acquire, Lock, Share};
use crate::store_wrapper::Wrapper;

/// No condition of a healthy store takes so long, on any machine that runs tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Where the store lives; it goes with the world.
#[derive(Debug)]
#[expect(dead_code, reason = "held, not read")]
enum Home {
    Nowhere,
    Dir(TempDir),
    Server(Server),
    Sentinels(Arc<Sentinels>),
    Cluster(Arc<Cluster>),
    Nodes(Box<dyn std::fmt::Debug>),
}

/// A store, two clients of it, and a way to ask it directly.
#[derive(Debug)]
pub(crate) struct World {
    locks: Locks,
    rival: Locks,
    /// How many handles these two are.
    handles: usize,
    store: Arc<dyn Store>,
    share: Share,
    _home: Home,
}

/// The keys of cases, of which somebody else has four units of five in a row about the last one.
const KEYS: [&str; 5] = ["key", "kept", "dropped", "held", "till 3"];

/// The label of somebody else.
const OTHER: &str = "the other four";

impl World {
    pub(crate) async fn memory(handles: usize) -> Self {
        let runtime = runtime::machine().expect("a clock and timers");
        let store = Memory::new(Arc::clone(&runtime));
        let over = || {
            let store = Arc::new(store.clone());
            Locks::over(store, Arc::clone(&runtime), patient())
        };
        let locks = over();
        let rival = if handles == 1 { locks.clone() } else { over() };
        Self::new(Home::Nowhere, [locks, rival], handles, Arc::new(store))
    }

    pub(crate) async fn sqlite(handles: usize) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("locks.db");
        let url = format!("sqlite:{}", path.display());
        let connect = async || tenure::connect_with(&url, patient()).await.expect("opens");
        let locks = connect().await;
        let rival = if handles == 1 { locks.clone() } else { connect().await };
        let runtime = runtime::machine().expect("a clock and timers");
        let store = tenure::store::Sqlite::open(&path, runtime).await.expect("opens a third time");
        Self::new(Home::Dir(dir), [locks, rival], handles, Arc::new(store))
    }

    pub(crate) async fn redis(flavour: Flavour, handles: usize) -> Self {
        let server = Server::of(flavour).start();
        let url = server.url();
        Self::at_url(Home::Server(server), &url, handles).await
    }

    /// As exactly the user that SAFETY.md names, who has no rights to keys but those below `jobs:`.
    pub(crate) async fn redis_with_few_rights(flavour: Flavour, handles: usize) -> Self {
        let server = Server::of(flavour).with_user("tenure", &rule(1)).start();
        let at = server.address();
        let url = format!("redis://tenure:PASSWORD@{at}?key_template=jobs:{{name}}");
        Self::at_url(Home::Server(server), &url, handles).await
    }

    /// At a group that other cases use at the same time, under names of this world's own.
    pub(crate) async fn behind_sentinels(flavour: Flavour, handles: usize) -> Self {
        Self::at_group(flavour, handles, "").await
    }

    /// The same, whose grants a replica acknowledges: in its own time, beside many tests.
    pub(crate) async fn with_ack(flavour: Flavour, handles: usize) -> Self {
        Self::at_group(flavour, handles, "&ack=1&ack_timeout=10s").await
    }

    async fn at_group(flavour: Flavour, handles: usize, parameters: &str) -> Self {
        let group = tokio::task::spawn_blocking(move || shared_group(flavour)).await;
        let group = group.expect("a group starts");
        let url = format!("{}?{}{parameters}", group.url(), names_of_its_own());
        Self::at_url(Home::Sentinels(group), &url, handles).await
    }

    /// In a cluster that other cases use at the same time, under names of this world's own.
    pub(crate) async fn in_cluster(flavour: Flavour, handles: usize) -> Self {
        let cluster = tokio::task::spawn_blocking(move || shared_cluster(flavour)).await;
        let cluster = cluster.expect("a cluster starts");
        let url = format!("{}?{}", cluster.url(), names_of_its_own());
        Self::at_url(Home::Cluster(cluster), &url, handles).await
    }

    /// The same as exactly the user that SAFETY.md names for clusters.
    pub(crate) async fn in_cluster_with_few_rights(flavour: Flavour, handles: usize) -> Self {
        let cluster = tokio::task::spawn_blocking(move || shared_cluster(flavour)).await;
        let cluster = cluster.expect("a cluster starts");
        let at = cluster.url().replace("://", "://tenure:PASSWORD@");
        let url = format!("{at}?{}", names_of_its_own().replace('=', "=jobs:"));
        Self::at_url(Home::Cluster(cluster), &url, handles).await
    }

    async fn at_url(home: Home, url: &str, handles: usize) -> Self {
        let gap = if url.contains('?') { '&' } else { '?' };
        let url = &format!("{url}{gap}call_timeout=20s");
        let locks = connect(url).await;
        let rival = if handles == 1 { locks.clone() } else { connect(url).await };
        let runtime = runtime::machine().expect("a clock and timers");
        let open = async || tenure::store::Redis::open(url, Arc::clone(&runtime)).await;
        let store = patiently(open, |error| error.class == StoreErrorClass::Transient).await;
        Self::new(home, [locks, rival], handles, Arc::new(store))
    }

    fn new(home: Home, [locks, rival]: [Locks; 2], handles: usize, store: Arc<dyn Store>) -> Self {
        Self { locks, rival, handles, store, share: Share::Mutex, _home: home }
    }

    /// Two clients of a store that stands on some ground.
    pub(crate) fn on(
        ground: Box<dyn std::fmt::Debug>,
        locks: [Locks; 2],
        handles: usize,
        store: Arc<dyn Store>,
    ) -> Self {
        Self::new(Home::Nodes(ground), locks, handles, store)
    }

    /// This world, for cases about this share.
    pub(crate) async fn about(self, share: Share) -> Self {
        if share == Share::LastOfFive {
            let four = Claim::new(4, 5).expect("valid");
            let mut others = Self::crashed(4, four, Duration::from_secs(24 * 3600), false);
            others.label = Label::new(OTHER);
            for key in KEYS {
                let granted = self.ask(key, Op::Acquire(others.clone())).await;
                assert!(matches!(granted, Reply::Granted { .. }), "{granted:?}");
            }
        }
        Self { share, ..self }
    }

    /// This world, for cases about the order in a line.
    pub(crate) fn with_lasting_places(self) -> Self {
        let store: Arc<dyn Store> = Arc::new(Wrapper(Lasting(Arc::clone(&self.store))));
        let over = || {
            let runtime = runtime::machine().expect("a clock and timers");
            Locks::over(Arc::clone(&store), runtime, patient())
        };
        let locks = over();
        let rival = if self.handles == 1 { locks.clone() } else { over() };
        Self { locks, rival, store, ..self }
    }

    /// The claim that each holder has.
    pub(crate) fn claim(&self) -> Claim {
        self.share.claim()
    }

    pub(crate) fn lock(&self, key: &str) -> Lock {
        self.lock_of(&self.locks, key)
    }

    pub(crate) fn rival_lock(&self, key: &str) -> Lock {
        self.lock_of(&self.rival, key)
    }

    /// The lock of a client of the test's own.
    pub(crate) fn lock_of(&self, locks: &Locks, key: &str) -> Lock {
        self.share.lock(locks, key)
    }

    /// The answer to a release after which nobody of the test holds.
    pub(crate) fn gone(&self) -> Released {
        if self.share == Share::LastOfFive { Released::Others } else { Released::Gone }
    }

    /// The holder that is named to those who wait: the oldest.
    pub(crate) fn blocker<'a>(&self, holder: &'a str) -> &'a str {
        if self.share == Share::LastOfFive { OTHER } else { holder }
    }

    pub(crate) fn locks(&self) -> &Locks {
        &self.locks
    }

    /// The other client of the same store.
    pub(crate) fn rival(&self) -> &Locks {
        &self.rival
    }

    /// One more client of the same store, of which nobody else has a handle.
    pub(crate) fn another(&self) -> Locks {
        self.another_with(patient())
    }

    pub(crate) fn another_with(&self, options: LocksOptions) -> Locks {
        let runtime = runtime::machine().expect("a clock and timers");
        Locks::over(Arc::clone(&self.store), runtime, options)
    }

    /// Carries out one step at the store, past every client.
    pub(crate) async fn ask(&self, key: &str, op: Op) -> Reply {
        let key = Key::new(key).expect("a valid key");
        let replies = self.store.call(vec![Request { key, op }]).await.expect("the store answers");
        let [reply] = &replies[..] else { panic!("one step, {} replies", replies.len()) };
        reply.clone()
    }

    /// The state of the key, without what somebody else holds of it.
    pub(crate) async fn inspect(&self, key: &str) -> Inspection {
        without_other(self.rival_lock(key).inspect().await.expect("a look"))
    }

    /// Takes the lock by the other client, which must be free.
    pub(crate) async fn rival_takes(&self, key: &str) -> Guard {
        let guard = self.rival_lock(key).try_acquire().await.expect("an answer");
        guard.unwrap_or_else(|| panic!("{key} is not free"))
    }

    /// Waits until `count` stand in line. Answers what was seen then.
    pub(crate) async fn until_waiting(&self, key: &str, count: usize) -> Inspection {
        let mut seen = Inspection::free();
        until("waiters in line", async || {
            seen = self.inspect(key).await;
            seen.waiters.len() == count
        })
        .await;
        seen
    }

    /// Whether the store has seen nothing of all that was asked.
    pub(crate) async fn is_untouched(&self) -> bool {
        let page = self.locks.list("", None, 10).await.expect("a page");
        let seen = page.into_iter().map(|(_, seen)| without_other(seen));
        seen.into_iter().all(|seen| seen.state == State::Free && seen.waiters.is_empty())
    }

    /// A claim by nobody who would renew, heartbeat or release it: a crashed client.
    pub(crate) fn crashed(
        number: u64,
        claim: Claim,
        ttl: Duration,
        line: bool,
    ) -> protocol::Acquire {
        protocol::Acquire {
            owner: Owner::from_parts(&format!("crashed {number}"), number),
            label: Label::new("crashed"),
            claim,
            ttl,
            queue: line.then_some(Queueing { window: ttl, stamp: 1, inbox: None }),
            fence: FenceRule::Mint,
            value: None,
        }
    }

    pub(crate) async fn force(&self, guard: &Guard) {
        let reply = self.ask(guard.key().as_str(), Op::Force { up_to: guard.fence() }).await;
        let Reply::Forced { holders } = reply else { panic!("{reply:?}") };
        assert_eq!(holders, if self.share == Share::LastOfFive { 2 } else { 1 });
    }
}

/// The nth rule for a user in SAFETY.md.
fn rule(nth: usize) -> String {
    let mut rules = include_str!("../../../../SAFETY.md").split("user tenure ");
    let (rule, _) = rules.nth(nth).expect("a rule").split_once("```").expect("its end");
    rule.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A parameter of a URL.
fn names_of_its_own() -> String {
    static WORLDS: AtomicUsize = AtomicUsize::new(0);
    format!("key_template=world-{}:{{name}}", WORLDS.fetch_add(1, Ordering::Relaxed))
}

/// One value of each flavour, while anybody has it.
type Shared<T> = Mutex<[Weak<T>; 2]>;

/// The group of a flavour that all worlds of this process share while there are any. It fails over
/// at no case's pleasure: a busy machine must not look like a dead one.
fn shared_group(flavour: Flavour) -> Arc<Sentinels> {
    static GROUPS: Shared<Sentinels> = Mutex::new([Weak::new(), Weak::new()]);
    let calm = Duration::from_secs(60);
    shared(&GROUPS, flavour, || Sentinels::of(flavour).with_down_after(calm).start())
}

/// The same of clusters.
fn shared_cluster(flavour: Flavour) -> Arc<Cluster> {
    static CLUSTERS: Shared<Cluster> = Mutex::new([Weak::new(), Weak::new()]);
    let calm = Duration::from_secs(60);
    let options = Cluster::of(flavour).with_user("tenure", &rule(2));
    let cluster = || options.with_replicas(0).with_node_timeout(calm).start();
    shared(&CLUSTERS, flavour, cluster)
}

fn shared<T>(all: &Shared<T>, flavour: Flavour, start: impl FnOnce() -> T) -> Arc<T> {
    let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
    let index = Flavour::ALL.iter().position(|of| *of == flavour).expect("a known flavour");
    all[index].upgrade().unwrap_or_else(|| {
        let started = Arc::new(start());
        all[index] = Arc::downgrade(&started);
        started
    })
}

fn without_other(mut seen: Inspection) -> Inspection {
    seen.holders.retain(|holder| holder.label.as_str() != OTHER);
    if seen.holders.is_empty() && seen.state == State::Held {
        seen.state = State::Free;
    }
    seen
}

/// Runs a case on a runtime of its own.
pub(crate) fn run<F: Future<Output = ()>>(case: impl FnOnce() -> F) {
    let tokio_runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    tokio_runtime.expect("a runtime").block_on(within(
        "the case",
        Duration::from_secs(300),
        case(),
    ));
}

/// A case with its name.
pub(crate) type NamedCase = (&'static str, fn());

/// Number of cases that run side by side.
const AT_ONCE: usize = 8;

/// Runs cases side by side, since most of the time they wait. Names those that fail.
pub(crate) fn run_side_by_side(cases: &[NamedCase]) {
    let next = AtomicUsize::new(0);
    let failed = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((name, case)) = cases.get(next.fetch_add(1, Ordering::SeqCst)) {
                    if std::panic::catch_unwind(case).is_err() {
                        failed.lock().expect("no panic").push(*name);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().expect("no panic");
    assert!(failed.is_empty(), "of {} cases failed {failed:?}", cases.len());
}

/// `future`'s output, or a panic after `limit`.
pub(crate) async fn within<F: Future>(what: &str, limit: Duration, future: F) -> F::Output {
    let timely = tokio::time::timeout(limit, future).await;
    timely.unwrap_or_else(|_| panic!("{what} did not come within {limit:?}"))
}

/// Waits for a condition.
pub(crate) async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !condition().await {
        assert!(started.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        tokio::time::sleep(ms(5)).await;
    }
}

/// A busy machine must not look like a store that is away.
pub(crate) fn patient() -> LocksOptions {
    LocksOptions::default().with_store_timeout(PATIENCE)
}

/// A handle at a server that runs.
async fn connect(url: &str) -> Locks {
    let connect = async || tenure::connect_with(url, patient()).await;
    patiently(connect, |error| error.kind() == ErrorKind::Unavailable).await
}

/// Opens what is there: on a busy machine a server may take a while to answer.
pub(crate) async fn patiently<T, E: Display>(
    open: impl AsyncFn() -> Result<T, E>,
    may_pass: impl Fn(&E) -> bool,
) -> T {
    let started = Instant::now();
    loop {
        match open().await {
            Ok(opened) => return opened,
            Err(error) if may_pass(&error) && started.elapsed() < PATIENCE => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// Acquires, within the patience.
pub(crate) async fn acquire(lock: &impl Acquire) -> Guard {
    in_time(async || lock.granted().await).await.expect("granted")
}

/// The answer to `ask`, within the patience. On a busy machine the grant of a short lease may be
/// read so late that the lease has ended: then it asks again.
pub(crate) async fn in_time<T>(
    mut ask: impl AsyncFnMut() -> tenure::Result<T>,
) -> tenure::Result<T> {
    let asked = async {
        loop {
            match ask().await {
                Err(error) if was_read_late(&error) => {}
                answer => return answer,
            }
        }
    };
    within("the lock", PATIENCE, asked).await
}

/// Whether a grant was read after its lease had ended.
pub(crate) fn was_read_late(error: &tenure::Error) -> bool {
    error.to_string().contains("was read later than the ttl")
}

/// The error of a short wait. On a busy machine the store may not answer at all within it: then it
/// waits again.
pub(crate) async fn too_late<T: Debug>(
    mut wait: impl AsyncFnMut() -> tenure::Result<T>,
) -> tenure::Error {
    let started = Instant::now();
    loop {
        let error = wait().await.expect_err("somebody holds it");
        if error.kind() != ErrorKind::Unavailable || started.elapsed() > PATIENCE {
            return error;
        }
    }
}

/// Starts to wait in the background.
pub(crate) fn waiting(lock: impl Acquire) -> tokio::task::JoinHandle<tenure::Result<Guard>> {
    tokio::spawn(async move { lock.granted().await })
}

/// The outcome of a waiter in the background.
pub(crate) async fn outcome(
    waiter: tokio::task::JoinHandle<tenure::Result<Guard>>,
) -> tenure::Result<Guard> {
    within("the waiter's outcome", PATIENCE, waiter).await.expect("no panic")
}

/// Asserts that a fence is larger than all before it.
pub(crate) fn grows(last: &mut Fence, guard: &Guard) {
    assert!(guard.fence() > *last, "the fence went from {last} to {}", guard.fence());
    *last = guard.fence();
}
