//! Clusters: slots, masters that are away, and the findings of each master.

use std::time::Duration;

use tenure::store::Rights;
use tenure_testkit::{Cluster, ClusterOptions, Flavour, Node, wait_until};

use super::{RUNNING, bad, examined, places, reads_the_same};

/// The timeout of nodes of which no test waits for a failure: a pause of the machine is none.
const UNHURRIED: Duration = Duration::from_secs(60);

/// Three masters with one replica each, which keep and copy what they are told, and a user with the
/// least rights.
fn good(flavour: Flavour) -> Cluster {
    let rights = format!("on >PASSWORD {}", Rights::default().in_cluster().rule());
    let options = durable(flavour).with_replicas(1).with("min-replicas-to-write 1");
    options.with_node_timeout(UNHURRIED).with_user("somebody", &rights).start()
}

fn durable(flavour: Flavour) -> ClusterOptions {
    Cluster::of(flavour).with("appendonly yes")
}

fn url_of_user(cluster: &Cluster) -> String {
    format!("{}?ack=1", cluster.url().replace("://", "://somebody:PASSWORD@"))
}

/// The name of a node in findings.
fn name(node: &Node) -> String {
    format!("redis://{}/0", node.address())
}

#[test]
fn a_good_cluster_has_no_finding() {
    for flavour in Flavour::ALL {
        let cluster = good(flavour);
        for parameters in ["", "&restart_guard=5m"] {
            let url = format!("{}{parameters}", url_of_user(&cluster));
            let (code, of, report) = examined(&url, &[]);
            if parameters.is_empty() {
                assert_eq!((code, bad(&of)), (0, vec![]), "{flavour}: {report}");
                assert_eq!(report["worst"], "ok", "{flavour}: {report}");
            } else {
                // The masters are young: nothing new is granted yet.
                assert_eq!((code, bad(&of)), (1, vec![RUNNING]), "{flavour}: {report}");
                assert_eq!(places(&report, "restart-guard").len(), 3, "{report}");
            }
            for about in ["nodes", "slots", "rights", "pushes", "eviction", "replicas", "lag"] {
                assert_eq!(of.get(about).map(String::as_str), Some("ok"), "{about}: {report}");
            }
            let findings = report["findings"].as_array().expect("a list").iter();
            let masters = findings.filter(|finding| finding["about"] == "role");
            assert_eq!(masters.count(), 3, "{report}");
            reads_the_same(&url, &[], (code, &report));
        }
        // Without the guard that others use there.
        let (code, of, report) = examined(&url_of_user(&cluster), &[]);
        assert_eq!((code, bad(&of)), (1, vec![("restart-guard", "warning")]), "{report}");
    }
}

#[test]
fn a_fault_of_one_master_is_found_at_its_place() {
    for flavour in Flavour::ALL {
        let cluster = good(flavour);
        let url = url_of_user(&cluster);
        let node = &cluster.nodes()[1];
        let set = |name: &str, value: &str| {
            let done = node.command(&["CONFIG", "SET", name, value]);
            assert_eq!(done.to_string(), "OK", "{name} {value}");
        };
        let is_found = |about: &str, severity: &str, expected: &[&str]| {
            let (code, of, report) = examined(&url, &[]);
            let subjects: Vec<_> = bad(&of).into_iter().map(|(about, _)| about).collect();
            assert_eq!((code, &*subjects), (1, expected), "{flavour}: {report}");
            assert_eq!(places(&report, about), [(&*name(node), severity)], "{report}");
            reads_the_same(&url, &[], (code, &report));
        };
        set("maxmemory", "100mb");
        set("maxmemory-policy", "allkeys-lru");
        is_found("eviction", "error", &["eviction"]);
        set("maxmemory-policy", "noeviction");
        set("appendonly", "no");
        is_found("persistence", "warning", &["persistence", "uptime"]);
        set("appendonly", "yes");
        for right in ["wait", "asking", "hset", "cluster|slots"] {
            node.command(&["ACL", "SETUSER", "somebody", &format!("-{right}")]);
            // The map of slots is asked for at other nodes.
            is_found("rights", "error", &["rights"]);
            node.command(&["ACL", "SETUSER", "somebody", &format!("+{right}")]);
        }
        set("min-replicas-to-write", "0");
        let (code, of, report) = examined(&url, &[]);
        assert_eq!((code, &*of["replicas"]), (0, "note"), "{flavour}: {report}");
        set("min-replicas-to-write", "1");
        let (code, of, report) = examined(&url.replace("?ack=1", ""), &[]);
        assert_eq!((code, bad(&of)), (1, vec![("replicas", "warning")]), "{report}");
        assert_eq!(places(&report, "replicas").len(), 3, "{report}");
    }
}

