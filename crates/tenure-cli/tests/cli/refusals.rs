//! Refusals: each with its own message, exit code 64, or 78 for a store, and nothing is touched.

use crate::place::Place;

/// The words after `tenure`, and what the message has to contain.
type Case<'a> = (&'a [&'a str], &'a [&'a str]);

fn refused(cases: &[Case<'_>]) {
    refused_with(64, cases);
}

fn refused_with(code: i32, cases: &[Case<'_>]) {
    let mut messages = std::collections::HashSet::new();
    for (words, parts) in cases {
        let place = Place::new();
        let mut line = words.to_vec();
        if words[0] == "run" {
            line.splice(1..1, ["--report", "report"]);
        }
        let ended = place.run(&line);
        assert_eq!(ended.code, Some(code), "{words:?}: {ended:?}");
        assert_eq!(ended.stdout, "", "{words:?}");
        for part in *parts {
            assert!(ended.stderr.contains(part), "{words:?} without {part:?}: {ended:?}");
        }
        assert!(messages.insert(ended.stderr.clone()), "its own message: {ended:?}");
        let left: Vec<_> = std::fs::read_dir(place.path("")).expect("a directory").collect();
        assert!(left.is_empty(), "{words:?} left {left:?}");
    }
}

#[test]
fn keys_that_are_none() {
    let long = "k".repeat(513);
    refused(&[
        (&["run", "", "echo"], &["a key cannot be empty"]),
        (&["run", &long, "echo"], &["513 bytes", "512 bytes"]),
        (&["run", "a\nb", "echo"], &["control character U+000A"]),
        (&["status", "a\tb"], &["control character U+0009"]),
    ]);
}

#[test]
fn durations_out_of_limits_and_out_of_order() {
    refused(&[
        (&["run", "--ttl", "9ms", "k", "echo"], &["a ttl of 9ms is below the limit of 10ms"]),
        (&["run", "--ttl", "721h", "k", "echo"], &["a ttl of 30d1h is above", "30 days"]),
        (&["run", "--ttl", "30", "k", "echo"], &["30 has no unit", "30s"]),
        (&["run", "--wait", "soon", "k", "echo"], &["write it like 500ms"]),
        (&["run", "--ttl", "3s", "--kill-grace", "2s", "k", "echo"], &["2s", "1s", "3s"]),
        (&["run", "--min-hold", "31d", "k", "echo"], &["a min_hold of 31d", "30 days"]),
        (&["run", "--max-hold", "1ms", "k", "echo"], &["a max_hold of 1ms", "10ms"]),
        (&["run", "--min-hold", "2m", "--max-hold", "1m", "k", "echo"], &["max_hold (1m)", "2m"]),
        (&["run", "--store-timeout", "0s", "k", "echo"], &["--store-timeout is zero"]),
    ]);
}

#[test]
fn options_that_exclude_each_other() {
    refused(&[
        (&["run", "--try", "--wait", "1s", "k", "echo"], &["--try", "--wait"]),
        (&["run", "--retry", "3", "--wait", "1s", "k", "echo"], &["--retry", "--wait"]),
        (&["run", "--try", "--retry", "3", "k", "echo"], &["--try", "--retry"]),
        (&["run", "--retry-delay", "1s", "k", "echo"], &["--retry <N>"]),
        (&["run", "--wait-all", "--kill-rest", "k", "echo"], &["--wait-all", "--kill-rest"]),
        (&["run", "-q", "-v", "k", "echo"], &["--quiet", "--verbose"]),
        (&["run", "--store", "memory:", "--store-file", "f", "k", "echo"], &["--store-file"]),
    ]);
}

#[test]
fn a_theft_is_of_one_whole_key_and_waits_for_nobody() {
    refused(&[
        (&["run", "--steal", "--shared", "k", "echo"], &["--steal", "--shared"]),
        (&["run", "--steal", "--permits", "3", "k", "echo"], &["--steal", "--permits"]),
        (&["run", "--steal", "--try", "k", "echo"], &["--steal", "--try"]),
        (&["run", "--steal", "--wait", "1s", "k", "echo"], &["--steal", "--wait"]),
        (&["run", "--steal", "-w", "1", "k", "echo"], &["--steal", "-w <SECONDS>"]),
        (&["run", "--steal", "--retry", "3", "k", "echo"], &["--steal", "--retry"]),
        (
            &["run", "--steal", "-k", "a", "-k", "b", "--", "echo"],
            &["--steal is for one KEY, and 2 are given: several are"],
        ),
        (&["once", "--every", "1h", "--steal", "k", "--", "echo"], &["--steal"]),
        (&["elect", "--steal", "k", "--", "echo"], &["--steal", "elect"]),
    ]);
}

/// A run waited for it as for a server that may come.
#[test]
fn a_store_behind_links_that_lead_round_and_round() {
    let place = Place::new();
    std::os::unix::fs::symlink("loop.db", place.path("loop.db")).expect("a link");
    for words in [
        &["run", "--wait", "60s", "k", "--", "true"][..],
        &["acquire", "--wait", "60s", "k"],
        &["wait", "--timeout", "60s", "k"],
        &["status", "k"],
    ] {
        let words = [&words[..1], &["--store-file", "loop.db"], &words[1..]].concat();
        let ended = place.run(&words);
        assert_eq!(ended.code, Some(78), "{words:?}: {ended:?}");
        assert!(ended.stderr.contains("round and round by symbolic links"), "{ended:?}");
        assert!(!ended.stderr.contains("waiting for the store"), "{ended:?}");
    }
    let ended = place.run(&["doctor", "--store-file", "loop.db"]);
    assert_eq!(ended.code, Some(78), "{ended:?}");
    assert!(ended.stdout.contains("round and round"), "{ended:?}");
}

#[test]
fn permits_that_are_never_free() {
    refused(&[
        (&["run", "--units", "2", "k", "echo"], &["--permits <N>"]),
        (&["run", "--permits", "0", "k", "echo"], &["--permits", "1..=1073741824"]),
        (&["run", "--shared", "--permits", "3", "k", "echo"], &["--shared", "--permits"]),
        (&["run", "--permits", "1073741825", "k", "echo"], &["1073741825"]),
        (&["run", "--permits", "3", "--units", "0", "k", "echo"], &["--units", "0"]),
        (
            &["run", "--permits", "3", "--units", "4", "k", "echo"],
            &["--units 4", "--permits 3", "never free"],
        ),
        (
            &["run", "--permits", "3", "--ttl", "8ms", "k", "echo"],
            &["a ttl of 8ms is below the limit of 10ms"],
        ),
    ]);
}

#[test]
fn keys_without_an_end() {
    refused(&[
        (
            &["run", "-k", "a", "-k", "b", "--permits", "3", "--", "echo"],
            &["--permits is for one KEY, and 2 are given"],
        ),
        (&["run", "-k", "a", "echo", "x"], &["behind \"--\""]),
        (&["run", "-k", "a\u{1}", "--", "echo"], &["U+0001"]),
        (&["run", "-k", "a", "-k", "", "--", "echo"], &["key"]),
    ]);
    for words in [&["run", "-k", "a"][..], &["run", "-k", "a", "b", "--", "echo", "x"]] {
        refused(&[(words, &["no KEY is given", "tenure run -k KEY -k KEY -- CMD"])]);
    }
}

#[test]
fn values_that_mean_nothing() {
    let long = "o".repeat(257);
    refused(&[
        (&["run", "--signal", "NOPE", "k", "echo"], &["TERM, SIGTERM or 15"]),
        (&["run", "--on-lost", "panic", "k", "echo"], &["kill, ignore"]),
        (&["run", "--busy-exit", "256", "k", "echo"], &["256"]),
        (&["run", "--owner", "", "k", "echo"], &["an owner value cannot be empty"]),
        (&["run", "--label", "", "k", "echo"], &["--label", "a name for others cannot be empty"]),
        (&["once", "--every", "1h", "--label", " ", "k", "echo"], &["cannot be empty", "' '"]),
        (&["elect", "--label", "\t", "k", "echo"], &["cannot be empty", "'?'"]),
        (&["acquire", "--as", "", "k"], &["--as", "cannot be empty"]),
        (&["run", "--owner", &long, "k", "echo"], &["the owner value", "257 bytes", "256 bytes"]),
        (&["run", "--no-such-option", "k", "echo"], &["--no-such-option"]),
        (&["run", "k"], &["<CMD>..."]),
        (&["frob"], &["frob"]),
    ]);
}

#[test]
fn stores_that_are_none() {
    refused_with(
        78,
        &[
            (&["run", "--store", "locks", "k", "echo"], &["--store is no URL", "sqlite:"]),
            (&["run", "--store", "nosql:x", "k", "echo"], &["\"nosql\" is no known store"]),
            (&["run", "--store", "sqlite:f?mode=ro", "k", "echo"], &["unknown parameter \"mode\""]),
            (&["run", "--store", "sqlite:", "k", "echo"], &["--store names no file"]),
            (&["status", "--store-file", "", "k"], &["--store-file"]),
            (&["status", "--store", "reddis://h", "k"], &["--store: ", "\"reddis\" is no known"]),
            (&["status", "--store", "redis:", "k"], &["tenure: config: "]),
            (&["status", "--store", "redis://h:99999", "k"], &["tenure: config: "]),
            (&["status", "--store", "redis://h?foo=1", "k"], &["foo"]),
        ],
    );
}

#[test]
fn a_secret_is_never_repeated() {
    let place = Place::new();
    let ended = place.run(&["run", "--store", "nosql://ada:s3cret@host", "k", "echo"]);
    assert_eq!(ended.code, Some(78), "{ended:?}");
    assert!(!ended.stderr.contains("s3cret"), "{ended:?}");
    let mut command = place.tenure(&["run", "k", "--", "env"]);
    command.env("TENURE_STORE", "nosql://ada:s3cret@host").env_remove("TENURE_STORE_FILE");
    let ended = crate::place::Running::of(&mut command).wait();
    assert_eq!(ended.code, Some(78), "{ended:?}");
    assert!(!format!("{ended:?}").contains("s3cret"), "{ended:?}");
}

#[test]
fn two_stores_in_the_environment_are_none() {
    let place = Place::new();
    let mut command = place.tenure(&["list"]);
    let ended = command.env("TENURE_STORE", "memory:").output().expect("tenure starts");
    let stderr = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(78), "{stderr}");
    assert!(stderr.contains("TENURE_STORE and TENURE_STORE_FILE are both set"), "{stderr}");
}

/// An empty variable is a mistake of a script, and the store of this host and user is another one.
#[test]
fn an_empty_store_is_refused_and_not_the_local_file() {
    for (name, value) in [("TENURE_STORE", ""), ("TENURE_STORE_FILE", "")] {
        for words in [&["run", "k", "--", "echo", "ran"][..], &["status", "k"], &["list"]] {
            let place = Place::new();
            let mut command = place.tenure(words);
            let ended = command.env_remove("TENURE_STORE_FILE").env(name, value).output();
            let ended = ended.expect("tenure starts");
            let stderr = String::from_utf8_lossy(&ended.stderr);
            assert_eq!(ended.status.code(), Some(78), "{name} {words:?}: {stderr}");
            assert!(stderr.contains(&format!("{name} is set and empty")), "{stderr}");
            let left: Vec<_> = std::fs::read_dir(place.path("")).expect("a directory").collect();
            assert!(left.is_empty(), "{name} {words:?} left {left:?}");
        }
    }
    refused_with(
        78,
        &[
            (&["run", "--store", "", "k", "echo"], &["--store is empty"]),
            (&["run", "--store-file", "", "k", "echo"], &["--store-file names no file"]),
        ],
    );
}

#[test]
fn a_line_for_a_shell_is_answered_with_the_line_to_type() {
    let place = Place::new();
    for (words, line) in [
        (&["k", "echo a && echo b"][..], "k -- sh -c 'echo a && echo b'"),
        (&["k", "-c", "echo hi"], "k -- sh -c 'echo hi'"),
        (&["k", "--", "FOO=bar", "env"], "k -- sh -c 'FOO=bar env'"),
        (&["k", "--", "cd", "/tmp", "&&", "pwd"], "k -- sh -c 'cd /tmp && pwd'"),
        (&["k", "--", "export", "A=1"], "k -- sh -c 'export A=1'"),
        (&["a key", "echo a | cat"], "'a key' -- sh -c 'echo a | cat'"),
        (&["k", "echo *"], "k -- sh -c 'echo *'"),
        (&["k", "echo a > /dev/null"], "k -- sh -c 'echo a > /dev/null'"),
        (&["k", "ll"], "k -- bash -ic ll"),
    ] {
        let ended = place.run(&[&["run"], words].concat());
        assert_eq!((ended.code, &*ended.stdout), (Some(127), ""), "{words:?}: {ended:?}");
        assert!(ended.stderr.contains(": command not found; no shell is involved: use "));
        assert!(ended.stderr.ends_with(&format!(", so: tenure run {line}\n")), "{ended:?}");
    }
    assert!(!place.store().exists(), "nothing was touched");
    // The lines work as they are.
    for (line, output) in
        [("k -- sh -c 'echo a && echo b'", "a\nb\n"), ("k -- sh -c 'FOO=bar env'", "FOO=bar\n")]
    {
        let ended = place.sh(&format!("\"$TENURE\" run {line}"));
        assert!(ended.stdout.contains(output), "{ended:?}");
    }
}

#[test]
fn a_hint_repeats_no_secret() {
    let place = Place::new();
    let store = "redis://:s3cret@host";
    for words in [
        &["run", "k", "--", "PGPASSWORD=s3cret", "psql"][..],
        &["run", "k", "--", "A=1", "API_KEY=s3cret", "curl"],
        &["run", "--store", store, "k", "--", "cd", "/"],
    ] {
        let ended = place.run(words);
        assert_eq!(ended.code, Some(127), "{words:?}: {ended:?}");
        assert!(!ended.stderr.contains("s3cret"), "{words:?}: {ended:?}");
    }
}

#[test]
fn an_unknown_option_behind_the_key_is_no_cmd() {
    let place = Place::new();
    for (words, similar) in [
        (&["run", "k", "--tll", "10s", "--", "echo", "ran"][..], "; did you mean --ttl? "),
        (&["run", "k", "--tll=10s", "echo", "ran"], "; did you mean --ttl? "),
        (&["run", "-v", "k", "-Z", "echo", "ran"], ": see tenure run --help. "),
        (&["elect", "k", "--vlaue", "x", "echo", "ran"], "; did you mean --value? "),
        (&["once", "--every", "1h", "k", "--lable", "x", "echo"], "; did you mean --label? "),
    ] {
        let ended = place.run(words);
        assert_eq!((ended.code, &*ended.stdout), (Some(64), ""), "{words:?}: {ended:?}");
        let says = format!("tenure {} has no such option{similar}", words[0]);
        assert!(ended.stderr.contains(&says), "{words:?}: {ended:?}");
        assert!(ended.stderr.contains(" k -- -"), "{ended:?}");
    }
    assert!(!place.store().exists(), "nothing was touched");
    // Those of the command are read behind the key as well, those behind CMD are CMD's.
    let ended = place.run(&["run", "k", "--ttl", "10s", "echo", "--ttl", "10s"]);
    assert_eq!((ended.code, &*ended.stdout), (Some(0), "--ttl 10s\n"), "{ended:?}");
    let ended = place.run(&["run", "k", "--", "--tll"]);
    assert_eq!(ended.code, Some(127), "{ended:?}");
    let ended = place.run(&["run", "k", "--token=s3cret", "echo"]);
    assert!(ended.code == Some(64) && !ended.stderr.contains("s3cret"), "{ended:?}");
}
