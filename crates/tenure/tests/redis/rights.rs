//! The rights that SAFETY.md names: enough for everything, none too many, and what is told where
//! one is missing.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Mutex;

use tenure::ErrorKind;
use tenure_testkit::{Flavour, Server};

use crate::subscriber::listen;
use crate::world::{
    channels, connect, granted, ms, nothing_but_memories, take, unhurried, until_waiting, waiting,
    within,
};

/// All fragments that the scripts are made of.
fn scripts() -> String {
    let steps = concat!(env!("CARGO_MANIFEST_DIR"), "/src/store/redis/lua");
    let (mut all, mut directories) = (String::new(), vec![PathBuf::from(steps)]);
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).expect("a directory of scripts") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                directories.push(path);
            } else {
                all.push_str(&std::fs::read_to_string(path).expect("a script"));
            }
        }
    }
    all
}

/// The commands that the store sends beside its script.
const CALLS: [&str; 8] = ["EVAL", "EVALSHA", "INFO", "PING", "SCAN", "SELECT", "SUBSCRIBE", "WAIT"];

/// The rule as SAFETY.md has it.
pub(crate) fn documented() -> String {
    rule(1)
}

/// The rule for the nodes of a cluster.
pub(crate) fn documented_for_clusters() -> String {
    rule(2)
}

fn rule(nth: usize) -> String {
    let mut rules = include_str!("../../../../SAFETY.md").split("user tenure ");
    let (rules, _) = rules.nth(nth).expect("a rule").split_once("```").expect("its end");
    rules.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn url(server: &Server) -> String {
    format!("redis://tenure:PASSWORD@{}", server.address())
}

/// The commands that the script calls.
fn called_in_script() -> BTreeSet<String> {
    let scripts = scripts();
    let of = |begin| scripts.match_indices(begin).map(|(at, found)| &scripts[at + found.len()..]);
    of("call('")
        .chain(of("ask('"))
        .filter_map(|rest| Some(rest.split_once('\'')?.0.to_owned()))
        .collect()
}

/// The commands that a rule allows.
fn allowed(rule: &str) -> BTreeSet<String> {
    rule.split(' ').filter_map(|word| Some(word.strip_prefix('+')?.to_uppercase())).collect()
}

#[test]
fn the_rules_allow_what_is_called_and_nothing_else() {
    let mut called = called_in_script();
    assert!(called.len() > 15, "the script is read wrongly");
    called.extend(CALLS.map(str::to_owned));
    assert_eq!(allowed(&documented()), called);
    // A cluster has one database.
    called.remove("SELECT");
    called.extend(["ASKING", "CLUSTER|MYID", "CLUSTER|SLOTS"].map(str::to_owned));
    assert_eq!(allowed(&documented_for_clusters()), called);
}

#[tokio::test]
async fn a_user_with_these_rights_can_do_everything() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).with_user("tenure", &documented()).start();
        let locks = connect(&format!("{}/3?restart_guard=4s", url(&server))).await;
        let plain = connect(&url(&server)).await;
        let guard = take(&plain, "jobs:a{b}c").await;
        take(&plain, "jobs:{x}").await.release().await.expect("released");
        let waiter = waiting(plain.mutex("jobs:a{b}c"));
        until_waiting(&plain, "jobs:a{b}c", 1).await;
        assert_eq!(channels(&server), 1, "it is told, not polling");
        assert_eq!(plain.list("jobs:", None, 10).await.expect("a page").len(), 1);
        guard.release().await.expect("released");
        let guard = granted(waiter).await;
        within("a renewal", guard.extend_to(ms(60_000))).await.expect("renewed");
        guard.release().await.expect("released");
        let mutex = locks.mutex("jobs:guarded").with_ttl(ms(4000));
        let late = within("the guard's end", mutex.acquire()).await.expect("granted");
        late.release().await.expect("released");
        assert_eq!(locks.store_name().rsplit('/').next(), Some("3"));
        nothing_but_memories(&server);
    }
}

