//! Wrong or missing configuration never falls back to the store of this host in silence: the rule
//! that a store is for all hosts, and variables whose names are nearly right.

use tenure_testkit::Flavour;

use crate::place::{Ended, Home, Place, Running};

const RULE: &str = "TENURE_REQUIRE_NETWORK";

/// `tenure` with these words and variables, and without a store in the environment.
fn run(place: &Place, words: &[&str], env: &[(&str, &str)]) -> Ended {
    let mut command = place.tenure(words);
    command.env_remove("TENURE_STORE_FILE").env("XDG_STATE_HOME", place.path("state"));
    Running::of(command.envs(env.iter().copied())).wait()
}

fn is_untouched(place: &Place) {
    let left: Vec<_> = std::fs::read_dir(place.path("")).expect("a directory").collect();
    assert!(left.is_empty(), "left: {left:?}");
}

#[test]
fn a_store_of_this_host_is_refused_before_anything_is_touched() {
    let place = Place::new();
    let file = place.store().display().to_string();
    let cmd = ["k", "--", "echo", "ran"];
    for (store, env, parts) in [
        (&[][..], &[][..], &["neither --store nor TENURE_STORE names another", "this user"][..]),
        (&["--store", "memory:"], &[], &["the memory of one process", "type --store redis://"]),
        (&["--store-file", &file], &[], &[&*file, "which the command line names"]),
        (&[], &[("TENURE_STORE_FILE", &*file)], &[&*file, "which TENURE_STORE_FILE names"]),
        (
            &[],
            &[("TENURE_STORE", "redis://:s3cret@localhost")],
            &["redis://localhost:6379/0", "which TENURE_STORE names", "export TENURE_STORE=redis"],
        ),
        (&["--store", "redis+unix:///run/redis.sock"], &[], &["a Unix socket of this host"]),
        (
            &["--store", "redis://a", "--store", "redis://b", "--store", "redis://127.0.0.1"],
            &[],
            &["has a node (redis://127.0.0.1:6379/0)"],
        ),
        (&[], &[("REDIS_URL", "redis://cache")], &["REDIS_URL is set, but is not read"]),
    ] {
        let by_option =
            run(&place, &[&["run", "--require-network"], store, &cmd[..]].concat(), env);
        let by_variable =
            run(&place, &[&["run"], store, &cmd[..]].concat(), &[env, &[(RULE, "1")]].concat());
        for (ended, rule) in [(by_option, "leave --require-network out"), (by_variable, RULE)] {
            assert_eq!((ended.code, &*ended.stdout), (Some(78), ""), "{store:?}: {ended:?}");
            for part in parts.iter().chain([&rule]) {
                assert!(ended.stderr.contains(part), "{store:?}, {part}: {}", ended.stderr);
            }
            assert!(ended.stderr.starts_with("tenure: ") && !ended.stderr.contains("s3cret"));
            assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
        }
        is_untouched(&place);
    }
    for words in [&["status", "k"][..], &["list"], &["permits", "k", "2"]] {
        let ended = run(&place, words, &[(RULE, "1")]);
        assert_eq!((ended.code, &*ended.stdout), (Some(78), ""), "{words:?}: {ended:?}");
    }
    is_untouched(&place);
}

#[test]
fn the_rule_is_1_or_0_and_nothing_else() {
    let place = Place::new();
    for value in ["yes", "true", " 1", "2"] {
        let ended = run(&place, &["run", "k", "--", "echo", "ran"], &[(RULE, value)]);
        assert_eq!((ended.code, &*ended.stdout), (Some(78), ""), "{value}: {ended:?}");
        assert!(ended.stderr.contains("neither 1 (on) nor 0 (off)"), "{}", ended.stderr);
    }
    is_untouched(&place);
    for value in ["0", ""] {
        let ended = run(&place, &["run", "k", "--", "echo", "ran"], &[(RULE, value)]);
        assert_eq!((ended.code, &*ended.stdout), (Some(0), "ran\n"), "{value}: {ended:?}");
    }
}

