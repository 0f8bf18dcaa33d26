//! The kit's networks: hosts reach each other until one is cut off, and the machine's own network
//! stays as it is.

#![allow(clippy::disallowed_methods, reason = "real servers, real time")]

use std::io::ErrorKind;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use tenure_testkit::{Cluster, Flavour, Network, Reply, Server, in_own_network, wait_until};

fn word(text: &str) -> Reply {
    Reply::Simple(text.to_owned())
}

fn links(command: &mut Command) -> String {
    let output = command.output().expect("ip runs");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn a_host_that_is_cut_off_is_silent_and_comes_back() {
    in_own_network(|network| {
        let (here, there) = (Arc::new(network.host()), Arc::new(network.host()));
        let primary = Server::redis().on(&here).start();
        // Its link is up when it has started: the hosts reach each other.
        let replica = Server::redis().on(&there).with_primary(&primary).start();
        assert_eq!(primary.address().ip(), here.address());
        let mut client = primary.client();
        assert_eq!(client.call(&["INCR", "n"]).unwrap(), Reply::Int(1));
        assert_eq!(primary.command(&["WAIT", "1", "50000"]), Reply::Int(1));

        here.cut();
        client.set_patience(Duration::from_millis(300));
        let silence = client.call(&["INCR", "n"]).unwrap_err();
        assert_eq!(silence.kind(), ErrorKind::TimedOut, "no end of the link is told");
        assert_eq!(primary.command(&["INCR", "m"]), Reply::Int(1));
        assert_eq!(primary.command(&["WAIT", "1", "300"]), Reply::Int(0));
        assert_eq!(replica.command(&["GET", "m"]), Reply::Nil);

        here.heal();
        client.set_patience(None);
        assert_eq!(client.reply().unwrap(), Reply::Int(2), "TCP has sent it again");
        wait_until("the replica has all", || !replica.command(&["GET", "m"]).is_nil());
    });
}

#[test]
fn a_master_in_the_minority_goes_on_until_its_timeout_and_steps_down_when_it_is_back() {
    in_own_network(|network| {
        let (few, most) = (Arc::new(network.host()), Arc::new(network.host()));
        let hosts = [&few, &most, &most, &most, &most, &most].map(Arc::clone);
        // No pause of a busy machine shall be taken for the failure.
        let timeout = Duration::from_secs(5);
        let options = Cluster::of(Flavour::Redis).with_replicas(1).with_node_timeout(timeout);
        let cluster = options.on(hosts).start();
        let (old, new) = (&cluster.nodes()[0], &cluster.nodes()[3]);
        assert!(cluster.url().contains(&format!("{}:", few.address())), "{}", cluster.url());
        // The key is in the first third of the slots.
        let key = (0..).map(|n: u32| n.to_string());
        let key = key.into_iter().find(|key| tenure_testkit::slot_of(key) < 5000).unwrap();

        few.cut();
        assert_eq!(old.command(&["SET", &key, "1"]), word("OK"), "it has not noticed");
        wait_until("the old master refuses", || {
            old.command(&["SET", &key, "1"]).is_error("CLUSTERDOWN")
        });
        wait_until("the replica takes over", || new.is_master());
        cluster.wait_until_agreed();
        assert_eq!(cluster.master_for(&key).id(), new.id());
        assert!(old.is_master(), "nobody has told it");
        few.heal();
        cluster.wait_until_agreed();
        assert!(!old.is_master());
    });
}

#[test]
#[allow(clippy::print_stdout, reason = "a test that was not run says so")]
fn a_network_leaves_that_of_the_machine_alone() {
    if let Some(reason) = Network::missing() {
        println!("SKIPPED: this machine gives no network namespaces: {reason}");
        return;
    }
    let before = links(Command::new("ip").arg("link"));
    let mut inner = Command::new("sh");
    inner.args(["-c", "ip link add br0 type bridge && ip link"]);
    assert!(links(&mut Network::command(&inner)).contains("br0"));
    assert_eq!(links(Command::new("ip").arg("link")), before);
}

#[test]
#[should_panic(expected = "the machine's own network is not to be changed")]
fn the_machines_own_network_is_refused() {
    let _ = Network::here();
}
