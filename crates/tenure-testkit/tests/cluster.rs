//! The kit's clusters: they are whole when they start, and slots, roles and nodes change when told.

#![allow(clippy::disallowed_methods, reason = "real servers, real time")]

use std::time::Duration;

use tenure_testkit::{Client, Cluster, Failover, Flavour, Node, Reply, SLOTS, slot_of, wait_until};

fn word(text: &str) -> Reply {
    Reply::Simple(text.to_owned())
}

fn bytes(text: &str) -> Reply {
    Reply::Bulk(text.as_bytes().to_vec())
}

fn call(node: &Node, words: &[&str]) -> Reply {
    node.client().call(words).unwrap()
}

/// A call behind ASKING, on one connection.
fn asking(client: &mut Client, words: &[&str]) -> Reply {
    assert_eq!(client.call(&["ASKING"]).unwrap(), word("OK"));
    client.call(words).unwrap()
}

/// Another master than the owner of the slot.
fn other_than(cluster: &Cluster, slot: u16) -> &Node {
    let owner = cluster.master_of(slot);
    cluster.masters().find(|node| node.id() != owner.id()).unwrap()
}

#[test]
fn a_key_has_the_slot_that_servers_compute() {
    let cluster = Cluster::of(Flavour::Redis).with_masters(1).start();
    for key in ["a", "123456789", "", "{a}b", "{}b", "x{y}{z}", "{a", "a}b", "{{a}}", "schlüssel"]
    {
        let slot = cluster.nodes()[0].command(&["CLUSTER", "KEYSLOT", key]).int();
        assert_eq!(i64::from(slot_of(key)), slot, "{key:?}");
    }
}

#[test]
fn one_without_replicas_serves_every_slot_from_the_start() {
    for flavour in Flavour::ALL {
        let cluster = Cluster::of(flavour).start();
        assert_eq!(cluster.nodes().len(), 3);
        assert!(cluster.url().starts_with("redis+cluster://127.0.0.1:2"), "{}", cluster.url());
        assert_eq!(cluster.url().matches(',').count(), 2);
        for n in 0..30 {
            let key = n.to_string();
            assert_eq!(call(cluster.master_for(&key), &["SET", &key, "v"]), word("OK"));
            let moved = call(other_than(&cluster, slot_of(&key)), &["GET", &key]);
            let to = format!("MOVED {} {}", slot_of(&key), cluster.master_for(&key).address());
            assert_eq!(moved, Reply::Error(to));
        }
        assert_eq!(cluster.master_of(0).id(), cluster.nodes()[0].id());
        assert_eq!(cluster.master_of(SLOTS - 1).id(), cluster.nodes()[2].id());
    }
}

#[test]
fn replicas_are_linked_from_the_start_whatever_the_passwords() {
    for flavour in Flavour::ALL {
        let cluster = Cluster::of(flavour).with_replicas(1).with_password("secret").start();
        assert!(call(&cluster.nodes()[0], &["GET", "k"]).is_error("NOAUTH"));
        for (n, master) in cluster.nodes()[..3].iter().enumerate() {
            let replicas: Vec<_> = cluster.replicas_of(master).map(Node::id).collect();
            assert_eq!(replicas, [cluster.nodes()[3 + n].id()]);
        }
        let (owner, slot) = (cluster.master_for("k"), slot_of("k"));
        let replica = cluster.replicas_of(owner).next().unwrap();
        owner.command(&["SET", "k", "v"]);
        assert_eq!(owner.command(&["WAIT", "1", "50000"]), Reply::Int(1));
        assert_eq!(replica.info("role").as_deref(), Some("slave"));
        // Keys move although the user `default` has a password.
        let to = other_than(&cluster, slot);
        cluster.move_slot(slot, to);
        assert_eq!(to.command(&["GET", "k"]), bytes("v"));
    }
}

#[test]
fn a_slot_moves_with_its_keys() {
    for flavour in Flavour::ALL {
        let cluster = Cluster::of(flavour).start();
        let (slot, keys) = (slot_of("{t}"), (0..25).map(|n| format!("{{t}}{n}")));
        let keys: Vec<_> = keys.collect();
        let (from, to) = (cluster.master_of(slot), other_than(&cluster, slot));
        for key in &keys {
            assert_eq!(call(from, &["SET", key, "v"]), word("OK"));
        }
        cluster.move_slot(slot, to);
        assert_eq!(cluster.master_of(slot).id(), to.id());
        assert!(keys.iter().all(|key| call(to, &["GET", key]) == bytes("v")));
        assert!(call(from, &["GET", &keys[0]]).is_error("MOVED"));
        cluster.move_slot(slot, to);
        assert_eq!(cluster.master_of(slot).id(), to.id(), "it is there already");
    }
}

