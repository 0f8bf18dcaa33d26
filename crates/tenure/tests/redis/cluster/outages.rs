//! Nodes that fall silent, move, or announce addresses that lead nowhere: waits for them end, and
//! the locks of other nodes do not suffer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tenure::protocol::{Op, Reply};
use tenure::store::{Redis, Store};
use tenure::{ErrorKind, Guard, LostReason, Renewal, runtime};
use tenure_testkit::{Cluster, ClusterOptions, Flavour, Node, slot_of};

use super::fronts::Fronts;
use crate::steps::{claim, step};
use crate::world::{
    acquire, channels, connect, granted, hurried, most_attempts, ms, take, until, until_waiting,
    waiting, within,
};

/// Long enough for a silent node to be waited for several times, and for leases to end that nobody
/// renews.
const LONG: Duration = Duration::from_secs(12);
const TTL: Duration = Duration::from_secs(8);
const CROWD: usize = 40;

/// No node takes the place of another by itself.
fn unattended(flavour: Flavour) -> ClusterOptions {
    Cluster::of(flavour).with_partial_coverage().with_node_timeout(ms(60_000))
}

/// So many keys of a node.
fn keys_of(cluster: &Cluster, node: &Node, name: &str, count: usize) -> Vec<String> {
    let names = (0..).map(|number| format!("{name} {number}"));
    names.filter(|key| cluster.master_for(key).id() == node.id()).take(count).collect()
}

/// All leases of a process are renewed together. Those of other nodes do not wait for a node that
/// does not answer, and nor do new ones.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_node_costs_the_locks_of_others_nothing() {
    for flavour in Flavour::ALL {
        let cluster = unattended(flavour).start();
        let locks = hurried(&cluster.url()).await;
        let mut held: Vec<Guard> = Vec::new();
        let mut free = Vec::new();
        for node in cluster.nodes() {
            let keys = keys_of(&cluster, node, "outage", 2);
            let mutex = locks.mutex(&keys[0]).with_ttl(TTL);
            held.push(acquire(&mutex.with_renewal(Renewal::Every(ms(500)))).await);
            free.push(keys[1].clone());
        }
        cluster.nodes()[0].stop();
        let stopped = Instant::now();
        while stopped.elapsed() < LONG {
            for guard in &held[1..] {
                guard.check().unwrap_or_else(|e| panic!("after {:?}: {e}", stopped.elapsed()));
            }
            for key in &free[1..] {
                take(&locks, key).await.release().await.expect("released");
            }
            tokio::time::sleep(ms(50)).await;
        }
        assert_eq!(within("the loss", held[0].lost()).await, LostReason::Expired);
        let error = within("an answer", locks.mutex(&*free[0]).try_acquire()).await;
        assert_eq!(error.expect_err("no answer").kind(), ErrorKind::Unavailable);
        cluster.nodes()[0].cont();
        acquire(&locks.mutex(&*free[0])).await.release().await.expect("released");
    }
}

/// One half of a lock is here and the other half there. Steps on other keys that travel with its
/// own do not wait for the end of that, and a list is not told without it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_that_stays_half_way_costs_the_other_slots_of_its_node_nothing() {
    for flavour in Flavour::ALL {
        let cluster = unattended(flavour).start();
        // A call that waits does so for longer than this test.
        let patient = format!("{}?call_timeout=120s", cluster.url());
        let machine = runtime::machine().expect("the machine's runtime starts");
        let store = Redis::open(&patient, machine).await.expect("connects");
        let locks = connect(&patient).await;
        let hasty = hurried(&format!("{}?call_timeout=1s", cluster.url())).await;
        let [from, to] = [&cluster.nodes()[0], &cluster.nodes()[1]];
        let keys = keys_of(&cluster, from, "half", 2);
        // A renewal would change the form of the lock, perhaps in the middle of a list.
        let mutex = locks.mutex(&*keys[0]).with_ttl(ms(60_000)).with_renewal(Renewal::Off);
        let guard = acquire(&mutex).await;
        let half = cluster.begin_move(slot_of(&keys[0]), to);
        let steps = keys.iter().map(|key| step(key, Op::Acquire(claim(1, 1)))).collect();
        let replies = within("an answer", store.call(steps)).await.expect("an answer");
        assert!(matches!(&*replies, [Reply::Unknown(_), Reply::Granted { .. }]), "{replies:?}");
        let error = hasty.list("half", None, 10).await.expect_err("a lock that nobody can see");
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        half.finish();
        assert_eq!(locks.list("half", None, 10).await.expect("a list").len(), 2);
        guard.release().await.expect("released");
    }
}

/// A waiter hears of its grant from another node when the one that told it so far falls silent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wake_ups_come_from_another_node_when_theirs_falls_silent() {
    for flavour in Flavour::ALL {
        let cluster = unattended(flavour).start();
        let (locks, rival) = (connect(&cluster.url()).await, hurried(&cluster.url()).await);
        let listened_at = |node: &Node| node.runs() && channels(node) > 0;
        let key = &keys_of(&cluster, &cluster.nodes()[2], "told", 1)[0];
        let guard = take(&locks, key).await;
        let waiter = waiting(rival.mutex(key));
        until_waiting(&locks, key, 1).await;
        let listens = |node: &&Node| listened_at(node);
        until("a subscription", async || cluster.nodes().iter().any(listened_at)).await;
        let silent = cluster.nodes().iter().find(listens).expect("it listens");
        silent.stop();
        until("another subscription", async || cluster.nodes().iter().any(listened_at)).await;
        silent.cont();
        guard.release().await.expect("released");
        granted(waiter).await.release().await.expect("released");
    }
}

