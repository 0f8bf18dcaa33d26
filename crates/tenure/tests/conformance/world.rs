//! A store with its clients, made anew for each case, and the patience to wait for a condition.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tenure::protocol::{Acquire, FenceRule, Inspection, Op, Queueing, Reply, Request};
use tenure::store::{Memory, Store};
use tenure::{Claim, Fence, Guard, Key, Label, Locks, LocksOptions, Mutex, Owner, runtime};
use tenure_testkit::{Flavour, Server};

/// No condition of a healthy store takes so long, on any machine that runs tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

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
    Nodes(Box<dyn std::fmt::Debug>),
}

/// A store, two clients of it, and a way to ask it directly.
#[derive(Debug)]
pub(crate) struct World {
    locks: Locks,
    rival: Locks,
    store: Arc<dyn Store>,
    _home: Home,
}

impl World {
    pub(crate) async fn memory(handles: usize) -> Self {
        let runtime = runtime::machine().expect("a clock and timers");
        let store = Memory::new(Arc::clone(&runtime));
        let over = || {
            let store = Arc::new(store.clone());
            Locks::over(store, Arc::clone(&runtime), LocksOptions::default())
        };
        let locks = over();
        let rival = if handles == 1 { locks.clone() } else { over() };
        Self { locks, rival, store: Arc::new(store), _home: Home::Nowhere }
    }

    pub(crate) async fn sqlite(handles: usize) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("locks.db");
        let url = format!("sqlite:{}", path.display());
        let locks = tenure::connect(&url).await.expect("a fresh file");
        let rival =
            if handles == 1 { locks.clone() } else { tenure::connect(&url).await.expect("opens") };
        let runtime = runtime::machine().expect("a clock and timers");
        let store = tenure::store::Sqlite::open(&path, runtime).await.expect("opens a third time");
        Self { locks, rival, store: Arc::new(store), _home: Home::Dir(dir) }
    }

    pub(crate) async fn redis(flavour: Flavour, handles: usize) -> Self {
        let server = Server::of(flavour).start();
        let url = server.url();
        Self::at_server(server, &url, handles).await
    }

    /// As exactly the user that SAFETY.md names, who has no rights to keys but those below `jobs:`.
    pub(crate) async fn redis_with_few_rights(flavour: Flavour, handles: usize) -> Self {
        let (_, rest) = include_str!("../../../../SAFETY.md").split_once("user tenure ").unwrap();
        let (rules, _) = rest.split_once("```").expect("the end of the block");
        let rules = rules.split_whitespace().collect::<Vec<_>>().join(" ");
        let server = Server::of(flavour).with_user("tenure", &rules).start();
        let at = server.address();
        let url = format!("redis://tenure:PASSWORD@{at}?key_template=jobs:{{name}}");
        Self::at_server(server, &url, handles).await
    }

    async fn at_server(server: Server, url: &str, handles: usize) -> Self {
        let locks = tenure::connect(url).await.expect("a fresh server");
        let rival = if handles == 1 {
            locks.clone()
        } else {
            tenure::connect(url).await.expect("connects")
        };
        let runtime = runtime::machine().expect("a clock and timers");
        let store = tenure::store::Redis::open(url, runtime).await.expect("connects a third time");
        Self { locks, rival, store: Arc::new(store), _home: Home::Server(server) }
    }

    /// Two clients of a store that stands on some ground.
    pub(crate) fn on(
        ground: Box<dyn std::fmt::Debug>,
        [locks, rival]: [Locks; 2],
        store: Arc<dyn Store>,
    ) -> Self {
        Self { locks, rival, store, _home: Home::Nodes(ground) }
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
        self.another_with(LocksOptions::default())
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

    pub(crate) async fn inspect(&self, key: &str) -> Inspection {
        self.rival.mutex(key).inspect().await.expect("a look")
    }

    /// Takes the lock by the other client, which must be free.
    pub(crate) async fn rival_takes(&self, key: &str) -> Guard {
        let guard = self.rival.mutex(key).try_acquire().await.expect("an answer");
        guard.unwrap_or_else(|| panic!("{key} is not free"))
    }

    /// Waits until `count` stand in line.
    pub(crate) async fn until_waiting(&self, key: &str, count: usize) {
        until("waiters in line", async || self.inspect(key).await.waiters.len() == count).await;
    }

    /// Whether the store has seen nothing of all that was asked.
    pub(crate) async fn is_untouched(&self) -> bool {
        self.locks.list("", None, 10).await.expect("a page").is_empty()
    }

    /// A claim by nobody who would renew, heartbeat or release it: a crashed client.
    pub(crate) fn crashed(number: u64, claim: Claim, ttl: Duration, line: bool) -> Acquire {
        Acquire {
            owner: Owner::from_parts(&format!("crashed {number}"), number),
            label: Label::new("crashed"),
            claim,
            ttl,
            queue: line.then_some(Queueing { window: ttl, stamp: 1, inbox: None }),
            fence: FenceRule::Mint,
        }
    }

    pub(crate) async fn force(&self, guard: &Guard) {
        let reply = self.ask(guard.key().as_str(), Op::Force { up_to: guard.fence() }).await;
        assert_eq!(reply, Reply::Forced { holders: 1 });
    }
}

/// Runs a case on a runtime of its own.
pub(crate) fn run<F: Future<Output = ()>>(case: impl FnOnce() -> F) {
    let tokio_runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    tokio_runtime.expect("a runtime").block_on(within("the case", Duration::from_secs(90), case()));
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

/// Acquires, within the patience.
pub(crate) async fn acquire(mutex: &Mutex) -> Guard {
    within("the lock", PATIENCE, mutex.acquire()).await.expect("granted")
}

/// Starts to wait in the background.
pub(crate) fn waiting(mutex: Mutex) -> tokio::task::JoinHandle<tenure::Result<Guard>> {
    tokio::spawn(async move { mutex.acquire().await })
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
