//! Stores that may not know of a holder, or grant nothing new: every verb that looks at keys says
//! so, and none takes such a store's "free" for an answer.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};
use tenure_testkit::{Fate, Flavour, Port, Proxy, Server, Which, clean};

use crate::patience::unhurried;
use crate::schema;

/// A store, and its hindrance as the command must tell it.
struct Hindered {
    url: String,
    kind: &'static str,
    /// A part of the text for people.
    text: String,
    /// Whether it may not know of the holder of a key that it has not.
    is_unsure: bool,
}

/// A replica, a server under its guard and a quorum with a node away; none of them has a key.
fn stores(flavour: Flavour, directory: &TempDir) -> (Vec<Server>, [Hindered; 3]) {
    let primary = Server::of(flavour).start();
    let replica = Server::of(flavour).with_primary(&primary).start();
    let guarded = Server::of(flavour).start();
    let gone = Port::take();
    let file = |name: &str| format!("sqlite:{}", directory.path().join(name).display());
    let hindered = [
        Hindered {
            url: replica.url(),
            kind: "replica",
            text: format!("this server is a replica of {}", primary.address()),
            is_unsure: true,
        },
        Hindered {
            url: format!("{}?restart_guard=5m", guarded.url()),
            kind: "restart_guard",
            text: "nothing new is granted until ".into(),
            is_unsure: true,
        },
        Hindered {
            url: format!("quorum:{} {} redis://{}", file("a"), file("b"), gone.address()),
            kind: "nodes_away",
            text: "nodes: 2 of 3 (redis://".into(),
            is_unsure: false,
        },
    ];
    (vec![primary, replica, guarded], hindered)
}

fn command(store: &str, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tenure"));
    clean(&mut command).args(words).env("TENURE_STORE", unhurried(store)).stdin(Stdio::null());
    command
}

fn tenure(store: &str, words: &[&str]) -> Output {
    command(store, words).output().expect("it starts")
}

fn conforms(schema: &str, line: &[u8]) -> Value {
    let value = serde_json::from_slice(line).unwrap_or_else(|e| panic!("{e}: {line:?}"));
    let schema = serde_json::from_str(schema).expect("the schema is JSON");
    schema::check(&schema, &value).unwrap_or_else(|e| panic!("{e} in {value}"));
    value
}

#[test]
fn a_list_and_a_status_say_what_hinders_the_store() {
    for flavour in Flavour::ALL {
        let directory = tempdir().expect("a directory");
        let (servers, stores) = stores(flavour, &directory);
        for Hindered { url, kind, text, .. } in &stores {
            let listed = tenure(url, &["list"]);
            let told = String::from_utf8_lossy(&listed.stderr);
            assert!(listed.status.success() && told.contains(text), "{kind}: {told}");
            assert_eq!(told.matches(text).count(), 1, "{kind}: {told}");
            let seen = tenure(url, &["status", "--json", "k"]);
            let seen = conforms(include_str!("../../schema/key.json"), &seen.stdout);
            assert_eq!(seen["hindrance"]["kind"], *kind, "{seen}");
            let left = seen["hindrance"]["left_ms"].as_u64();
            assert_eq!(left.is_some(), *kind == "restart_guard", "{seen}");
        }
        // Where there are keys, each line has it, and people are told once.
        let primary = servers[0].url();
        for key in ["a", "b"] {
            let kept = tenure(&primary, &["run", "--min-hold", "1h", key, "--", "true"]);
            assert!(kept.status.success(), "{kept:?}");
        }
        tenure_testkit::wait_until("the replica has both", || {
            servers[1].command(&["DBSIZE"]).int() >= 2
        });
        let listed = tenure(&stores[0].url, &["list", "--json"]);
        let lines: Vec<_> = listed.stdout.split(|byte| *byte == b'\n').collect();
        assert_eq!(lines.len(), 3, "{listed:?}");
        for line in &lines[..2] {
            let seen = conforms(include_str!("../../schema/key.json"), line);
            assert_eq!(seen["hindrance"]["kind"], "replica", "{seen}");
        }
        let listed = tenure(&stores[0].url, &["list"]);
        let shown = [&listed.stdout, &listed.stderr].map(|text| String::from_utf8_lossy(text));
        assert_eq!(shown.concat().matches("is a replica of").count(), 1, "{shown:?}");
    }
}

/// `tenure watch`, until it is dropped.
struct Watch {
    child: Child,
    stderr: std::io::Lines<BufReader<std::process::ChildStderr>>,
}