/// A node is away for ten seconds while a crowd asks for its locks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_away_is_dialled_a_few_times_however_many_ask() {
    for flavour in Flavour::ALL {
        let cluster = unattended(flavour).start();
        let fronts = Fronts::before(&cluster);
        let url = format!("{}?call_timeout=250ms&connect_timeout=500ms", fronts.url());
        let locks = hurried(&url).await;
        let node = &cluster.nodes()[0];
        let keys = keys_of(&cluster, node, "away", CROWD);
        acquire(&locks.mutex(&*keys[0])).await.release().await.expect("released");
        let is_over = Arc::new(AtomicBool::new(false));
        let crowd: Vec<_> = keys
            .iter()
            .map(|key| {
                let (mutex, is_over) = (locks.mutex(&**key), Arc::clone(&is_over));
                tokio::spawn(async move {
                    loop {
                        let was_over = is_over.load(Ordering::Relaxed);
                        match mutex.try_acquire().await {
                            // The one before may not have been given back yet.
                            Ok(guard) => drop(guard),
                            Err(error) => {
                                assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
                                continue;
                            }
                        }
                        if was_over {
                            return;
                        }
                        tokio::time::sleep(ms(20)).await;
                    }
                })
            })
            .collect();
        tokio::time::sleep(ms(300)).await;
        let links = fronts.of(node).links();
        let killed = Instant::now();
        node.kill9();
        tokio::time::sleep(ms(2000)).await;
        let early = fronts.of(node).links() - links;
        // Five in two seconds; a busy machine makes the two seconds longer.
        let early_max = most_attempts(killed);
        tokio::time::sleep(ms(8000)).await;
        let late = fronts.of(node).links() - links;
        // Sixteen in ten seconds: the waits are between half a second and one.
        let late_max = 8 * killed.elapsed().as_secs().div_ceil(5);
        assert!(late <= late_max, "{late} attempts in {:?}", killed.elapsed());
        node.restart();
        is_over.store(true, Ordering::Relaxed);
        println!("{flavour}: {early} attempts in 2 s, {late} in 10 s");
        assert!(early <= early_max && late >= 1, "{early} in the first 2 s, {late} in all");
        for task in crowd {
            within("a task of the crowd", task).await.expect("no panic");
        }
    }
}

/// A node whose address is another one from now on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_comes_back_at_another_port_is_found_there() {
    for flavour in Flavour::ALL {
        let cluster = unattended(flavour).start();
        let fronts = Fronts::before(&cluster);
        let locks = connect(&fronts.url()).await;
        let node = &cluster.nodes()[0];
        let key = &keys_of(&cluster, node, "port", 1)[0];
        let guard = acquire(&locks.mutex(key)).await;
        let moved = fronts.move_away(&cluster, node);
        within("a renewal", guard.renewed(guard.deadline())).await;
        guard.release().await.expect("released");
        take(&locks, key).await.release().await.expect("released");
        assert!(moved.links() > 0);
    }
}

/// Host names instead of addresses: of one node it leads nowhere, one has none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_with_a_host_name_that_leads_nowhere_costs_the_others_nothing() {
    for flavour in Flavour::ALL {
        let cluster = unattended(flavour).with("cluster-preferred-endpoint-type hostname").start();
        for (node, name) in cluster.nodes().iter().zip(["nowhere.invalid", "localhost", ""]) {
            node.command(&["CONFIG", "SET", "cluster-announce-hostname", name]);
        }
        for node in cluster.nodes() {
            until("host names", async || {
                let nodes = node.command(&["CLUSTER", "NODES"]).text().expect("a text");
                nodes.contains("nowhere.invalid") && nodes.contains("localhost")
            })
            .await;
        }
        let locks = hurried(&cluster.url()).await;
        for node in &cluster.nodes()[1..] {
            let key = &keys_of(&cluster, node, "named", 1)[0];
            acquire(&locks.mutex(&**key)).await.release().await.expect("released");
        }
        let key = &keys_of(&cluster, &cluster.nodes()[0], "named", 1)[0];
        let error = within("an answer", locks.mutex(&**key).try_acquire()).await;
        let error = error.expect_err("it cannot be found");
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(!error.may_hold());
        assert!(error.to_string().contains("nowhere.invalid"), "{error}");
    }
}

/// Nodes that do not say where they are, as behind a load balancer: it is the host that was asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_tell_no_host_are_where_the_first_one_was_found() {
    for flavour in Flavour::ALL {
        let options = unattended(flavour);
        let cluster = options.with("cluster-preferred-endpoint-type unknown-endpoint").start();
        let seed = cluster.nodes()[0].address();
        let locks = connect(&format!("redis+cluster://{seed}")).await;
        for node in cluster.nodes() {
            let key = &keys_of(&cluster, node, "unknown", 1)[0];
            let guard = take(&locks, key).await;
            cluster.move_slot(
                slot_of(key),
                cluster.nodes().iter().find(|n| n.id() != node.id()).expect("another"),
            );
            guard.release().await.expect("released");
        }
    }
}
