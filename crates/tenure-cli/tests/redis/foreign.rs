//! A name under which somebody else keeps something: `status` and every refusal say what it is, and
//! nobody touches it.

use std::process::{Command, Output, Stdio};

use tenure_testkit::{Flavour, Server, clean};

use crate::patience::unhurried;

/// A value under the name, the word for it, and the exit code of a run that wants to lock it.
const KEPT: [(&[&str], &str, i32); 7] = [
    (&["HSET", "k", "uuid:1", "1"], "a hash", 65),
    (&["ZADD", "k", "1", "x"], "a zset", 65),
    (&["RPUSH", "k", "x"], "a list", 65),
    (&["SADD", "k", "x"], "a set", 65),
    (&["XADD", "k", "*", "f", "v"], "a stream", 65),
    (&["SET", "k", "x"], "a string without a ttl", 65),
    // That is somebody's lock, which will end.
    (&["SET", "k", "x", "PX", "60000"], "another library", 75),
];

const SHORT: [&str; 4] = ["wait", "--timeout", "300ms", "k"];

fn tenure(server: &Server, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tenure"));
    clean(&mut command).args(words).env("TENURE_STORE", unhurried(&server.url()));
    command.stdin(Stdio::null()).output().expect("it starts")
}

#[test]
fn what_is_kept_under_the_name_is_called_by_its_name() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        for (keep, called, code) in KEPT {
            server.command(&["DEL", "k"]);
            assert!(!server.command(keep).is_error(""), "{keep:?}");
            let before = server.command(&["DUMP", "k"]);

            let seen = tenure(&server, &["status", "k"]);
            let text = String::from_utf8_lossy(&seen.stdout);
            assert_eq!(seen.status.code(), Some(0), "{called}: {seen:?}");
            assert!(text.contains("foreign") && text.contains(called), "{called}: {text}");
            let seen = tenure(&server, &["status", "--json", "k"]);
            let text = String::from_utf8_lossy(&seen.stdout);
            assert!(text.contains(r#""state":"foreign""#), "{called}: {text}");

            // A waiter hears of it after a second, unless it is somebody's lock.
            let wait = if code == 65 { "60s" } else { "1500ms" };
            for patience in [&["--try"][..], &["--wait", wait]] {
                let words = [&["run"], patience, &["k", "--", "true"]].concat();
                let refused = tenure(&server, &words);
                let text = String::from_utf8_lossy(&refused.stderr);
                assert_eq!(refused.status.code(), Some(code), "{called}: {refused:?}");
                assert!(text.contains(called), "{called}, {patience:?}: {text}");
                assert!(!text.contains("not Tenure for"), "since when is not known: {text}");
            }
            // It waits for what ends, and for nothing else.
            let patience = if code == 65 { &["wait", "--timeout", "20s", "k"][..] } else { &SHORT };
            let waited = tenure(&server, patience);
            let text = String::from_utf8_lossy(&waited.stderr);
            assert_eq!(waited.status.code(), Some(code), "{called}: {waited:?}");
            assert!(text.contains(called), "{called}, waited for: {text}");
            if code == 65 {
                let refused = tenure(&server, &["run", "--steal", "k", "--", "true"]);
                let text = String::from_utf8_lossy(&refused.stderr);
                assert_eq!(refused.status.code(), Some(code), "{called}: {refused:?}");
                assert!(text.contains(called), "{called}, stolen: {text}");
            }
            assert_eq!(server.command(&["DUMP", "k"]), before, "{called}: it was touched");
        }
    }
}

#[test]
fn a_lock_of_another_library_is_taken_by_force_alone_and_that_is_said() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        server.command(&["SET", "k", "uuid\u{1b}[2J", "PX", "600000"]);
        let script = "\"$0\" status --json k";
        let words = ["run", "--steal", "k", "--", "sh", "-c", script, env!("CARGO_BIN_EXE_tenure")];
        let stolen = tenure(&server, &words);
        assert_eq!(stolen.status.code(), Some(0), "{stolen:?}");
        let text = String::from_utf8_lossy(&stolen.stdout);
        assert!(text.contains(r#""state":"held""#), "{text}");
        let told = String::from_utf8_lossy(&stolen.stderr);
        let said =
            r#"tenure: "k" is taken from another library (value "uuid\u{1b}[2J"); its holder"#;
        assert!(told.starts_with(said), "{told}");
    }
}

#[test]
fn a_name_of_another_locks_record_is_a_usage_error() {
    let server = Server::redis().start();
    let key = "tenure:{a}:record";
    for words in [&["run", key, "--", "true"][..], &["status", key], &["status", "--json", key]] {
        let refused = tenure(&server, words);
        let text = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(64), "{refused:?}");
        assert!(text.contains("choose another key"), "{text}");
    }
    assert_eq!(server.command(&["DBSIZE"]), tenure_testkit::Reply::Int(0));
}
