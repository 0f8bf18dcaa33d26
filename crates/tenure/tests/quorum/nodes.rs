//! Nodes that can be made to fail, and a quorum of them.

use std::future::pending;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tenure::protocol::{Inspection, Op, Reply, Request};
use tenure::runtime::{self, Runtime};
use tenure::store::{
    Answer, Capabilities, DataServer, Examination, Forgets, Identity, Inbox, Links, Memory, Quorum,
    QuorumOptions, Store, StoreError, StoreErrorClass,
};
use tenure::{Key, Locks, LocksOptions};
use tokio::sync::{Notify, oneshot, watch};

/// No condition takes so long, on any machine that runs tests; and no lease ends by itself in this
/// time (30 s), or what nobody gave back would look as if somebody had.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) fn machine() -> Arc<dyn Runtime> {
    runtime::machine().expect("a clock and timers")
}

const UP: u8 = 0;
/// Refuses connections.
const DOWN: u8 = 1;
/// Takes requests, and carries them out when it goes on.
const STOPPED: u8 = 2;
/// Carries requests out, and keeps the answers to itself.
const SILENT: u8 = 3;

type Kept = (oneshot::Sender<Replies>, Replies);
type Replies = Result<Vec<Reply>, StoreError>;

/// A memory behind a switch.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) number: usize,
    memory: Mutex<Memory>,
    state: AtomicU8,
    goes_on: Notify,
    /// Requests that it has refused since it is down.
    refused: AtomicUsize,
    /// Requests that came while it was stopped, and have not been carried out.
    put_off: AtomicUsize,
    /// Answers that were not given, the oldest first.
    kept_back: Mutex<Vec<Kept>>,
    /// So many of them have been given meanwhile, and have arrived.
    given: AtomicUsize,
    /// A call takes a random time of up to so many microseconds on its way.
    delay_micros: AtomicU64,
    /// How many calls it has had, and how many of them with nothing but an inspection.
    pub(crate) calls: AtomicUsize,
    pub(crate) identity: Mutex<Identity>,
}

impl Node {
    fn new(number: usize) -> Arc<Self> {
        let unique = format!("node {number}").into();
        let identity = Identity { unique, replica_of: None, forgets: Forgets::Never };
        Arc::new(Self {
            number,
            memory: Mutex::new(Memory::new(machine())),
            state: AtomicU8::new(UP),
            goes_on: Notify::new(),
            refused: AtomicUsize::new(0),
            put_off: AtomicUsize::new(0),
            kept_back: Mutex::default(),
            given: AtomicUsize::new(0),
            delay_micros: AtomicU64::new(0),
            calls: AtomicUsize::new(0),
            identity: Mutex::new(identity),
        })
    }

    pub(crate) fn delay_by_up_to(&self, span: Duration) {
        let micros = u64::try_from(span.as_micros()).expect("a short time");
        self.delay_micros.store(micros, Ordering::SeqCst);
    }

    pub(crate) fn down(&self) {
        self.refused.store(0, Ordering::SeqCst);
        self.state.store(DOWN, Ordering::SeqCst);
    }

    /// Comes up once it has been asked in vain: a request that arrived later would be carried out.
    pub(crate) async fn up_after_a_refusal(&self) {
        let what = format!("node {} refuses a request", self.number);
        until(&what, async || self.refused.load(Ordering::SeqCst) > 0).await;
        self.up();
    }

    pub(crate) fn stop(&self) {
        self.state.store(STOPPED, Ordering::SeqCst);
    }

    pub(crate) fn silence(&self) {
        self.state.store(SILENT, Ordering::SeqCst);
    }

    /// Waits until so many answers are kept back.
    pub(crate) async fn until_kept_back(&self, count: usize) {
        let kept = async || self.kept_back.lock().expect("no panic").len() == count;
        until("an answer that is kept back", kept).await;
    }

