//! A server that is a replica from the first: the command says so at once, and sends nothing more.

use std::process::{Command, Output, Stdio};

use tenure_testkit::{Flavour, Server, clean};

use crate::patience::unhurried;

fn tenure(store: &str, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tenure"));
    clean(&mut command).args(words).env("TENURE_STORE", unhurried(store));
    command.stdin(Stdio::null()).output().expect("it starts")
}

/// Number of scripts that a server was asked to run.
fn scripts(server: &Server) -> u32 {
    let calls = |stat: &str| {
        let stat = server.info(stat)?;
        stat.strip_prefix("calls=")?.split(',').next()?.parse::<u32>().ok()
    };
    ["cmdstat_eval", "cmdstat_evalsha"].into_iter().filter_map(calls).sum()
}

#[test]
fn a_replica_is_named_at_once_in_one_message_and_nothing_is_withdrawn() {
    for flavour in Flavour::ALL {
        let primary = Server::of(flavour).start();
        let replica = Server::of(flavour).with_primary(&primary).start();
        let of = format!("is a replica of {}", primary.address());
        let remedy = format!("as redis://{},", primary.address());
        for (parameters, words) in [
            ("", &["run", "--store-timeout", "60s", "k", "--", "true"][..]),
            ("", &["run", "--store-timeout", "60s", "--wait", "60s", "k", "--", "true"]),
            ("", &["run", "--store-timeout", "60s", "--shared", "k", "--", "true"]),
            ("", &["run", "--store-timeout", "60s", "-k", "a", "-k", "b", "--", "true"]),
            ("", &["once", "--store-timeout", "60s", "--every", "5m", "k", "--", "true"]),
            ("?restart_guard=30s", &["run", "--store-timeout", "60s", "k", "--", "true"]),
            ("?ack=1", &["run", "--store-timeout", "60s", "k", "--", "true"]),
        ] {
            let before = scripts(&replica);
            let begun = std::time::Instant::now();
            let refused = tenure(&format!("{}{parameters}", replica.url()), words);
            let took = begun.elapsed();
            let text = String::from_utf8_lossy(&refused.stderr);
            let context = || format!("{flavour} {parameters} {words:?}: {refused:?}");
            assert_eq!(refused.status.code(), Some(69), "{}", context());
            assert_eq!(text.lines().count(), 1, "{}", context());
            for words in [&*of, &remedy, "redis+sentinel://", "takes no writes"] {
                assert!(text.contains(words), "{words} is missing in {}", context());
            }
            assert!(took.as_secs() < 30, "{took:?}: {}", context());
            // Known by its digest after the first; a step in few words, and the same in full.
            let sent = scripts(&replica) - before;
            assert!(sent <= if before == 0 { 3 } else { 2 }, "{sent}: {}", context());
        }
        replica.command(&["REPLICAOF", "NO", "ONE"]);
        let granted = tenure(&replica.url(), &["run", "k", "--", "true"]);
        assert_eq!(granted.status.code(), Some(0), "{granted:?}");
    }
}

#[test]
fn a_replica_that_does_not_know_of_a_holder_never_says_that_a_key_is_free() {
    for flavour in Flavour::ALL {
        let primary = Server::of(flavour).start();
        let replica = Server::of(flavour).with_primary(&primary).start();
        let of = format!("replica of {}", primary.address());
        for words in [
            &["force-release", "--yes", "k"][..],
            &["permits", "k", "5"],
            &["permits", "--json", "k", "5"],
            &["wait", "--timeout", "1s", "k"],
            &["status", "--exit-code", "k"],
        ] {
            let asked = tenure(&replica.url(), words);
            let texts = [&asked.stdout, &asked.stderr].map(|text| String::from_utf8_lossy(text));
            assert_eq!(asked.status.code(), Some(69), "{words:?}: {texts:?}");
            assert!(texts.iter().any(|text| text.contains(&of)), "{words:?}: {texts:?}");
            assert_eq!(tenure(&primary.url(), words).status.code(), Some(0), "{words:?}");
        }
    }
}
