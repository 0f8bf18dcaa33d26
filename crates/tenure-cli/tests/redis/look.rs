//! Looks at servers: values of others and how to delete them, quorums with a node away, replicas.

use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tenure_testkit::{Flavour, Port, Server, clean};

use crate::patience::unhurried;

fn tenure(store: &str, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tenure"));
    clean(&mut command).args(words).env("TENURE_STORE", unhurried(store));
    command.stdin(Stdio::null()).output().expect("it starts")
}

fn text(output: &Output) -> String {
    assert!(output.stderr.is_empty(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn json(store: &str, key: &str) -> Value {
    let seen = tenure(store, &["status", "--json", key]);
    serde_json::from_slice(&seen.stdout).unwrap_or_else(|e| panic!("{e}: {seen:?}"))
}

#[test]
fn a_foreign_lock_is_shown_with_the_line_that_deletes_it() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        server.command(&["SET", "k", "uuid\u{1b}[2J", "PX", "600000"]);
        let shown = text(&tenure(&server.url(), &["status", "--exit-code", "k"]));
        for part in ["k: foreign", "there is a string", r#"value "uuid\u{1b}[2J""#, "ends in 9m"] {
            assert!(shown.contains(part), "{part:?} is missing: {shown}");
        }
        assert!(!shown.contains('\u{1b}'), "{shown:?}");
        server.command(&["SET", "k", "it's mine", "PX", "600000"]);
        let seen = json(&server.url(), "k");
        let foreign = &seen["foreign"];
        assert_eq!((&foreign["type"], &foreign["value"]), (&"string".into(), &"it's mine".into()));
        let left = foreign["remaining_ms"].as_u64().expect("a number");
        assert!((1..=600_000).contains(&left), "{seen}");
        let held = tenure(&server.url(), &["status", "--exit-code", "k"]);
        assert_eq!(held.status.code(), Some(1), "{held:?}");

        // The line deletes this value, and no later one.
        let line = foreign["delete"].as_str().expect("a line");
        server.command(&["SET", "k", "another's", "PX", "600000"]);
        assert_eq!(deleted(&server, line), 0, "{line}");
        assert_eq!(json(&server.url(), "k")["foreign"]["value"], "another's");
        server.command(&["SET", "k", "it's mine", "PX", "600000"]);
        assert_eq!(deleted(&server, line), 1, "{line}");
        assert_eq!(json(&server.url(), "k")["state"], "free");

        server.command(&["HSET", "k", "uuid:1", "1"]);
        let seen = json(&server.url(), "k");
        let foreign = &seen["foreign"];
        assert_eq!((&foreign["type"], &foreign["value"]), (&"hash".into(), &"uuid:1: 1".into()));
        assert_eq!(foreign["remaining_ms"], Value::Null);
        assert_eq!(deleted(&server, foreign["delete"].as_str().expect("a line")), 1);
        assert_eq!(json(&server.url(), "k")["state"], "free");
    }
}

/// Carries out a line for a shell with a `redis-cli` that speaks to this server.
fn deleted(server: &Server, line: &str) -> i64 {
    let begin = format!("redis-cli -h 127.0.0.1 -p {} ", server.address().port());
    assert!(line.starts_with(&begin), "{line}");
    let words = line.replacen(&begin, "printf '%s\\n' ", 1);
    let printed = Command::new("/bin/sh").args(["-c", &words]).output().expect("a shell");
    let printed = String::from_utf8(printed.stdout).expect("text");
    server.command(&printed.lines().collect::<Vec<_>>()).int()
}

#[test]
fn a_quorum_tells_which_of_its_nodes_are_away() {
    let servers = [Server::redis().start(), Server::of(Flavour::Valkey).start()];
    let gone = Port::take();
    let [a, b] = servers.each_ref().map(Server::url);
    let url = format!("quorum:{a} {b} redis://{}", gone.address());
    let shown = text(&tenure(&url, &["status", "k"]));
    let line = shown.lines().find(|line| line.contains("nodes: 2 of 3 (redis://"));
    assert!(line.is_some_and(|line| line.contains("nobody listens")), "{shown}");
    let seen = json(&url, "k");
    let nodes = seen["nodes"].as_array().expect("a list");
    let answered: Vec<_> = nodes.iter().map(|node| node["answered"] == true).collect();
    assert_eq!(answered, [true, true, false], "{seen}");
    assert!(nodes[2]["said"].as_str().is_some_and(|said| said.contains("nobody listens")));
    assert!(nodes[0]["name"].as_str().is_some_and(|name| name.starts_with("redis://")));
}

/// The rule as SAFETY.md has it.
fn rule_of_lookers() -> String {
    let text = include_str!("../../../../SAFETY.md");
    let (_, rule) = text.split_once("user looker ").expect("a rule");
    let (rule, _) = rule.split_once("```").expect("its end");
    rule.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Takes `key` for longer than any test.
fn hold(store: &str, key: &str) {
    let words = ["run", "--label", "nightly", "--min-hold", "1h", key, "--", "true"];
    let held = tenure(store, &words);
    assert_eq!(held.status.code(), Some(0), "{held:?}");
}

#[test]
fn a_user_with_the_rights_to_look_can_look_and_nothing_else() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).with_user("looker", &rule_of_lookers()).start();
        hold(&server.url(), "jobs:a");
        server.command(&["HSET", "jobs:hash", "uuid:1", "1"]);
        let url = format!("redis://looker:PASSWORD@{}", server.address());
        let seen = tenure(&url, &["status", "--exit-code", "jobs:a"]);
        assert_eq!(seen.status.code(), Some(1), "{seen:?}");
        assert!(text(&seen).contains("its command has ended: granted to nightly"), "{seen:?}");
        assert_eq!(json(&url, "jobs:hash")["foreign"]["value"], "uuid:1: 1");
        assert_eq!(tenure(&url, &["status", "--exit-code", "jobs:b"]).status.code(), Some(0));
        assert_eq!(text(&tenure(&url, &["list", "jobs:"])).matches(": held").count(), 1);
        let before = server.command(&["DBSIZE"]);
        let guarded = text(&tenure(&format!("{url}?restart_guard=5m"), &["status", "jobs:b"]));
        assert!(guarded.contains("nothing new is granted until"), "{guarded}");
        assert_eq!(server.command(&["DBSIZE"]), before, "a look has written");
        let refused = tenure(&url, &["run", "--try", "jobs:b", "--", "true"]);
        assert_eq!(refused.status.code(), Some(77), "{refused:?}");
        let refused = tenure(&url, &["status", "other"]);
        assert_eq!(refused.status.code(), Some(77), "{refused:?}");
    }
}

