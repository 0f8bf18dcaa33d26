//! Looks at servers: values of others and how to delete them, quorums with a node away, replicas.

use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tenure_testkit::{Flavour, Port, Server, clean};

fn tenure(store: &str, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tenure"));
    clean(&mut command).args(words).env("TENURE_STORE", store);
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
