//! `tenure doctor` against each misconfiguration of real servers, and against good ones (single
//! ones here, groups in the folder); and the warning of an eviction policy when a program connects.

mod cluster;
mod quorum;
mod sentinels;
mod warning;

use std::collections::BTreeMap;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tenure_testkit::{Fate, Flavour, Proxy, Server, ServerOptions, Which, clean, wait_until};

use crate::patience::unhurried;
use crate::schema;

const SCHEMA: &str = include_str!("../../schema/doctor.json");

/// The least rights, and a password.
fn rights() -> String {
    let rule = tenure::store::Rights::default().rule();
    format!("on >PASSWORD {rule}")
}

fn run_tenure(store: &str, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tenure"));
    clean(&mut command).args(words).env("TENURE_STORE", unhurried(store));
    command.stdin(Stdio::null()).output().expect("it starts")
}

/// The doctor's view of a store: its exit code, and the worst severity of each subject.
fn examined(store: &str, words: &[&str]) -> (i32, BTreeMap<String, String>, Value) {
    let output = run_tenure(store, &[&["doctor", "--json"], words].concat());
    let text = String::from_utf8(output.stdout.clone()).expect("text");
    assert!(!text.contains("PASSWORD") && output.stderr.is_empty(), "{output:?}");
    let report: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {output:?}"));
    let schema = serde_json::from_str(SCHEMA).expect("the schema is JSON");
    schema::check(&schema, &report).unwrap_or_else(|e| panic!("{e} in {report}"));
    let rank = |severity: &str| {
        let order = ["ok", "unknown", "note", "warning", "error"];
        order.iter().position(|known| *known == severity).expect("a severity")
    };
    let mut of = BTreeMap::new();
    for finding in report["findings"].as_array().expect("a list") {
        let text = |name: &str| finding[name].as_str().expect("text").to_owned();
        let (about, severity) = (text("about"), text("severity"));
        if rank(&severity) >= rank("warning") {
            assert!(finding["consequence"].is_string(), "nothing follows: {finding}");
            assert!(finding["remedy"].is_string(), "nothing is to be done: {finding}");
        }
        let worst = of.entry(about).or_insert_with(|| severity.clone());
        if rank(&severity) > rank(worst) {
            *worst = severity;
        }
    }
    (output.status.code().expect("a code"), of, report)
}

/// The text says the same as the JSON: the exit code, the subjects, and for each warning or error
/// what follows from it and what to do.
fn reads_the_same(store: &str, words: &[&str], (code, report): (i32, &Value)) {
    let output = run_tenure(store, &[&["doctor"], words].concat());
    let text = String::from_utf8(output.stdout.clone()).expect("text");
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert!(!text.contains("PASSWORD") && output.stderr.is_empty(), "{output:?}");
    for finding in report["findings"].as_array().expect("a list") {
        let [place, about, severity] =
            ["place", "about", "severity"].map(|name| finding[name].as_str().expect("text"));
        let line = format!("  {severity:<8} {about}: ");
        assert!(text.contains(&line) && text.contains(place), "{line} is missing in {text}");
        for (before, name) in [("so: ", "consequence"), ("do: ", "remedy")] {
            let line = finding[name].as_str().map(|said| format!("{before}{said}\n"));
            assert!(line.is_none_or(|line| text.contains(&line)), "{name} is missing in {text}");
        }
    }
}

/// The places of the warnings and errors about a subject, with their severity.
fn places<'a>(report: &'a Value, about: &str) -> Vec<(&'a str, &'a str)> {
    let findings = report["findings"].as_array().expect("a list").iter();
    let of = findings.filter(|finding| finding["about"] == about);
    let both = of.map(|finding| {
        let text = |name: &str| finding[name].as_str().expect("text");
        (text("place"), text("severity"))
    });
    both.filter(|(_, severity)| ["warning", "error"].contains(severity)).collect()
}

/// The subjects with a warning or an error.
fn bad(of: &BTreeMap<String, String>) -> Vec<(&str, &str)> {
    let is_bad = |(_, severity): &(&str, &str)| ["warning", "error"].contains(severity);
    of.iter().map(|(about, severity)| (&**about, &**severity)).filter(is_bad).collect()
}