/// A server under a name of this host that other hosts could reach as well.
#[test]
fn a_server_for_all_hosts_is_used_and_cmd_has_the_rule() {
    let place = Place::at(Home::Server(Flavour::Redis));
    let uname = rustix::system::uname();
    let host = uname.nodename().to_string_lossy();
    let port = place.url().rsplit(':').next().expect("a port").to_owned();
    let url = format!("redis://{host}:{port}");
    let words = ["run", "--require-network", "--store", &url, "k", "--", "sh", "-c"];
    let line = "echo rule=$TENURE_REQUIRE_NETWORK; \"$TENURE\" status --store memory: k";
    let ended = place.run(&[&words[..], &[line]].concat());
    if ended.code == Some(69) {
        return println!("{host} leads to no address of the server: {}", ended.stderr);
    }
    assert_eq!((ended.code, &*ended.stdout), (Some(78), "rule=1\n"), "{ended:?}");
    assert!(ended.stderr.contains("the memory of one process"), "{ended:?}");
}

#[test]
fn a_variable_that_is_nearly_right_is_warned_about_in_one_line() {
    let place = Place::new();
    let env = [("TENURE_STOER", "redis://:s3cret@h"), ("TENURE_SERVICE_HOST", "10.0.0.1")];
    let warning = "tenure: not read, since tenure has no such variable: TENURE_STOER (did you mean \
                   TENURE_STORE?); see: tenure help environment\n";
    // Without a store the one of this host is used, and that is told with -q as well.
    for words in [&["run", "-q", "k", "--", "true"][..], &["list", "--json"], &["status", "k"]] {
        assert_eq!(run(&place, words, &env).stderr, warning, "{words:?}");
    }
    let named = |quiet: &[&str]| {
        let words = [&["run", "--store-file", "f"], quiet, &["k", "--", "true"]].concat();
        run(&place, &words, &env).stderr
    };
    assert_eq!((&*named(&[]), &*named(&["-q"])), (warning, ""));
}

#[test]
fn cmd_s_own_variables_are_no_mistake() {
    let place = Place::new();
    let ended = place.sh(
        "\"$TENURE\" run a -- sh -c '\"$TENURE\" run b -- env | grep ^TENURE_; \"$TENURE\" list'",
    );
    assert!(ended.stdout.contains("TENURE_HELD="), "{ended:?}");
    assert!(!ended.stderr.contains("no such variable"), "{ended:?}");
}

#[test]
fn a_store_that_is_no_url_is_answered_with_the_url() {
    let place = Place::new();
    for (typed, meant) in [
        ("localhost:6379", "did you mean redis://localhost:6379?"),
        ("localhost", "did you mean redis://localhost:6379?"),
        ("http://locks.internal:6379", "did you mean redis://locks.internal:6379?"),
        ("REDIS://locks.internal", "did you mean redis://locks.internal?"),
        ("10.0.0.1", "did you mean redis://10.0.0.1:6379?"),
        ("/tmp/x.db", "did you mean sqlite:/tmp/x.db? "),
        ("/tmp/x.db", "--store-file takes the path alone"),
        ("reddis://locks.internal", "did you mean redis://locks.internal?"),
        ("redi://", "did you mean redis://…?"),
        ("valky://locks.internal:6380", "did you mean valkey://locks.internal:6380?"),
        ("sqlit:/tmp/x.db", "did you mean sqlite:/tmp/x.db? "),
        ("quorum:redis://a redis://b rediss+clustre://c", "did you mean rediss+cluster://c?"),
    ] {
        let by_option = run(&place, &["run", "--store", typed, "k", "--", "true"], &[]);
        let by_variable = run(&place, &["list"], &[("TENURE_STORE", typed)]);
        for ended in [by_option, by_variable] {
            assert_eq!(ended.code, Some(78), "{typed}: {ended:?}");
            assert!(ended.stderr.contains(meant), "{typed}: {}", ended.stderr);
        }
    }
    for url in ["http://:s3cret@h", "reddis://:s3cret@h"] {
        let secret = run(&place, &["list"], &[("TENURE_STORE", url)]);
        assert!(secret.code == Some(78) && !secret.stderr.contains("s3cret"), "{secret:?}");
    }
}
