//! Every way in which a node of a cluster turns a step away: one row each, with real nodes in that
//! state, which say by their own counts what they answered. A row says what callers are told while
//! the state lasts. Afterwards the lock is free again, and nothing is left of them.

use std::thread;

use tenure::protocol::{Op, Reply, State};
use tenure::store::{Redis, RedisOptions, Store};
use tenure::{DataCommand, ErrorKind, Locks, runtime};
use tenure_testkit::{Cluster, Failover, Flavour, Node, slot_of};

use super::cluster;
use crate::steps::{claim, release, step};
use crate::world::{connect, keys, ms, take, unhurried, until, within};

/// Limits of the links, so short that a state costs little.
const LIMITS: &str = "?call_timeout=2s&connect_timeout=2s";

/// The answer that a caller gets.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    Held,
    /// Nothing is held, for certain.
    Nothing,
    /// Nobody knows.
    MayHold,
}

use Told::{Held, MayHold, Nothing};

struct Handles {
    locks: Locks,
    store: Redis,
}

impl Handles {
    async fn open(url: &str) -> Self {
        let machine = runtime::machine().expect("the machine's runtime starts");
        let store = Redis::unopened(url, &machine, &RedisOptions::default()).expect("a good URL");
        Self { locks: connect(url).await, store }
    }
}

/// Handles that know a cluster as it was before it came into the state of a row.
struct Row<'a> {
    cluster: &'a Cluster,
    /// Where a state is to last for as long as it is waited for.
    hasty: Handles,
    /// Where callers get what they ask for.
    patient: Handles,
    /// Two keys of one master, in different slots of which nothing is known. The state concerns the
    /// first.
    key: String,
    beside: String,
}

impl<'a> Row<'a> {
    async fn of(cluster: &'a Cluster, name: &str) -> Self {
        let hasty = Handles::open(&format!("{}{LIMITS}", cluster.url())).await;
        let patient = Handles::open(&unhurried(&cluster.url())).await;
        let first = cluster.masters().next().expect("a master").id().to_owned();
        let mut all = (0..).map(|number| format!("{name} {number}"));
        let mut next = || all.find(|key| cluster.master_for(key).id() == first).expect("a key");
        let [key, beside, warm] = [next(), next(), next()];
        let row = Self { cluster, hasty, patient, key: warm, beside };
        // Each link is made, and the node knows the script.
        assert_eq!(row.alone("").await, Held);
        assert_eq!(row.both().await, [Held, Held]);
        take(&row.hasty.locks, &row.key).await.release().await.expect("released");
        assert_eq!(row.together().await, [Held, Held]);
        Self { key, ..row }
    }

    /// The node of both keys.
    fn node(&self) -> &'a Node {
        self.cluster.master_for(&self.key)
    }

    fn other(&self) -> &'a Node {
        let id = self.node().id().to_owned();
        self.cluster.masters().find(|node| node.id() != id).expect("another master")
    }

    /// Takes the key and gives it back. An error says `words`; without any, it can be had.
    async fn alone(&self, words: &str) -> Told {
        let handles = if words.is_empty() { &self.patient } else { &self.hasty };
        let answer = within("an answer", handles.locks.mutex(&*self.key).try_acquire()).await;
        let error = match answer {
            Ok(guard) => {
                guard.expect("it is free").release().await.expect("released");
                return Held;
            }
            Err(error) => error,
        };
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        let text = error.to_string();
        assert!(text.contains(words), "{words:?} is not in: {text}");
        // The store's own limits have ended it, not the engine's.
        assert!(!text.contains("did not answer in time"), "{text}");
        if error.may_hold() { MayHold } else { Nothing }
    }

    /// Takes both keys in one call, which can be had, and gives them back.
    async fn both(&self) -> [Told; 2] {
        self.asked_together(&self.patient.store).await
    }

    /// As [`both`](Self::both), in a state in which they cannot both be had.
    async fn together(&self) -> [Told; 2] {
        self.asked_together(&self.hasty.store).await
    }

    async fn asked_together(&self, store: &Redis) -> [Told; 2] {
        let call = |op: Op| {
            let steps = [&self.key, &self.beside].map(|key| step(key, op.clone()));
            within("an answer", store.call(steps.into()))
        };
        let told = match call(Op::Acquire(claim(1, 1))).await {
            Ok(replies) => [0, 1].map(|index| match &replies[index] {
                Reply::Granted { .. } => Held,
                Reply::Unknown(_) => MayHold,
                reply => panic!("{reply:?}"),
            }),
            Err(error) if error.may_have_run => [MayHold, MayHold],
            Err(_) => [Nothing, Nothing],
        };
        // If that fails too, the end of the row does it.
        let _later = call(release(1)).await;
        told
    }

    /// The state is over: the key can be had, and then nothing is left of it on any node.
    async fn ends(&self) {
        for key in [&self.key, &self.beside] {
            let free = async || {
                let steps = vec![step(key, release(1)), step(key, Op::Inspect)];
                let replies = self.patient.store.call(steps).await.unwrap_or_default();
                matches!(replies.last(), Some(Reply::Inspected(seen)) if seen.state == State::Free)
            };
            until("a lock that is free", free).await;
            take(&self.patient.locks, key).await.release().await.expect("released");
            for node in self.cluster.masters() {
                for (name, ttl) in keys(node).iter().filter(|(name, _)| name.contains(&**key)) {
                    let is_memory = name.ends_with(":record") || name.ends_with(":buried");
                    assert!(is_memory && *ttl > 0, "left: {name:?} for {ttl} ms");
                }
            }
        }
    }
}

