//! Services that take no script without the names of its keys, as some managed ones and proxies do:
//! real nodes behind proxies that refuse such calls.

use std::collections::HashSet;

use tenure::protocol::{Op, Reply};
use tenure::store::{Redis, Store};
use tenure::{ErrorKind, runtime};
use tenure_testkit::{Call, Cluster, Direction, Fate, Fault, Flavour, Flow, Node, Which, slot_of};

use super::fronts::Fronts;
use crate::steps::{claim, release, step};
use crate::world::{acquire, connect, take, unhurried, until, within};

/// The words of services.
const REFUSALS: [&str; 3] = [
    "ERR Lua scripts without any input keys are not supported.",
    "ERR bad lua script for redis cluster, all the keys that the script uses should be passed \
     using the KEYS array",
    "CROSSSLOT Keys in request don't hash to the same slot",
];
/// How many slots a call is about.
const SLOTS: usize = 8;

/// Each node refuses scripts without keys from now on.
fn refuse(cluster: &Cluster, fronts: &Fronts, refusal: &'static str) -> Vec<Fault> {
    let refuse = |node| {
        let is_meant = |call: &Call| {
            let is_script = matches!(call.name().as_str(), "EVAL" | "EVALSHA");
            is_script && call.words.get(2).is_some_and(|count| count == "0")
        };
        fronts.of(node).on(Which::every(is_meant), Fate::Refuse(refusal))
    };
    cluster.nodes().iter().map(refuse).collect()
}

/// Keys of the first node, each of another slot.
fn keys(cluster: &Cluster) -> Vec<String> {
    let (first, mut seen) = (cluster.nodes()[0].id(), HashSet::new());
    let mut names = (0..).map(|number| format!("declared {number}"));
    let mut is_wanted =
        |key: &String| cluster.master_for(key).id() == first && seen.insert(slot_of(key));
    (0..SLOTS).map(|_| names.find(&mut is_wanted).expect("a key")).collect()
}

/// A master that does not have a key.
fn elsewhere<'a>(cluster: &'a Cluster, key: &str) -> &'a Node {
    let id = cluster.master_for(key).id().to_owned();
    cluster.masters().find(|node| node.id() != id).expect("another")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_wants_the_names_of_keys_is_sent_a_call_for_each_slot_from_then_on() {
    for (flavour, refusal) in Flavour::ALL.into_iter().cycle().zip(REFUSALS) {
        let cluster = Cluster::of(flavour).start();
        let fronts = Fronts::before(&cluster);
        let faults = refuse(&cluster, &fronts, refusal);
        let machine = runtime::machine().expect("the machine's runtime starts");
        let store = Redis::open(&unhurried(&fronts.url()), machine).await.expect("connects");
        let keys = keys(&cluster);
        let call = async |op: Op| {
            let steps = keys.iter().map(|key| step(key, op.clone())).collect();
            within("an answer", store.call(steps)).await.expect("an answer")
        };
        let granted = call(Op::Acquire(claim(1, 1))).await;
        assert!(granted.iter().all(|r| matches!(r, Reply::Granted { .. })), "{granted:?}");
        assert_eq!(faults[0].strikes(), 1);
        // All calls are under way before any is answered.
        let proxy = fronts.of(&cluster.nodes()[0]);
        let before = proxy.count_of("EVALSHA");
        proxy.set_flow(Direction::ToClient, Flow::Stalled);
        let all_sent = async {
            until("calls", async || proxy.count_of("EVALSHA") == before + SLOTS as u64).await;
            proxy.set_flow(Direction::ToClient, Flow::Open);
        };
        let (released, ()) = tokio::join!(call(release(1)), all_sent);
        assert!(released.iter().all(|reply| *reply == Reply::Released), "{released:?}");
        assert_eq!(faults[0].strikes(), 1, "it was tried again");
    }
}

/// A node takes the names of keys that are all still to come as little: the call waits for them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_on_its_way_is_waited_for_at_nodes_that_want_the_names_of_keys() {
    for (flavour, refusal) in Flavour::ALL.into_iter().cycle().zip(REFUSALS) {
        let cluster = Cluster::of(flavour).start();
        let fronts = Fronts::before(&cluster);
        let faults = refuse(&cluster, &fronts, refusal);
        let locks = connect(&format!("{}?call_timeout=20s", fronts.url())).await;
        let half = cluster.begin_move(slot_of("asked"), elsewhere(&cluster, "asked"));
        let taken = tokio::spawn({
            let locks = locks.clone();
            async move { take(&locks, "asked").await }
        });
        until("a refusal", async || faults.iter().any(|fault| fault.strikes() > 0)).await;
        tokio::task::block_in_place(|| half.finish());
        let guard = within("the lock", taken).await.expect("no panic");
        guard.release().await.expect("released");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_loses_no_call_at_nodes_that_want_the_names_of_keys() {
    for (flavour, refusal) in Flavour::ALL.into_iter().cycle().zip(REFUSALS) {
        let cluster = Cluster::of(flavour).start();
        let fronts = Fronts::before(&cluster);
        let faults = refuse(&cluster, &fronts, refusal);
        let locks = connect(&fronts.url()).await;
        let tasks: Vec<_> = (0..64)
            .map(|task| {
                let mutex = locks.mutex(format!("declared {task}"));
                tokio::spawn(async move {
                    let mut last = None;
                    for _ in 0..20 {
                        let guard = acquire(&mutex).await;
                        assert!(last < Some(guard.fence()));
                        last = Some(guard.fence());
                        guard.release().await.expect("released");
                    }
                })
            })
            .collect();
        for task in tasks {
            within("the end", task).await.expect("no panic");
        }
        let strikes: u64 = faults.iter().map(Fault::strikes).sum();
        // Calls that were under way at the same time are refused as well.
        assert!((1..=12).contains(&strikes), "{strikes}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_guard_is_refused_at_nodes_that_want_the_names_of_keys() {
    for (flavour, refusal) in Flavour::ALL.into_iter().cycle().zip(REFUSALS) {
        let cluster = Cluster::of(flavour).start();
        let fronts = Fronts::before(&cluster);
        let _faults = refuse(&cluster, &fronts, refusal);
        let url = format!("{}?restart_guard=2s", fronts.url());
        let error = tenure::connect(&unhurried(&url)).await.expect_err("it cannot work");
        assert_eq!(error.kind(), ErrorKind::Config, "{error}");
        assert!(error.to_string().contains("restart_guard"), "{error}");
    }
}