/// A server that has just started, or was just emptied, grants nothing new at first.
const RUNNING: (&str, &str) = ("restart-guard", "warning");

fn durable(flavour: Flavour) -> ServerOptions {
    Server::of(flavour).with_aof("always")
}

fn url_of_user(server: &Server) -> String {
    format!("redis://somebody:PASSWORD@{}", server.address())
}

#[test]
fn a_good_server_has_no_finding() {
    for flavour in Flavour::ALL {
        let server = durable(flavour).with_user("somebody", &rights()).start();
        let (code, of, report) = examined(&url_of_user(&server), &[]);
        assert_eq!((code, bad(&of)), (0, vec![]), "{flavour}: {report}");
        assert_eq!(report["worst"], "ok", "{flavour}: {report}");
        for about in ["latency", "clock", "version", "role", "eviction", "memory", "persistence"] {
            assert_eq!(of.get(about).map(String::as_str), Some("ok"), "{about}: {report}");
        }
    }
}

/// All was said to be well, while the server granted nothing new.
#[test]
fn a_guard_that_runs_is_told_until_it_has_ended() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).start();
        let running = format!("{}?restart_guard=5m", server.url());
        let (code, of, report) = examined(&running, &[]);
        assert_eq!((code, bad(&of)), (1, vec![RUNNING]), "{flavour}: {report}");
        assert!(
            report.to_string().contains("nothing new is granted here for another "),
            "{report}"
        );
        reads_the_same(&running, &[], (code, &report));
        let short = format!("{}?restart_guard=1s", server.url());
        let ended = || {
            let (code, of, _) = examined(&short, &["--ttl", "1s"]);
            (code, bad(&of).is_empty()) == (0, true)
        };
        wait_until("the guard has ended", ended);
        server.command(&["FLUSHALL"]);
        let (code, of, report) = examined(&running, &[]);
        assert_eq!((code, bad(&of)), (1, vec![RUNNING]), "{flavour}, emptied: {report}");
    }
}

/// The clock was said to be stepped by half of the time that the first question took.
#[test]
fn a_way_that_is_slow_once_is_no_step_of_the_clock() {
    for flavour in Flavour::ALL {
        let server = durable(flavour).start();
        let proxy = Proxy::to(server.address());
        let held = proxy.on(Which::nth_named(1, "TIME"), Fate::Hold);
        let (_, of, report) = std::thread::scope(|scope| {
            let examined = scope.spawn(|| examined(&proxy.url(), &[]));
            wait_until("the clock is asked for", || held.strikes() == 1);
            // The time on the way.
            std::thread::sleep(Duration::from_millis(500));
            held.deliver();
            examined.join().expect("no panic")
        });
        assert_eq!(of["clock"], "ok", "{flavour}: {report}");
    }
}

/// A step back was told with two signs: "-89999.-9 ms".
#[test]
fn a_clock_that_is_wrong_or_is_stepped_is_found() {
    let server = Server::valkey().with_own_clock().with_aof("always").start();
    let clock = |report: &Value| {
        let findings = report["findings"].as_array().expect("a list");
        let finding = findings.iter().find(|of| of["about"] == "clock").expect("a finding");
        finding["what"].as_str().expect("a text").to_owned()
    };
    let (_, of, report) = examined(&server.url(), &[]);
    assert_eq!(of["clock"], "ok", "{report}");
    for (ahead, side) in [(90, "ahead of"), (-90, "behind")] {
        server.set_clock(ahead);
        let (_, of, report) = examined(&server.url(), &[]);
        assert_eq!(of["clock"], "warning", "{report}");
        assert!(clock(&report).contains(side), "{report}");
    }
    for (ahead, direction) in [(0, "forward"), (-90, "back")] {
        let proxy = Proxy::to(server.address());
        let held = proxy.on(Which::nth_named(2, "TIME"), Fate::Hold);
        let (_, of, report) = std::thread::scope(|scope| {
            let examined = scope.spawn(|| examined(&proxy.url(), &[]));
            wait_until("the clock is asked for again", || held.strikes() == 1);
            server.set_clock(ahead);
            held.deliver();
            examined.join().expect("no panic")
        });
        assert_eq!(of["clock"], "error", "{report}");
        let said = clock(&report);
        let start = format!("the server's clock was stepped {direction} by ");
        assert!(said.contains(&start) && !said.contains('-'), "{said}");
    }
}