/// A name of which a node has the slot.
fn name_at(cluster: &Cluster, node: &Node) -> String {
    let mut names = (0..).map(|number| format!("data {number}"));
    names.find(|name| cluster.master_for(name).id() == node.id()).expect("a name")
}

/// How many errors with this code the running nodes have answered.
fn answered(cluster: &Cluster, code: &str) -> u64 {
    let field = format!("errorstat_{code}");
    let of = |node: &Node| {
        let count = node.info(&field)?;
        count.strip_prefix("count=")?.parse::<u64>().ok()
    };
    cluster.nodes().iter().filter(|node| node.runs()).filter_map(of).sum()
}

/// Demands that some node answers this code to a call.
macro_rules! by {
    ($code:literal, $cluster:expr, $call:expr) => {{
        let before = answered($cluster, $code);
        let told = $call.await;
        assert!(answered($cluster, $code) > before, "nobody has answered {}", $code);
        told
    }};
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn moved() {
    for flavour in Flavour::ALL {
        let cluster = &*cluster(flavour).await;
        let row = Row::of(cluster, "moved").await;
        cluster.move_slot(slot_of(&row.key), row.other());
        assert_eq!(by!("MOVED", cluster, row.alone("")), Held);
        // Within a call of several slots the node says "non local key".
        assert_eq!(by!("MOVED", cluster, row.both()), [Held, Held]);
        row.ends().await;
    }
}

/// A replica sends every key to its master, also while it was one itself a moment ago.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_is_a_replica_by_now() {
    for flavour in Flavour::ALL {
        let cluster = &*cluster(flavour).await;
        let row = Row::of(cluster, "demoted").await;
        let replica = cluster.replicas_of(row.node()).next().expect("a replica");
        cluster.failover(replica, Failover::Planned);
        cluster.wait_until_agreed();
        assert_eq!(by!("MOVED", cluster, row.alone("")), Held);
        assert_eq!(row.both().await, [Held, Held]);
        row.ends().await;
    }
}

/// The slot is on its way, and nothing of it is where it was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ask() {
    for flavour in Flavour::ALL {
        let cluster = &*cluster(flavour).await;
        let row = Row::of(cluster, "ask").await;
        let half = cluster.begin_move(slot_of(&row.key), row.other());
        assert_eq!(by!("ASK", cluster, row.alone("")), Held);
        assert_eq!(by!("ASK", cluster, row.both()), [Held, Held]);
        half.cancel();
        row.ends().await;
    }
}

/// The slot is on its way, and a part of what the step needs is where it was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn try_again() {
    for flavour in Flavour::ALL {
        let cluster = &*cluster(flavour).await;
        let row = Row::of(cluster, "try again").await;
        assert_eq!(row.alone("").await, Held);
        let half = cluster.begin_move(slot_of(&row.key), row.other());
        assert_eq!(by!("TRYAGAIN", cluster, row.alone("moving keys")), Nothing);
        assert_eq!(by!("TRYAGAIN", cluster, row.together()), [MayHold, Held]);
        half.finish();
        row.ends().await;
    }
}

/// A slot that nobody serves, where the others are served all the same, and where they are not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cluster_down_for_a_slot() {
    for flavour in Flavour::ALL {
        let cluster = &*cluster(flavour).await;
        for (full_coverage, beside) in [("no", Held), ("yes", MayHold)] {
            let set = ["CONFIG", "SET", "cluster-require-full-coverage", full_coverage];
            cluster.nodes().iter().for_each(|node| _ = node.command(&set));
            let row = Row::of(cluster, &format!("unserved {full_coverage}")).await;
            let (node, slot) = (row.node(), slot_of(&row.key).to_string());
            for node in cluster.nodes() {
                node.command(&["CLUSTER", "DELSLOTS", &slot]);
            }
            let told = by!("CLUSTERDOWN", cluster, row.alone("serves the hash slot of this key"));
            assert_eq!(told, Nothing);
            assert_eq!(row.together().await, [MayHold, beside]);
            node.command(&["CLUSTER", "ADDSLOTS", &slot]);
            cluster.wait_until_agreed();
            row.ends().await;
        }
    }
}

