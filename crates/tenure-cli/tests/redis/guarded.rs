//! A server that grants nothing new yet: nobody holds the lock, and no job is skipped as if
//! somebody did.

use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};

use tenure_testkit::{Flavour, Running, Server, clean, wait_until};

use crate::patience::unhurried;

/// With a store whose restart guard outlasts every test.
fn command(store: &str, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tenure"));
    clean(&mut command).args(words).env("TENURE_STORE", unhurried(store)).stdin(Stdio::null());
    command
}

fn tenure(store: &str, words: &[&str]) -> Output {
    command(store, words).output().expect("it starts")
}

/// Servers of their own, and the stores over them: one server and a quorum.
fn stores() -> (Vec<Server>, [String; 2]) {
    let servers: Vec<_> =
        [Flavour::Redis, Flavour::Valkey, Flavour::Redis].map(|f| Server::of(f).start()).into();
    let one = format!("{}?restart_guard=5m", servers[0].url());
    let urls: Vec<_> = servers.iter().map(Server::url).collect();
    (servers, [one, format!("quorum:{}", urls.join(" "))])
}

#[test]
fn a_job_is_not_skipped_as_busy_while_nobody_has_the_lock() {
    let (_servers, stores) = stores();
    for store in &stores {
        for patience in [&["--try"][..], &["--wait", "1500ms"]] {
            let words = [&["run"], patience, &["--busy-exit", "0", "k", "--", "true"]].concat();
            let refused = tenure(store, &words);
            let text = String::from_utf8_lossy(&refused.stderr);
            assert_eq!(refused.status.code(), Some(69), "{patience:?}: {refused:?}");
            let line = text.lines().find(|line| line.contains("cannot acquire"));
            let line = line.unwrap_or_else(|| panic!("no error in: {text}"));
            for words in ["nothing new is granted until", "UTC", "known for", "try again"] {
                assert!(line.contains(words), "{words} is missing in: {line}");
            }
            assert!(!text.contains("changing hands") && !text.contains("held by"), "{text}");
        }
    }
}

/// It was said that there is nothing to do.
#[test]
fn a_key_without_a_known_holder_is_not_taken_for_free() {
    let (_servers, stores) = stores();
    let force = ["force-release", "--yes", "k"];
    let asked = |store: &str, words: &[&str]| {
        let asked = tenure(store, words);
        assert_eq!(asked.status.code(), Some(69), "{words:?}: {asked:?}");
        assert!(asked.stdout.is_empty(), "{words:?}: {asked:?}");
        let text = String::from_utf8_lossy(&asked.stderr);
        for words in ["\"k\" is not known to be free: nothing new is granted until", "may still"] {
            assert!(text.contains(words), "{words} is missing in: {text}");
        }
    };
    stores.iter().for_each(|store| asked(store, &force));
    // A quorum carries no permits.
    for words in [&["permits", "k", "5"][..], &["permits", "--json", "k", "5"]] {
        asked(&stores[0], words);
    }
}

/// Not after a second: then the line says how long it has been waiting. A machine may be so busy
/// that a second is over before the first look, but not each time.
fn is_told_at_the_first_look(store: &str) {
    wait_until("a waiter is told at its first look", || {
        let mut command = command(store, &["run", "k", "--", "true"]);
        let mut waiter = Running::start(command.stderr(Stdio::piped()));
        let mut line = String::new();
        BufReader::new(waiter.stderr.take().expect("a pipe")).read_line(&mut line).expect("a line");
        assert!(line.starts_with("tenure: waiting for \"k\""), "{line}");
        assert!(line.contains(": nothing new is granted until "), "{line}");
        assert!(line.contains("goes on by itself"), "{line}");
        line.starts_with("tenure: waiting for \"k\": ")
    });
}

#[test]
fn a_look_and_who_waits_are_told_until_when_nothing_new_is_granted() {
    let (_servers, stores) = stores();
    for store in &stores {
        let seen = tenure(store, &["status", "k"]);
        let text = String::from_utf8_lossy(&seen.stdout);
        assert_eq!(seen.status.code(), Some(0), "{seen:?}");
        for words in ["k: not known to be free", "nothing new is granted until", "UTC"] {
            assert!(text.contains(words), "{words} is missing in: {text}");
        }
        let seen = tenure(store, &["status", "--json", "k"]);
        let seen: serde_json::Value = serde_json::from_slice(&seen.stdout).expect("JSON");
        assert_eq!(
            (&seen["state"], &seen["may_be_held"]),
            (&"free".into(), &true.into()),
            "{seen}"
        );
        let left = seen["guarded"]["remaining_ms"].as_u64().expect("a number");
        assert!((200_000..=300_000).contains(&left), "{seen}");
        is_told_at_the_first_look(store);
        let waited = tenure(store, &["wait", "--timeout", "300ms", "k"]);
        let text = String::from_utf8_lossy(&waited.stderr);
        assert_eq!(waited.status.code(), Some(69), "{waited:?}");
        assert!(text.contains("is not known to be free: waited 300ms; nothing new"), "{text}");
        assert!(!text.contains("busy") && !text.contains("this run"), "{text}");
    }
}