#[test]
fn a_policy_that_evicts_is_found_and_warned_about_at_connect() {
    for flavour in Flavour::ALL {
        for (policy, limit, severity, words) in [
            ("volatile-lru", "100mb", "error", "which all locks are"),
            ("allkeys-lru", "100mb", "error", "locks among them"),
            ("volatile-ttl", "0", "warning", "once it has a maxmemory"),
        ] {
            let server = durable(flavour)
                .with(format!("maxmemory {limit}"))
                .with(format!("maxmemory-policy {policy}"))
                .with_user("blind", &rights().replace("+info ", ""))
                .start();
            let (code, of, report) = examined(&server.url(), &[]);
            assert_eq!((code, bad(&of)), (1, vec![("eviction", severity)]), "{flavour}: {report}");
            assert!(report.to_string().contains(words), "{report}");
            assert!(report.to_string().contains("CONFIG SET maxmemory-policy noeviction"));
            let run = run_tenure(&server.url(), &["run", "k", "--", "true"]);
            let text = String::from_utf8_lossy(&run.stderr);
            assert_eq!(run.status.code(), Some(0), "{run:?}");
            let warned = text.lines().filter(|line| line.contains(policy)).count();
            assert!(warned == 1 && text.contains(words), "{flavour}: {text}");
            // A server that does not tell is not blamed.
            let blind = format!("redis://blind:PASSWORD@{}", server.address());
            let run = run_tenure(&blind, &["run", "k", "--", "true"]);
            assert!(run.status.success() && run.stderr.is_empty(), "{run:?}");
        }
        let server = durable(flavour).start();
        let run = run_tenure(&server.url(), &["run", "k", "--", "true"]);
        assert!(run.status.success() && run.stderr.is_empty(), "{run:?}");
    }
}

#[test]
fn memory_that_is_nearly_used_up_is_found() {
    for flavour in Flavour::ALL {
        let server = durable(flavour).start();
        let used: u64 = server.info("used_memory").expect("told").parse().expect("a number");
        server.command(&["CONFIG", "SET", "maxmemory", &(used + used / 20).to_string()]);
        let (code, of, report) = examined(&server.url(), &[]);
        assert_eq!((code, bad(&of)), (1, vec![("memory", "warning")]), "{flavour}: {report}");
    }
}

#[test]
fn a_server_that_forgets_at_a_restart_is_found() {
    for flavour in Flavour::ALL {
        for (save, words) in [("\"\"", "all leases"), ("3600 1", "after the last snapshot")] {
            let server = Server::of(flavour).with(format!("save {save}")).start();
            let (code, of, report) = examined(&server.url(), &["--ttl", "1h"]);
            let expected = vec![("persistence", "warning"), ("uptime", "warning")];
            assert_eq!((code, bad(&of)), (1, expected), "{flavour}: {report}");
            assert!(report.to_string().contains(words), "{report}");
            assert!(report.to_string().contains("?restart_guard=1h"), "{report}");
        }
    }
}