impl Watch {
    fn of(url: &str, words: &[&str]) -> Self {
        let words = [&["watch", "--interval", "50ms"], words].concat();
        let mut command = command(url, &words);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = child.expect("it starts");
        let stderr = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        Self { child, stderr }
    }

    fn told(&mut self) -> String {
        self.stderr.next().expect("a line").expect("text")
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_silent_server_is_not_told_with_a_key_that_nobody_has_named() {
    let server = Server::of(Flavour::Redis).start();
    let proxy = Proxy::to(server.address());
    // It lets clients in, and then says nothing more.
    let silent = proxy.on(Which::every(|call| call.name().starts_with("EVAL")), Fate::LoseRequest);
    for words in [&["list"][..], &["watch"], &["list", "job:"], &["watch", "job:"]] {
        let ended = tenure(&proxy.url(), words);
        assert_eq!(ended.status.code(), Some(69), "{words:?}: {ended:?}");
        let told = String::from_utf8_lossy(&ended.stderr);
        let says = format!("tenure: unavailable: cannot inspect at {}", proxy.url());
        assert!(told.starts_with(&says), "{words:?}: {ended:?}");
    }
    assert!(silent.strikes() >= 4);
}

#[test]
fn a_watch_says_what_hinders_the_store_when_it_begins_and_when_it_ends() {
    let flavour = Flavour::Redis;
    let directory = tempdir().expect("a directory");
    let (servers, stores) = stores(flavour, &directory);
    for Hindered { url, text, .. } in &stores {
        let told = Watch::of(url, &[]).told();
        assert!(told.starts_with("tenure: ") && told.contains(text), "{told}");
    }
    let ends = Server::of(flavour).start();
    let mut watch = Watch::of(&format!("{}?restart_guard=8s", ends.url()), &[]);
    assert!(watch.told().contains("nothing new is granted until "));
    let told = watch.told();
    assert!(told.contains("the restart guard has ended"), "{told}");

    let mut watch = Watch::of(&stores[0].url, &["--json"]);
    assert!(watch.told().contains(&stores[0].text));
    tenure(&servers[0].url(), &["run", "--min-hold", "1h", "k", "--", "true"]);
    let mut line = String::new();
    let stdout = watch.child.stdout.take().expect("a pipe");
    BufReader::new(stdout).read_line(&mut line).expect("a line");
    let event = conforms(include_str!("../../schema/watch.json"), line.as_bytes());
    assert_eq!((&event["key"], &event["hindrance"]["kind"]), (&"k".into(), &"replica".into()));
}

#[test]
fn a_check_never_calls_a_ticket_lost_that_its_server_may_not_know() {
    for flavour in Flavour::ALL {
        let primary = Server::of(flavour).start();
        let replica = Server::of(flavour).with_primary(&primary).start();
        let other = Server::of(flavour).start();
        let taken = tenure(&primary.url(), &["acquire", "k", "--ttl", "1h"]);
        let ticket = String::from_utf8(taken.stdout).expect("text").trim().to_owned();
        tenure_testkit::wait_until("the replica has it", || {
            tenure(&replica.url(), &["check", &ticket]).status.success()
        });
        let held = tenure(&replica.url(), &["check", &ticket]);
        let told = String::from_utf8_lossy(&held.stdout);
        assert!(told.contains("k: held until") && told.contains("is a replica of"), "{told}");
        let held = tenure(&replica.url(), &["check", "--json", &ticket]);
        let seen = conforms(include_str!("../../schema/check.json"), &held.stdout);
        assert_eq!(
            (&seen["state"], &seen["hindrance"]["kind"]),
            (&"held".into(), &"replica".into())
        );
        // A replica of a server that never had it.
        replica.command(&["REPLICAOF", "127.0.0.1", &other.port().to_string()]);
        tenure_testkit::wait_until("it has no keys", || replica.command(&["DBSIZE"]).int() == 0);
        for words in [
            &["check", &ticket][..],
            &["extend", "--by", "1s", &ticket],
            &["renew", &ticket],
            &["release", &ticket],
        ] {
            let unknown = tenure(&replica.url(), words);
            let told = String::from_utf8_lossy(&unknown.stderr);
            assert_eq!(unknown.status.code(), Some(69), "{words:?}: {told}");
            assert!(told.contains("is a replica of") && !told.contains("lost"), "{told}");
        }
        // A server that forgot it says that it may have.
        let url = format!("{}?restart_guard=5m", other.url());
        let lost = tenure(&url, &["check", &ticket]);
        let told = String::from_utf8_lossy(&lost.stderr);
        assert_eq!(lost.status.code(), Some(79), "{told}");
        assert!(told.contains("nothing new is granted until "), "{told}");
    }
}

#[test]
fn a_key_of_a_quorum_is_not_free_while_the_nodes_that_are_away_may_have_it() {
    let (directory, server) = (tempdir().expect("a directory"), Server::redis().start());
    let file = |name: &str| format!("sqlite:{}", directory.path().join(name).display());
    // Two files have the lease; the server, which is new, grants nothing yet.
    let all = format!("quorum:{} {} {}", file("a"), file("b"), server.url());
    let taken = tenure(&all, &["acquire", "k", "--ttl", "4m"]);
    let ticket = String::from_utf8(taken.stdout.clone()).expect("text").trim().to_owned();
    assert!(taken.status.success(), "{taken:?}");
    // One of the two is away, and the third node does not know of it.
    let gone = Port::take();
    let split = format!("quorum:{} {} redis://{}", file("a"), file("c"), gone.address());
    for (words, code) in [
        (&["status", "--exit-code", "k"][..], 69),
        (&["wait", "--timeout", "10ms", "k"], 69),
        (&["force-release", "--yes", "k"], 69),
        (&["check", &ticket], 69),
        (&["status", "--exit-code", "other"], 0),
    ] {
        let asked = tenure(&split, words);
        let texts = [&asked.stdout, &asked.stderr].map(|text| String::from_utf8_lossy(text));
        assert_eq!(asked.status.code(), Some(code), "{words:?}: {texts:?}");
        let is_told = texts.concat().contains("it may be held");
        assert_eq!(is_told, code == 69, "{words:?}: {texts:?}");
        assert_eq!(texts.concat().contains(": free"), code == 0, "{words:?}: {texts:?}");
    }
    for words in [&["list"][..], &["list", "--json"]] {
        let listed = tenure(&split, words);
        let told = String::from_utf8_lossy(&listed.stderr);
        assert!(listed.status.success() && listed.stdout.is_empty(), "{words:?}: {listed:?}");
        assert!(told.contains("a lock of which they have a part may not be shown"), "{told}");
    }
    for (key, may_be_held) in [("k", true), ("other", false)] {
        let seen = tenure(&split, &["status", "--json", key]);
        let seen = conforms(include_str!("../../schema/key.json"), &seen.stdout);
        assert_eq!(seen["state"], "free", "{seen}");
        assert_eq!(seen["may_be_held"], may_be_held, "{seen}");
    }
}

#[cfg(feature = "mcp")]
#[test]
fn an_agent_is_told_what_hinders_the_store_and_never_that_a_key_is_free() {
    for flavour in Flavour::ALL {
        let directory = tempdir().expect("a directory");
        let (_servers, stores) = stores(flavour, &directory);
        for Hindered { url, kind, text, is_unsure } in &stores {
            let mut command = Command::new(env!("CARGO_BIN_EXE_tenure"));
            clean(&mut command).arg("mcp").env("TENURE_STORE", unhurried(url));
            let mut agent = crate::agent::Agent::of(&mut command);
            for (tool, arguments) in [
                ("who", json!({ "key": "k" })),
                ("list", json!({})),
                ("wait", json!({ "key": "k", "limit": "1s" })),
            ] {
                let answer = agent.call(tool, &arguments);
                assert!(answer.text.contains(text), "{tool}: {answer:?}");
                assert!(!(*is_unsure && answer.text.contains("is free")), "{tool}: {answer:?}");
                let data = answer.ok();
                assert_eq!(data["hindrance"]["kind"], *kind, "{tool}: {data}");
                if tool != "list" {
                    assert_eq!(data["may_be_held"], *is_unsure, "{tool}: {data}");
                }
                if tool == "wait" {
                    assert_eq!(data["is_free"], !is_unsure, "{data}");
                }
            }
            let asked = agent.call("acquire", &json!({ "key": "k", "ttl": "1m" }));
            assert_eq!(asked.is_error, *is_unsure, "{asked:?}");
            if *is_unsure {
                let failed = asked.fails("unavailable").holds_nothing();
                assert!(failed.text.contains(text), "{failed:?}");
                assert_eq!(failed.data["hindrance"]["kind"], *kind, "{failed:?}");
            }
        }
    }
}