#[tokio::test]
async fn a_key_beyond_the_rights_is_refused_with_its_reason() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).with_user("tenure", &documented()).start();
        let locks = connect(&url(&server)).await;
        let error = locks.mutex("payroll").acquire().await.expect_err("no right to it");
        assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
        let text = error.to_string();
        for word in ["payroll", "right", "ACL", "NOPERM"] {
            assert!(text.contains(word), "{word} is missing in: {text}");
        }
        assert!(!text.contains("PASSWORD"), "{text}");
    }
}

#[tokio::test]
async fn a_restart_guard_without_the_rights_that_it_needs_is_refused_with_its_reason() {
    for (right, command) in [("~tenure:?known ", "EVAL"), ("+info ", "INFO")] {
        let rules = documented().replace(right, "");
        let server = Server::redis().with_user("tenure", &rules).start();
        let url = format!("{}?restart_guard=2s", url(&server));
        let error = tenure::connect(&unhurried(&url)).await.expect_err("no right to it");
        assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
        let text = error.to_string();
        for word in ["right", "NOPERM", command] {
            assert!(text.contains(word), "{word} is missing in: {text}");
        }
        connect(&self::url(&server)).await;
    }
}

#[tokio::test]
async fn acknowledged_grants_need_no_other_rights_and_are_refused_without_them() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).with_user("tenure", &documented()).start();
        let _replica = Server::of(flavour).with_primary(&server).start();
        let url =
            |ack: &str| format!("{}?ack={ack}&ack_timeout=15s&call_timeout=30s", url(&server));
        for ack in ["1", "majority"] {
            let locks = connect(&url(ack)).await;
            let guard = take(&locks, "jobs:a").await;
            let waiter = waiting(locks.mutex("jobs:a"));
            until_waiting(&locks, "jobs:a", 1).await;
            guard.release().await.expect("released");
            granted(waiter).await.release().await.expect("released");
        }
        for right in ["wait", "info"] {
            server.command(&["ACL", "SETUSER", "tenure", &format!("-{right}")]);
            let error = tenure::connect(&unhurried(&url("1"))).await.expect_err("no right to it");
            assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
            for word in ["right", "NOPERM", &right.to_uppercase()] {
                assert!(error.to_string().contains(word), "{word} is missing in: {error}");
            }
            connect(&self::url(&server)).await;
        }
    }
}

/// All warnings in this program, of all of its tests.
static WARNINGS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Keeps a warning of Tenure's.
pub(crate) fn warned(line: String) {
    WARNINGS.lock().expect("no panic").push(line);
}

/// The warnings about one store.
fn warnings_of(store: &str) -> Vec<String> {
    let all = WARNINGS.lock().expect("no panic");
    all.iter().filter(|line| line.contains(&format!("store={store} "))).cloned().collect()
}

/// Whether there was a warning with these words.
pub(crate) fn has_warned(words: &str) -> bool {
    WARNINGS.lock().expect("no panic").iter().any(|line| line.contains(words))
}

#[tokio::test]
async fn without_channels_a_waiter_looks_at_intervals_and_one_warning_says_so() {
    listen();
    for flavour in Flavour::ALL {
        let rules = documented().replace("&tenure:inbox:* ", "");
        let server = Server::of(flavour).with_user("tenure", &rules).start();
        let locks = connect(&url(&server)).await;
        let guard = take(&locks, "jobs:a").await;
        let waiter = waiting(locks.mutex("jobs:a"));
        until_waiting(&locks, "jobs:a", 1).await;
        assert_eq!(channels(&server), 0);
        let released = std::time::Instant::now();
        guard.release().await.expect("released");
        let guard = granted(waiter).await;
        let waited = released.elapsed();
        println!("{flavour}: without channels granted {waited:?} after the release");
        // Its heartbeats come each ten seconds.
        assert!(waited < ms(5000), "{waited:?}");
        // Nobody asks a second time.
        let again = waiting(locks.mutex("jobs:a"));
        until_waiting(&locks, "jobs:a", 1).await;
        guard.release().await.expect("released");
        granted(again).await.release().await.expect("released");
        let warned = warnings_of(&locks.store_name());
        assert_eq!(warned.len(), 1, "{warned:?}");
        for word in ["no subscription for wake-ups", "NOPERM", "channel"] {
            assert!(warned[0].contains(word), "{word} is missing in: {warned:?}");
        }
    }
}