#[test]
fn a_missing_right_to_look_is_named() {
    let rules = "on >PASSWORD ~* +@read +@connection";
    let server = Server::redis().with_user("reader", rules).start();
    let seen = tenure(&format!("redis://reader:PASSWORD@{}", server.address()), &["status", "k"]);
    let told = String::from_utf8_lossy(&seen.stderr);
    assert_eq!(seen.status.code(), Some(77), "{told}");
    assert!(told.contains("needs +eval_ro") && !told.contains("PASSWORD"), "{told}");
}

#[test]
fn a_replica_can_be_asked_and_says_that_it_is_one() {
    for flavour in Flavour::ALL {
        let primary = Server::of(flavour).start();
        hold(&primary.url(), "k");
        let replica = Server::of(flavour).with_primary(&primary).start();
        for url in [replica.url(), format!("{}?restart_guard=5m", replica.url())] {
            let seen = tenure(&url, &["status", "--exit-code", "k"]);
            assert_eq!(seen.status.code(), Some(1), "{seen:?}");
            let shown = text(&seen);
            let told = format!("this server is a replica of {}", primary.address());
            assert!(shown.contains(&told) && shown.contains("granted to nightly"), "{shown}");
            let of = json(&url, "k")["replica_of"].clone();
            assert_eq!(of, primary.address().to_string().as_str());
            let listed = tenure(&url, &["list"]);
            assert!(String::from_utf8_lossy(&listed.stdout).contains("k: held"), "{listed:?}");
        }
        let straight = json(&primary.url(), "k");
        assert_eq!(straight["replica_of"], Value::Null);
    }
}

#[test]
fn a_list_of_all_has_the_strings_with_a_ttl_of_other_programs() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        hold(&server.url(), "job:ours");
        server.command(&["SET", "job:theirs", "uuid", "PX", "600000"]);
        server.command(&["SET", "job:settings", "no lock, since it stays"]);
        server.command(&["SET", "other", "uuid", "PX", "600000"]);
        let keys = |words: &[&str]| {
            let listed = text(&tenure(&server.url(), words));
            let key = |line: &str| {
                let seen: Value = serde_json::from_str(line).expect("JSON");
                seen["key"].as_str().expect("text").to_owned()
            };
            listed.lines().map(key).collect::<Vec<_>>()
        };
        assert_eq!(keys(&["list", "--json", "job:"]), ["job:ours"]);
        assert_eq!(keys(&["list", "--json", "--all", "job:"]), ["job:ours", "job:theirs"]);
    }
}