    /// Gives the last of the answers that were kept back, and waits until it has arrived.
    pub(crate) async fn give_last(&self) {
        let before = self.given.load(Ordering::SeqCst);
        let last = self.kept_back.lock().expect("no panic").pop();
        let (tell, answer) = last.expect("an answer was kept back");
        tell.send(answer).expect("it is waited for");
        until("the answer is there", async || self.given.load(Ordering::SeqCst) > before).await;
    }

    /// Comes up, or goes on with what it was asked meanwhile.
    pub(crate) fn up(&self) {
        self.state.store(UP, Ordering::SeqCst);
        self.goes_on.notify_waiters();
    }

    /// Comes up, and waits until all that it was asked meanwhile has been carried out.
    pub(crate) async fn catch_up(&self) {
        self.up();
        let what = format!("node {} carries out what it was asked", self.number);
        until(&what, async || self.put_off.load(Ordering::SeqCst) == 0).await;
    }

    /// Restarts without its memory.
    pub(crate) fn forget(&self) {
        *self.memory.lock().expect("no panic") = Memory::new(machine());
    }

    /// Asks the node itself, whatever its state.
    pub(crate) async fn ask(&self, key: &str, op: Op) -> Reply {
        let key = Key::new(key).expect("a key");
        let memory = self.memory.lock().expect("no panic").clone();
        let replies = memory.call(vec![Request { key, op }]).await.expect("memory answers");
        replies.into_iter().next().expect("one reply")
    }

    pub(crate) async fn inspect(&self, key: &str) -> Inspection {
        match self.ask(key, Op::Inspect).await {
            Reply::Inspected(seen) => seen,
            other => panic!("{other:?}"),
        }
    }
}

/// A handle, as a store has it.
#[derive(Debug)]
pub(crate) struct Handle(pub(crate) Arc<Node>);

impl Store for Handle {
    fn capabilities(&self) -> &Capabilities {
        const ANY: &Capabilities = &Capabilities {
            fifo: true,
            many_units: true,
            groups: true,
            plain_values: false,
            composite: false,
            reach: tenure::store::Reach::Process,
            ttl_max: tenure::TTL_MAX,
            slow_grants: false,
        };
        ANY
    }

    fn name(&self) -> Arc<str> {
        format!("node-{}", self.0.number).into()
    }

    fn check_key(&self, _key: &Key) -> Result<(), String> {
        Ok(())
    }

    fn part_of(&self, _key: &Key) -> u32 {
        0
    }

    fn call(&self, steps: Vec<Request>) -> Answer<'_, Vec<Reply>> {
        let node = Arc::clone(&self.0);
        Box::pin(async move {
            node.calls.fetch_add(1, Ordering::SeqCst);
            let slowest = node.delay_micros.load(Ordering::SeqCst);
            if slowest > 0 {
                let mut random = [0; 4];
                machine().random(&mut random);
                let micros = u64::from(u32::from_le_bytes(random)) % slowest;
                machine().sleep_until(machine().now() + Duration::from_micros(micros)).await;
            }
            let (tell, told) = oneshot::channel();
            match node.state.load(Ordering::SeqCst) {
                DOWN => {
                    node.refused.fetch_add(1, Ordering::SeqCst);
                    return Err(StoreError {
                        class: StoreErrorClass::Transient,
                        message: "connection refused".into(),
                        may_have_run: false,
                        source: None,
                    });
                }
                STOPPED => {
                    // The request lies in its socket: it is carried out whatever the caller does.
                    let node = Arc::clone(&node);
                    node.put_off.fetch_add(1, Ordering::SeqCst);
                    machine().spawn(Box::pin(async move {
                        while node.state.load(Ordering::SeqCst) == STOPPED {
                            let goes_on = node.goes_on.notified();
                            let soon = machine().now() + ms(5);
                            tokio::select! {
                                () = goes_on => {}
                                () = machine().sleep_until(soon) => {}
                            }
                        }
                        let memory = node.memory.lock().expect("no panic").clone();
                        let answer = memory.call(steps).await;
                        node.put_off.fetch_sub(1, Ordering::SeqCst);
                        let _gone = tell.send(answer);
                    }));
                }
                SILENT => {
                    let memory = node.memory.lock().expect("no panic").clone();
                    let answer = memory.call(steps).await;
                    node.kept_back.lock().expect("no panic").push((tell, answer));
                }
                _ => {
                    let memory = node.memory.lock().expect("no panic").clone();
                    return memory.call(steps).await;
                }
            }
            let Ok(answer) = told.await else { return pending().await };
            node.given.fetch_add(1, Ordering::SeqCst);
            answer
        })
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a Key>,
        limit: usize,
    ) -> Answer<'a, Vec<(Key, Inspection)>> {
        Box::pin(async move {
            let memory = self.0.memory.lock().expect("no panic").clone();
            memory.list(prefix, after, limit).await
        })
    }

    fn inbox(&self) -> Answer<'_, Option<Inbox>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    fn links(&self) -> Option<watch::Receiver<Links>> {
        None
    }

    fn identity(&self) -> Answer<'_, Identity> {
        Box::pin(async {
            match self.0.state.load(Ordering::SeqCst) {
                UP => Ok(self.0.identity.lock().expect("no panic").clone()),
                _ => Err(StoreError {
                    class: StoreErrorClass::Transient,
                    message: "connection refused".into(),
                    may_have_run: false,
                    source: None,
                }),
            }
        })
    }

    fn data(&self) -> Option<&dyn DataServer> {
        None
    }

    fn examine(&self, _ttl: Duration) -> Examination<'_> {
        Box::pin(std::future::ready(Vec::new()))
    }
}

