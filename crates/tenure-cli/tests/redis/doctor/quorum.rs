//! Quorums: how many nodes count, and the findings of each.

use std::time::Duration;

use tenure_testkit::{Direction, Flavour, Proxy, Server, wait_until};

use super::{RUNNING, bad, durable, examined, places, reads_the_same};

#[test]
fn a_quorum_counts_its_nodes_and_examines_each() {
    for flavour in Flavour::ALL {
        let nodes = [(); 3].map(|()| durable(flavour).start());
        let urls: Vec<_> = nodes.iter().map(Server::url).collect();
        let quorum = format!("quorum:{}", urls.join(" "));
        let (code, of, report) = examined(&quorum, &[]);
        // By its default max_ttl of 5 minutes, which no URL names.
        assert_eq!((code, bad(&of)), (1, vec![RUNNING]), "{flavour}: {report}");
        assert_eq!(places(&report, "restart-guard").len(), 3, "{report}");
        assert!(!report.to_string().contains("is in the URL"), "{report}");
        let short = format!("{quorum} ?max_ttl=1s");
        let ended = || {
            let (code, of, _) = examined(&short, &["--ttl", "1s"]);
            (code, bad(&of).is_empty()) == (0, true)
        };
        wait_until("the guard of each node has ended", ended);
        let places = report["findings"].as_array().expect("a list").iter();
        let roles = places.filter(|finding| finding["about"] == "role");
        assert_eq!(roles.count(), 3, "{report}");
        nodes[2].kill9();
        let (code, of, report) = examined(&quorum, &[]);
        assert_eq!((code, &*of["nodes"]), (1, "warning"), "{flavour}: {report}");
        assert!(report.to_string().contains("2 of 3 nodes count"), "{report}");
        nodes[1].kill9();
        let (code, _, report) = examined(&quorum, &["--store-timeout", "2s"]);
        assert_eq!((code, &report["worst"]), (69, &"error".into()), "{flavour}: {report}");
        let twice = format!("quorum:{} {} {}", urls[0], urls[0], urls[1]);
        let (code, _, report) = examined(&twice, &["--store-timeout", "2s"]);
        assert_eq!(code, 78, "{flavour}: {report}");
        assert!(report.to_string().contains("same store"), "{report}");
    }
}

#[test]
fn a_fault_of_one_node_is_found_at_its_place() {
    for flavour in Flavour::ALL {
        let nodes = [(); 3].map(|()| durable(flavour).start());
        let quorum = format!("quorum:{}", nodes.each_ref().map(Server::url).join(" "));
        for setting in [["maxmemory", "100mb"], ["maxmemory-policy", "volatile-lru"]] {
            nodes[1].command(&["CONFIG", "SET", setting[0], setting[1]]);
        }
        let (code, of, report) = examined(&quorum, &[]);
        let expected = vec![("eviction", "error"), RUNNING];
        assert_eq!((code, bad(&of)), (1, expected), "{flavour}: {report}");
        assert_eq!(
            places(&report, "eviction"),
            [(&*format!("{}/0", nodes[1].url()), "error")],
            "{report}"
        );
        reads_the_same(&quorum, &[], (code, &report));
    }
}

#[test]
fn an_even_number_of_nodes_is_refused_with_the_reason() {
    for flavour in Flavour::ALL {
        let nodes = [(); 4].map(|()| durable(flavour).start());
        let quorum = format!("quorum:{}", nodes.each_ref().map(Server::url).join(" "));
        let (code, of, report) = examined(&quorum, &[]);
        assert_eq!((code, bad(&of)), (78, vec![("reachable", "error")]), "{flavour}: {report}");
        assert!(report.to_string().contains("an odd number of nodes"), "{report}");
        reads_the_same(&quorum, &[], (code, &report));
    }
}

/// Nobody sees by the names alone that a vote would count twice.
#[test]
fn two_names_of_one_server_are_refused_with_the_reason() {
    for flavour in Flavour::ALL {
        let nodes = [(); 2].map(|()| durable(flavour).start());
        let again = format!("redis://localhost:{}", nodes[1].port());
        let quorum = format!("quorum:{} {again}", nodes.each_ref().map(Server::url).join(" "));
        refused_as_the_same(&quorum);
    }
}

/// The quorum is opened by its other nodes.
#[test]
fn two_names_of_one_server_are_found_if_the_second_is_slow() {
    for flavour in Flavour::ALL {
        let nodes = [(); 2].map(|()| durable(flavour).start());
        let again = Proxy::to(nodes[1].address());
        again.set_delay(Direction::ToClient, Duration::from_millis(500));
        let names = nodes.each_ref().map(Server::url).join(" ");
        refused_as_the_same(&format!("quorum:{names} {}", again.url()));
    }
}

/// Whichever node is the last to answer: at the opening, or after it.
fn refused_as_the_same(quorum: &str) {
    let (code, of, report) = examined(quorum, &[]);
    assert_eq!(code, 78, "{report}");
    let is_it = |found: &(&str, &str)| matches!(found, ("reachable" | "nodes", "error"));
    assert!(bad(&of).iter().any(is_it), "{report}");
    assert!(report.to_string().contains("it is the same store as node"), "{report}");
}