#[test]
fn a_slot_half_way_asks_and_says_try_again() {
    for flavour in Flavour::ALL {
        let cluster = Cluster::of(flavour).start();
        let slot = slot_of("{t}");
        for key in ["{t}1", "{t}2", "{t}3"] {
            cluster.master_of(slot).command(&["SET", key, key]);
        }
        let half = cluster.begin_move(slot, other_than(&cluster, slot));
        let (from, to) = (half.from(), half.to());
        half.carry_keys(&["{t}1"]);
        assert_eq!(call(from, &["GET", "{t}2"]), bytes("{t}2"));
        assert!(call(from, &["GET", "{t}1"]).is_error("ASK "));
        assert!(call(to, &["GET", "{t}1"]).is_error("MOVED"));
        let mut client = to.client();
        assert_eq!(asking(&mut client, &["GET", "{t}1"]), bytes("{t}1"));
        assert!(call(from, &["MGET", "{t}1", "{t}2"]).is_error("TRYAGAIN"));
        assert!(asking(&mut client, &["MGET", "{t}1", "{t}2"]).is_error("TRYAGAIN"));
        assert_eq!(half.carry(1).len(), 1);
        half.finish();
        assert_eq!(call(to, &["MGET", "{t}1", "{t}2", "{t}3"]).list().len(), 3);
    }
}

#[test]
fn a_move_that_is_cancelled_leaves_all_keys_where_they_were() {
    for flavour in Flavour::ALL {
        let cluster = Cluster::of(flavour).start();
        let slot = slot_of("{t}");
        for key in ["{t}1", "{t}2"] {
            cluster.master_of(slot).command(&["SET", key, key]);
        }
        let half = cluster.begin_move(slot, other_than(&cluster, slot));
        let from = half.from();
        half.carry_keys(&["{t}1"]);
        half.cancel();
        assert_eq!(call(from, &["MGET", "{t}1", "{t}2"]).list(), [bytes("{t}1"), bytes("{t}2")]);
        assert_eq!(cluster.master_of(slot).id(), from.id());
    }
}

#[test]
fn a_replica_takes_over_as_it_is_told() {
    for flavour in Flavour::ALL {
        let cluster = Cluster::of(flavour).with_replicas(1).start();
        for how in [Failover::Planned, Failover::Force, Failover::Takeover] {
            let old = cluster.master_for("k");
            old.command(&["SET", "k", "v"]);
            old.command(&["WAIT", "1", "50000"]);
            let new = cluster.replicas_of(old).next().unwrap();
            cluster.failover(new, how);
            cluster.wait_until_agreed();
            assert_eq!(cluster.master_for("k").id(), new.id(), "{how:?}");
            assert!(call(old, &["GET", "k"]).is_error("MOVED"), "{how:?}");
            assert_eq!(call(new, &["GET", "k"]), bytes("v"), "{how:?}");
        }
    }
}

#[test]
fn the_replica_of_a_killed_master_takes_over_and_the_master_comes_back_as_its_replica() {
    for flavour in Flavour::ALL {
        let timeout = Duration::from_secs(3);
        let cluster = Cluster::of(flavour).with_replicas(1).with_node_timeout(timeout).start();
        let old = cluster.master_for("k");
        let new = cluster.replicas_of(old).next().unwrap();
        old.kill9();
        wait_until("a replica takes over", || new.is_master());
        cluster.wait_until_agreed();
        assert_eq!(cluster.master_for("k").id(), new.id());
        old.restart();
        cluster.wait_until_agreed();
        assert_eq!(cluster.replicas_of(new).map(Node::id).collect::<Vec<_>>(), [old.id()]);
    }
}

#[test]
fn the_replica_of_a_stopped_master_takes_over_and_the_master_steps_down_when_it_runs_on() {
    for flavour in Flavour::ALL {
        let timeout = Duration::from_secs(3);
        let cluster = Cluster::of(flavour).with_replicas(1).with_node_timeout(timeout).start();
        let old = cluster.master_for("k");
        let new = cluster.replicas_of(old).next().unwrap();
        old.stop();
        wait_until("a replica takes over", || new.is_master());
        old.cont();
        cluster.wait_until_agreed();
        assert_eq!(cluster.master_for("k").id(), new.id());
        assert!(!old.is_master());
    }
}

#[test]
fn with_partial_coverage_the_other_slots_are_served() {
    for (partial, served) in [(false, false), (true, true)] {
        let mut options = Cluster::of(Flavour::Redis).with_node_timeout(Duration::from_secs(3));
        if partial {
            options = options.with_partial_coverage();
        }
        let cluster = options.start();
        let away = &cluster.nodes()[2];
        away.kill9();
        let node = &cluster.nodes()[0];
        let failed = format!("{} 127.0.0.1:{}@{} master,fail ", away.id(), away.port(), away.bus());
        wait_until("the others know that one has failed", || {
            node.command(&["CLUSTER", "NODES"]).text().unwrap().contains(&failed)
        });
        let key = (0..).map(|n: u32| n.to_string()).find(|key| slot_of(key) < 5000).unwrap();
        let reply = call(node, &["SET", &key, "v"]);
        assert_eq!(reply == word("OK"), served, "{reply}");
        assert_eq!(reply.is_error("CLUSTERDOWN"), !served, "{reply}");
    }
}