pub(crate) fn nodes(count: usize) -> Vec<Arc<Node>> {
    (0..count).map(Node::new).collect()
}

/// Nobody waits so long for a node that is well, and a node that is stopped costs no more.
const NODE_TIMEOUT: Duration = Duration::from_secs(4);

pub(crate) fn options() -> QuorumOptions {
    QuorumOptions::default().with_node_timeout(NODE_TIMEOUT)
}

pub(crate) async fn quorum(nodes: &[Arc<Node>]) -> Quorum {
    quorum_with(nodes, options()).await
}

pub(crate) async fn quorum_with(nodes: &[Arc<Node>], options: QuorumOptions) -> Quorum {
    let handle = |node: &Arc<Node>| Arc::new(Handle(Arc::clone(node))) as Arc<dyn Store>;
    let stores = nodes.iter().map(handle).collect();
    Quorum::open(stores, machine(), options).await.expect("a majority answers")
}

/// One client's locks over the nodes.
pub(crate) async fn locks(nodes: &[Arc<Node>]) -> Locks {
    Locks::over(Arc::new(quorum(nodes).await), machine(), unhurried())
}

/// The nodes' limit is what decides, and no pause of a busy machine.
fn unhurried() -> LocksOptions {
    LocksOptions::default().with_store_timeout(4 * PATIENCE)
}

/// The same, where whoever waits for a node that is silent waits longer than any test.
pub(crate) async fn patient_locks(nodes: &[Arc<Node>]) -> Locks {
    let quorum = quorum_with(nodes, options().with_node_timeout(4 * PATIENCE)).await;
    Locks::over(Arc::new(quorum), machine(), unhurried())
}

/// Waits for a condition.
pub(crate) async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !condition().await {
        assert!(started.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        tokio::time::sleep(ms(2)).await;
    }
}

/// Waits until every node has a holder of the key. A caller is answered when a majority has it, and
/// the request to another node may be on its way still.
pub(crate) async fn until_held(nodes: &[Arc<Node>]) {
    for node in nodes {
        let what = format!("a holder at node {}", node.number);
        until(&what, async || !node.inspect("key").await.holders.is_empty()).await;
    }
}

/// Waits until no node has anything of anybody under the key.
pub(crate) async fn until_bare(nodes: &[Arc<Node>], key: &str) {
    for node in nodes {
        let what = format!("nothing at node {}", node.number);
        until(&what, async || node.inspect(key).await.holders.is_empty()).await;
    }
}