/// A node has died, and without all slots the others serve none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cluster_down_as_a_whole() {
    for flavour in Flavour::ALL {
        let cluster = Cluster::of(flavour).with_node_timeout(ms(1_000)).start();
        let row = Row::of(&cluster, "down").await;
        let dead = row.other();
        dead.kill9();
        until("a cluster that is down", async || {
            let info = row.node().command(&["CLUSTER", "INFO"]).text().expect("a text");
            info.contains("cluster_state:fail")
        })
        .await;
        assert_eq!(by!("CLUSTERDOWN", &cluster, row.alone("partly down")), Nothing);
        assert_eq!(by!("CLUSTERDOWN", &cluster, row.together()), [MayHold, MayHold]);
        dead.restart();
        cluster.wait_until_agreed();
        row.ends().await;
    }
}

/// A replica that may not tell what it knows, since its master is gone. Only a call without names
/// of keys hears that: any other is sent to the master.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn master_down() {
    for flavour in Flavour::ALL {
        let cluster = Cluster::of(flavour)
            .with_replicas(1)
            .with("replica-serve-stale-data no")
            .with_node_timeout(ms(60_000))
            .start();
        let row = Row::of(&cluster, "master down").await;
        let master = cluster.replicas_of(row.node()).next().expect("a replica");
        cluster.failover(master, Failover::Planned);
        cluster.wait_until_agreed();
        master.kill9();
        assert_eq!(by!("MASTERDOWN", &cluster, row.together()), [Nothing, Nothing]);
        assert_eq!(by!("MOVED", &cluster, row.alone("nobody listens")), Nothing);
        master.restart();
        cluster.wait_until_agreed();
        row.ends().await;
    }
}

/// A node that reads its data from disk, for seconds, and has not joined the others yet. Callers
/// with time wait for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn loading() {
    const FILL: &str = "for number = 1, 3000 do \
                        redis.call('SET', '{' .. KEYS[1] .. '}' .. number, 1) end";
    for flavour in Flavour::ALL {
        let cluster = Cluster::of(flavour)
            .with("key-load-delay 2000")
            .with("loading-process-events-interval-bytes 1024")
            .with_node_timeout(ms(60_000))
            .start();
        let row = Row::of(&cluster, "loading").await;
        let patient = connect(&format!("{}?call_timeout=30s", cluster.url())).await;
        take(&patient, &row.beside).await.release().await.expect("released");
        let node = row.node();
        let data = name_at(&cluster, node);
        node.command(&["EVAL", FILL, "1", &data]);
        let runtime = tokio::runtime::Handle::current();
        let meanwhile = async {
            let loads = || node.try_command(&["PING"]).is_ok_and(|reply| reply.is_error("LOADING"));
            until("a node that loads", async || loads()).await;
            assert_eq!(by!("CLUSTERDOWN", &cluster, row.alone("partly down")), Nothing);
            // A node that loads answers late: a request may be under way when the time is over.
            let told = by!("LOADING", &cluster, row.together());
            assert!([[Nothing, Nothing], [MayHold, MayHold]].contains(&told), "{told:?}");
            take(&patient, &row.key).await.release().await.expect("released");
        };
        tokio::task::block_in_place(|| {
            thread::scope(|scope| {
                scope.spawn(|| node.restart());
                runtime.block_on(meanwhile);
            });
        });
        row.ends().await;
    }
}

/// Too few replicas for a node that insists on them: it says so at the first write.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_replicas() {
    for flavour in Flavour::ALL {
        let cluster = &*cluster(flavour).await;
        let row = Row::of(cluster, "no replicas").await;
        let insist = |count| row.node().command(&["CONFIG", "SET", "min-replicas-to-write", count]);
        insist("9");
        assert_eq!(by!("NOREPLICAS", cluster, row.alone("min-replicas-to-write")), MayHold);
        assert_eq!(by!("NOREPLICAS", cluster, row.together()), [MayHold, MayHold]);
        insist("0");
        row.ends().await;
    }
}

/// One node has forgotten the script.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_script() {
    for flavour in Flavour::ALL {
        let cluster = &*cluster(flavour).await;
        let row = Row::of(cluster, "no script").await;
        row.node().command(&["SCRIPT", "FLUSH"]);
        assert_eq!(by!("NOSCRIPT", cluster, row.alone("")), Held);
        row.node().command(&["SCRIPT", "FLUSH"]);
        assert_eq!(by!("NOSCRIPT", cluster, row.both()), [Held, Held]);
        row.ends().await;
    }
}

/// No step names keys of two slots. Data that is written under a lock may be elsewhere, and is
/// not written then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cross_slot() {
    for flavour in Flavour::ALL {
        let cluster = &*cluster(flavour).await;
        let row = Row::of(cluster, "cross slot").await;
        let guard = take(&row.patient.locks, &row.key).await;
        let data = name_at(cluster, row.other());
        let error = guard.write([DataCommand::from(["SET", &*data, "7"])]).await;
        let error = error.expect_err("another node has it");
        assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
        assert!(error.to_string().contains("non local key"), "{error}");
        assert_eq!(row.other().command(&["EXISTS", &data]).int(), 0);
        guard.release().await.expect("released");
        assert_eq!(row.both().await, [Held, Held]);
        assert_eq!(answered(cluster, "CROSSSLOT"), 0);
        row.ends().await;
    }
}