#[test]
fn a_master_without_a_replica_is_found() {
    for flavour in Flavour::ALL {
        let cluster = durable(flavour).with_node_timeout(UNHURRIED).start();
        let (code, of, report) = examined(&cluster.url(), &[]);
        assert_eq!((code, bad(&of)), (1, vec![("replicas", "warning")]), "{flavour}: {report}");
        assert!(report.to_string().contains("nobody serves its slots"), "{report}");
        reads_the_same(&cluster.url(), &[], (code, &report));
    }
}

/// Takes these slots from all nodes. A message of their owner that is under way gives them to a
/// node again, so it looks until none has any.
fn drop_slots(cluster: &Cluster, first: i64, last: i64) {
    wait_until("the slots are nobody's", || {
        let mut dropped = 0;
        for node in cluster.nodes() {
            for range in node.command(&["CLUSTER", "SLOTS"]).list() {
                let range = range.list();
                let (from, to) = (range[0].int().max(first), range[1].int().min(last));
                if from <= to {
                    let [from, to] = [from, to].map(|slot| slot.to_string());
                    let done = node.command(&["CLUSTER", "DELSLOTSRANGE", &from, &to]);
                    assert_eq!(done.to_string(), "OK");
                    dropped += 1;
                }
            }
        }
        dropped == 0
    });
}

/// Waits until each of these nodes says so.
fn wait_for_state<'a>(nodes: impl IntoIterator<Item = &'a Node>, state: &str) {
    for node in nodes {
        wait_until("the state of the cluster is known", || {
            let info = node.command(&["CLUSTER", "INFO"]).text().unwrap_or_default();
            info.contains(&format!("cluster_state:{state}"))
        });
    }
}

#[test]
fn slots_that_nobody_serves_are_found() {
    for flavour in Flavour::ALL {
        let options = durable(flavour).with_partial_coverage();
        let cluster = options.with_node_timeout(UNHURRIED).start();
        drop_slots(&cluster, 100, 109);
        let (code, of, report) = examined(&cluster.url(), &[]);
        let expected = vec![("replicas", "warning"), ("slots", "error")];
        assert_eq!((code, bad(&of)), (1, expected), "{flavour}: {report}");
        assert!(report.to_string().contains("(100-109)"), "{report}");
        reads_the_same(&cluster.url(), &[], (code, &report));
        drop_slots(&cluster, 0, 99);
        drop_slots(&cluster, 110, 16383);
        let (code, of, report) = examined(&cluster.url(), &[]);
        let expected = vec![("nodes", "error"), ("slots", "error")];
        assert_eq!((code, bad(&of)), (69, expected), "{flavour}: {report}");
    }
}

#[test]
fn a_cluster_that_is_down_for_some_missing_slots_is_found() {
    for flavour in Flavour::ALL {
        let cluster = durable(flavour).with_node_timeout(UNHURRIED).start();
        drop_slots(&cluster, 100, 109);
        wait_for_state(cluster.nodes(), "fail");
        let (code, of, report) = examined(&cluster.url(), &[]);
        assert_eq!((code, &*of["nodes"], &*of["slots"]), (69, "error", "error"), "{report}");
        assert!(report.to_string().contains("the cluster is down"), "{flavour}: {report}");
        reads_the_same(&cluster.url(), &[], (code, &report));
    }
}

#[test]
fn a_master_that_is_away_is_found_whichever_it_is() {
    for flavour in Flavour::ALL {
        for away in [0, 2] {
            let options = durable(flavour).with_partial_coverage();
            let cluster = options.with_node_timeout(UNHURRIED).start();
            let node = &cluster.nodes()[away];
            node.kill9();
            let (code, of, report) = examined(&cluster.url(), &[]);
            assert_eq!((code, &*of["nodes"]), (1, "warning"), "{flavour}: {report}");
            assert_eq!(places(&report, "reachable"), [(&*name(node), "error")], "{report}");
            assert!(report.to_string().contains("2 of 3 masters answer"), "{report}");
            reads_the_same(&cluster.url(), &[], (code, &report));
        }
        let cluster = durable(flavour).start();
        let [lost, left @ ..] = cluster.nodes() else { panic!("no nodes") };
        lost.kill9();
        wait_for_state(left, "fail");
        let (code, of, report) = examined(&cluster.url(), &[]);
        assert_eq!((code, &*of["nodes"]), (69, "error"), "{flavour}: {report}");
        left.iter().for_each(|node| node.kill9());
        let (code, of, report) = examined(&cluster.url(), &[]);
        assert_eq!((code, bad(&of)), (69, vec![("reachable", "error")]), "{flavour}: {report}");
    }
}
