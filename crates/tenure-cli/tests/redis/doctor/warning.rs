//! The warning of a wrong eviction policy when a program connects to several servers: each server
//! once, by its name, and nothing waits for it.

use std::fs::File;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use tenure::store::Rights;
use tenure_testkit::{Cluster, Flavour, Reply, Running, Server, clean, wait_until};

use super::durable;
use crate::patience::unhurried;

/// The timeout of a cluster's nodes: no pause of the machine, and no stop of a test, is a failure.
const UNHURRIED: Duration = Duration::from_secs(300);

/// A `tenure run` whose CMD ends when it is told to, and what it says.
struct Run {
    tenure: Running,
    directory: tempfile::TempDir,
}

impl Run {
    fn of(store: &str, ttl: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let stderr = File::create(directory.path().join("stderr")).expect("a file");
        let mut command = Command::new(env!("CARGO_BIN_EXE_tenure"));
        clean(&mut command).args(["run", "--max-hold", "60s", "--ttl", ttl, "k", "--", "sh", "-c"]);
        command.arg("echo > begun; until [ -e end ]; do sleep 0.02; done");
        command.env("TENURE_STORE", unhurried(store)).current_dir(directory.path());
        let tenure = Running::start(command.stdin(Stdio::null()).stderr(stderr));
        Self { tenure, directory }
    }

    fn said(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("stderr")).expect("a file")
    }

    /// The lines that warn.
    fn warnings(&self) -> Vec<String> {
        let said = self.said();
        said.lines().filter(|line| line.contains("may evict locks")).map(str::to_owned).collect()
    }

    fn wait_until_begun(&self) {
        wait_until("CMD runs", || self.directory.path().join("begun").exists());
    }

    fn end(mut self) -> (ExitStatus, String) {
        File::create(self.directory.path().join("end")).expect("a file");
        let ended = self.tenure.wait().expect("it ends");
        (ended, self.said())
    }
}

fn evicts(server: &Server, policy: &str) {
    let done = server.command(&["CONFIG", "SET", "maxmemory-policy", policy]);
    assert_eq!(done.to_string(), "OK");
}

/// Each of these servers is named in one line of its own, with its policy.
fn each_is_named_once(store: &str, ttl: &str, servers: &[(&Server, &str)]) {
    let run = Run::of(store, ttl);
    wait_until("all of them are warned about", || run.warnings().len() >= servers.len());
    run.wait_until_begun();
    let (ended, said) = run.end();
    assert!(ended.success(), "{said}");
    let warnings: Vec<_> = said.lines().filter(|line| line.contains("may evict locks")).collect();
    assert_eq!(warnings.len(), servers.len(), "{said}");
    for (server, policy) in servers {
        let name = format!("redis://{}", server.address());
        let about = warnings.iter().filter(|line| line.contains(&name) && line.contains(policy));
        assert_eq!(about.count(), 1, "{name}: {said}");
    }
}

/// The user `blind` has asked this server, which did not allow it.
fn has_refused(server: &Server) -> bool {
    let entries = server.command(&["ACL", "LOG"]);
    entries.list().iter().any(|entry| {
        let words: Vec<_> = entry.list().iter().filter_map(Reply::text).collect();
        ["blind", "info"].iter().all(|word| words.iter().any(|known| known.contains(word)))
    })
}

#[test]
fn each_primary_of_a_cluster_that_evicts_is_warned_about() {
    for flavour in Flavour::ALL {
        let rule = Rights::default().in_cluster().rule().replace("+info ", "");
        let rights = format!("on >PASSWORD {rule}");
        let options = Cluster::of(flavour).with_user("blind", &rights);
        let cluster = options.with_node_timeout(UNHURRIED).start();
        let nodes: Vec<&Server> = cluster.nodes().iter().map(|node| &**node).collect();
        evicts(nodes[0], "volatile-lru");
        evicts(nodes[2], "allkeys-lru");
        let expected = [(nodes[0], "volatile-lru"), (nodes[2], "allkeys-lru")];
        each_is_named_once(&cluster.url(), "30s", &expected);
        // A server that does not tell is not blamed.
        let run = Run::of(&cluster.url().replace("://", "://blind:PASSWORD@"), "30s");
        run.wait_until_begun();
        wait_until("all of them were asked", || nodes.iter().all(|node| has_refused(node)));
        let (ended, said) = run.end();
        assert!(ended.success() && said.is_empty(), "{said}");
    }
}

#[test]
fn each_node_of_a_quorum_that_evicts_is_warned_about() {
    for flavour in Flavour::ALL {
        let nodes = [(); 3].map(|()| durable(flavour).start());
        let urls = nodes.each_ref().map(Server::url);
        evicts(&nodes[0], "volatile-lru");
        evicts(&nodes[1], "allkeys-lru");
        let expected = [(&nodes[0], "volatile-lru"), (&nodes[1], "allkeys-lru")];
        let quorum = format!("quorum:{} ?max_ttl=10s", urls.join(" "));
        each_is_named_once(&quorum, "10s", &expected);
    }
}

/// The question to a server that stands still may take a minute there, and nothing else does.
#[test]
fn nothing_waits_for_a_server_that_does_not_say_whether_it_evicts() {
    for flavour in Flavour::ALL {
        let cluster = Cluster::of(flavour).with_node_timeout(UNHURRIED).start();
        let master = cluster.master_for("k");
        let other = cluster.nodes().iter().find(|node| node.id() != master.id());
        let other = other.expect("there are three");
        other.stop();
        let seed = format!("redis+cluster://{}", master.address());
        let run = Run::of(&seed, "30s");
        run.wait_until_begun();
        let (ended, said) = run.end();
        assert!(ended.success() && said.is_empty(), "{flavour}: {said}");
        other.cont();
    }
}