#[test]
fn replicas_that_may_miss_grants_and_a_replica_itself_are_found() {
    for flavour in Flavour::ALL {
        let primary = durable(flavour).start();
        let replica = Server::of(flavour).with_aof("always").with_primary(&primary).start();
        let (code, of, report) = examined(&primary.url(), &[]);
        assert_eq!((code, bad(&of)), (1, vec![("replicas", "warning")]), "{flavour}: {report}");
        let (code, of, report) = examined(&format!("{}?ack=1", primary.url()), &[]);
        assert_eq!((code, bad(&of)), (0, vec![]), "{flavour}: {report}");
        assert_eq!(of["replicas"], "note", "{report}");
        primary.command(&["CONFIG", "SET", "min-replicas-to-write", "1"]);
        let (_, of, report) = examined(&format!("{}?ack=1", primary.url()), &[]);
        assert_eq!(of["replicas"], "ok", "{report}");
        let (code, of, report) = examined(&replica.url(), &[]);
        assert_eq!((code, bad(&of)), (1, vec![("role", "error")]), "{flavour}: {report}");
        assert!(report.to_string().contains(&format!("redis://{}", primary.address())));
        replica.command(&["REPLICAOF", "NO", "ONE"]);
        let (code, of, report) = examined(&replica.url(), &[]);
        assert_eq!((code, &*of["promotion"]), (0, "note"), "{flavour}: {report}");
    }
}

#[test]
fn a_restart_guard_that_is_too_short_or_that_only_others_use_is_found() {
    for flavour in Flavour::ALL {
        let server = durable(flavour).start();
        let guarded = format!("{}?restart_guard=10s", server.url());
        let (code, of, report) = examined(&guarded, &[]);
        assert_eq!((code, bad(&of)), (1, vec![("restart-guard", "error")]), "{report}");
        let ended = || examined(&guarded, &["--ttl", "10s"]).0 == 0;
        wait_until("it is long enough, and has ended", ended);
        let (code, of, report) = examined(&server.url(), &[]);
        assert_eq!((code, bad(&of)), (1, vec![("restart-guard", "warning")]), "{report}");
    }
}

#[test]
fn each_missing_right_is_found_by_its_name() {
    for flavour in Flavour::ALL {
        let rule = rights();
        let each = rule.split(' ').filter_map(|word| word.strip_prefix('+'));
        // Without these nobody gets in, or this user needs no such right.
        let needless = ["ping", "select", "info", "wait"];
        let server = durable(flavour).with_user("somebody", &rights()).start();
        for right in each.filter(|right| !needless.contains(right)) {
            server.command(&["ACL", "SETUSER", "somebody", &format!("-{right}")]);
            let (code, of, report) = examined(&url_of_user(&server), &[]);
            let about = if right == "subscribe" { "pushes" } else { "rights" };
            assert_eq!(code, 1, "{flavour}, {right}: {report}");
            // Without publish or scripts no message comes through either.
            let is_other = |(subject, _): &(&str, &str)| ![about, "pushes"].contains(subject);
            assert_eq!(bad(&of).into_iter().find(is_other), None, "{right}: {report}");
            assert!(bad(&of).iter().any(|(subject, _)| *subject == about), "{right}: {report}");
            assert!(report.to_string().contains(right), "{flavour}, {right}: {report}");
            server.command(&["ACL", "SETUSER", "somebody", &format!("+{right}")]);
        }
        // Nothing of the questions is left.
        assert_eq!(server.command(&["DBSIZE"]).to_string(), "0", "{flavour}");
    }
}

#[test]
fn a_service_that_forbids_to_ask_is_no_failure() {
    for flavour in Flavour::ALL {
        let server = durable(flavour)
            .with("rename-command CONFIG \"\"")
            .with("rename-command INFO \"\"")
            .start();
        let (code, of, report) = examined(&server.url(), &[]);
        assert_eq!((code, bad(&of)), (0, vec![]), "{flavour}: {report}");
        for about in ["role", "eviction", "persistence", "replicas", "uptime"] {
            assert_eq!(of[about], "unknown", "{flavour}: {report}");
        }
    }
}

#[test]
fn a_server_that_cannot_be_used_ends_it_with_the_code_of_the_reason() {
    for flavour in Flavour::ALL {
        let server = Server::of(flavour).with_password("right").start();
        let wrong = format!("redis://:PASSWORD@{}", server.address());
        let (code, of, report) = examined(&wrong, &[]);
        assert_eq!((code, bad(&of)), (77, vec![("reachable", "error")]), "{flavour}: {report}");
        server.kill9();
        let (code, of, report) = examined(&server.url(), &[]);
        assert_eq!((code, bad(&of)), (69, vec![("reachable", "error")]), "{flavour}: {report}");
    }
}
