//! `tenure once`: CMD runs once per tick, and the others are told how it went.

use rustix::process::Signal;
use serde_json::Value;

use crate::place::{Home, Place, on_every_store, until};

on_every_store! {
    it_runs_once_and_the_next_is_told_how_it_ended
    failure_is_on_record_and_its_code_passed_on
    failed_run_is_retried_if_that_is_asked_for
    killed_run_has_failed
    run_that_is_under_way_is_not_overlapped
}

/// The options of a job whose next tick no test sees.
const JOB: [&str; 4] = ["once", "--every", "1d", "--since-last-run"];

fn words<'a>(options: &[&'a str], cmd: &[&'a str]) -> Vec<&'a str> {
    [&JOB[..], options, &["k", "--"], cmd].concat()
}

fn last_run(place: &Place) -> Value {
    place.status("k")["last_run"].clone()
}

fn it_runs_once_and_the_next_is_told_how_it_ended(home: Home) {
    let place = Place::at(home);
    assert!(last_run(&place).is_null());
    let first = place.run(&words(&["--label", "host-1"], &["echo", "ran"]));
    assert_eq!((first.code, &*first.stdout, &*first.stderr), (Some(0), "ran\n", ""), "{first:?}");
    let second = place.run(&words(&[], &["echo", "ran"]));
    assert_eq!((second.code, &*second.stdout), (Some(0), ""), "{second:?}");
    let told = second.stderr.strip_prefix("tenure: \"k\" is skipped: host-1 began it at ");
    let told = told.unwrap_or_else(|| panic!("{second:?}"));
    assert!(told.contains(" UTC, and was done after "), "{second:?}");
    assert_eq!(second.stderr.lines().count(), 1, "{second:?}");
    let quiet = place.run(&words(&["--skip-exit", "7", "-q"], &["echo", "ran"]));
    assert_eq!((quiet.code, &*quiet.stdout, &*quiet.stderr), (Some(7), "", ""), "{quiet:?}");
    let run = last_run(&place);
    assert_eq!((&run["label"], &run["state"]), (&"host-1".into(), &"ok".into()), "{run}");
    assert!(run["took_ms"].is_u64() && run["reason"].is_null(), "{run}");
    let status = place.run(&["status", "k"]).stdout;
    assert!(status.starts_with("k: free"), "{status}");
    assert!(status.contains("\n  last run: host-1 began it at 20"), "{status}");
    let report = place.run(&words(&["--report", "-"], &["echo", "ran"])).stdout;
    let report: Value = serde_json::from_str(&report).expect("a report");
    assert_eq!((&report["outcome"], &report["exit"]), (&"skipped".into(), &0.into()), "{report}");
}

fn failure_is_on_record_and_its_code_passed_on(home: Home) {
    let place = Place::at(home);
    let failed = place.run(&words(&[], &["sh", "-c", "exit 3"]));
    assert_eq!((failed.code, &*failed.stderr), (Some(3), ""), "{failed:?}");
    let run = last_run(&place);
    assert_eq!((&run["state"], &run["reason"]), (&"failed".into(), &"exit code 3".into()), "{run}");
    let skipped = place.run(&words(&[], &["echo", "ran"]));
    assert_eq!((skipped.code, &*skipped.stdout), (Some(0), ""), "{skipped:?}");
    assert!(skipped.stderr.contains(": exit code 3\n"), "{skipped:?}");
}

fn failed_run_is_retried_if_that_is_asked_for(home: Home) {
    let place = Place::at(home);
    let signalled = place.run(&words(&[], &["sh", "-c", "kill -9 $$"]));
    assert_eq!(signalled.code, Some(137), "{signalled:?}");
    assert_eq!(last_run(&place)["reason"], "ended by SIGKILL");
    let retried = place.run(&words(&["--retry-failed"], &["echo", "ran"]));
    assert_eq!((retried.code, &*retried.stdout), (Some(0), "ran\n"), "{retried:?}");
    let done = place.run(&words(&["--retry-failed"], &["echo", "ran"]));
    assert_eq!((done.code, &*done.stdout), (Some(0), ""), "{done:?}");
}

fn killed_run_has_failed(home: Home) {
    let place = Place::at(home);
    let lease = ["--ttl", "6s", "--kill-grace", "100ms"];
    let run = place.start(&words(&lease, &["sleep", "600"]));
    until("it runs", || (last_run(&place)["state"] == "running").then_some(()));
    run.signal(Signal::KILL);
    until("its lease ends", || (last_run(&place)["state"] == "unfinished").then_some(()));
    let skipped = place.run(&words(&[], &["echo", "ran"]));
    assert!(skipped.stderr.contains("and did not finish it"), "{skipped:?}");
    let retried = place.run(&words(&["--retry-failed"], &["echo", "ran"]));
    assert_eq!((retried.code, &*retried.stdout), (Some(0), "ran\n"), "{retried:?}");
}

fn run_that_is_under_way_is_not_overlapped(home: Home) {
    let place = Place::at(home);
    let tick = ["once", "--every", "10ms", "--label", "host-1", "k", "--"];
    let run = place.start(&[&tick[..], &["sleep", "600"]].concat());
    until("it runs", || (last_run(&place)["state"] == "running").then_some(()));
    let skipped = place.run(&[&tick[..], &["echo", "ran"]].concat());
    assert_eq!((skipped.code, &*skipped.stdout), (Some(0), ""), "{skipped:?}");
    assert!(skipped.stderr.contains("and is at it"), "{skipped:?}");
    // A lock of another kind does not wait for ticks.
    let busy = place.run(&["run", "--try", "k", "--", "echo", "ran"]);
    assert_eq!(busy.code, Some(75), "{busy:?}");
    run.signal(Signal::TERM);
    assert_eq!(run.wait().code, Some(143));
    assert_eq!(last_run(&place)["reason"], "ended by SIGTERM");
    let next = place.run(&[&tick[..], &["echo", "ran"]].concat());
    assert_eq!((next.code, &*next.stdout), (Some(0), "ran\n"), "{next:?}");
}

#[test]
fn a_key_that_others_hold_is_busy() {
    let place = Place::new();
    let _held = place.start(&["run", "--label", "somebody", "k", "--", "sleep", "600"]);
    until("it is held", || (place.status("k")["state"] == "held").then_some(()));
    let busy = place.run(&words(&[], &["echo", "ran"]));
    assert_eq!((busy.code, &*busy.stdout), (Some(75), ""), "{busy:?}");
    assert!(busy.stderr.contains("held by somebody"), "{busy:?}");
    assert_eq!(place.run(&words(&["--busy-exit", "0"], &["echo", "ran"])).code, Some(0));
}

#[test]
fn bad_options_are_refused_before_anything_is_touched() {
    let place = Place::new();
    for (options, word) in [
        (&["once", "k", "--", "true"][..], "--every"),
        (&["once", "--every", "1ms", "k", "--", "true"], "10ms"),
        (&["once", "--every", "5", "k", "--", "true"], "unit"),
        (&["once", "--every", "5m", "--wait", "1s", "k", "--", "true"], "--wait"),
        (&["once", "--every", "5m", "k"], "CMD"),
    ] {
        let refused = place.run(options);
        assert_eq!(refused.code, Some(64), "{refused:?}");
        assert!(refused.stderr.contains(word), "{refused:?}");
    }
    assert!(last_run(&place).is_null());
}

#[test]
fn a_quorum_runs_it_once() {
    let place = Place::new();
    let store = ["--store", "sqlite:a.db", "--store", "sqlite:b.db", "--store", "sqlite:c.db"];
    let words = [&["once", "--every", "1d"], &store[..], &["k", "--", "echo", "ran"]].concat();
    let (first, second) = (place.run(&words), place.run(&words));
    assert_eq!((first.code, &*first.stdout), (Some(0), "ran\n"), "{first:?}");
    assert_eq!((second.code, &*second.stdout), (Some(0), ""), "{second:?}");
    assert!(second.stderr.contains("and was done after"), "{second:?}");
}

#[test]
fn a_nested_run_of_the_same_job_is_refused() {
    let place = Place::new();
    let script = "\"$TENURE\" once --every 1d k -- echo ran; echo $?";
    let ended = place.run(&words(&[], &["sh", "-c", script]));
    assert_eq!(ended.stdout, "64\n", "{ended:?}");
    assert!(ended.stderr.contains("no run of a job can begin before that"), "{ended:?}");
}

#[test]
fn a_run_that_was_taken_away_is_told_and_its_key_is_not_said_to_be_held() {
    let place = Place::new();
    let script = "\"$TENURE\" force-release --yes k > /dev/null";
    let line = ["once", "--every", "1h", "--report", "r", "k", "--", "sh", "-c", script];
    let ended = place.run(&line);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let told = ended.stderr.contains("so the outcome is not on record");
    assert!(told && !ended.stderr.contains("is free in"), "{ended:?}");
    assert!(place.report("r")["reason"].is_string());
}
