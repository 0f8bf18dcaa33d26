//! A store that falls silent is never "busy", and the user waits for it once.

use std::fs;

use rustix::process::Signal;
use tenure_testkit::Flavour;

use crate::place::{Home, Place, Running, on_every_store, until};

/// A store timeout that no test waits for: a run that waited for it would be seen.
const LONG: &str = "10m";
/// The message about a claim that was not answered.
const LEFT: &str = "a request that was not answered may still count at ";

on_every_store! {
    a_store_that_falls_silent_while_we_wait_is_not_busy
    a_store_that_is_silent_from_the_start_is_not_busy
    a_signal_does_not_wait_for_a_silent_store
    a_release_that_is_not_answered_is_told_once
}

fn a_store_that_falls_silent_while_we_wait_is_not_busy(home: Home) {
    let place = Place::at(home);
    let _holder = hold(&place);
    // A file is not blocked before Python has started.
    let wait = if matches!(home, Home::File) { "15s" } else { "8s" };
    let waiter = start(&place, &["--wait", wait, "--busy-exit", "0"]);
    let _blocked = place.block_store();
    let ended = waiter.wait();
    assert_eq!((ended.code, &*ended.stdout), (Some(69), ""), "{ended:?}");
    assert!(ended.stderr.contains("has not answered"), "{ended:?}");
    assert!(ended.stderr.contains(LEFT), "{ended:?}");
    let report = place.report("r");
    assert_eq!((&report["outcome"], &report["exit"]), (&"failed".into(), &69.into()));
    assert!(report["reason"].as_str().is_some_and(|why| why.contains(LEFT)), "{report}");
}

fn a_store_that_is_silent_from_the_start_is_not_busy(home: Home) {
    let place = Place::at(home);
    assert_eq!(place.run(&["run", "k", "--", "true"]).code, Some(0));
    let _blocked = place.block_store();
    for words in [&["--try"][..], &["--wait", "300ms"]] {
        let before = ["run", "--store-timeout", LONG, "-q", "--busy-exit", "0"];
        let ended = place.run(&[&before, words, &["k", "--", "echo", "ran"]].concat());
        assert_eq!((ended.code, &*ended.stdout), (Some(69), ""), "{words:?}: {ended:?}");
        assert!(ended.stderr.starts_with("tenure: unavailable: cannot "), "{words:?}: {ended:?}");
    }
}

fn a_signal_does_not_wait_for_a_silent_store(home: Home) {
    let place = Place::at(home);
    let _holder = hold(&place);
    let waiter = start(&place, &[]);
    let _blocked = place.block_store();
    waiter.signal(Signal::TERM);
    let ended = waiter.wait();
    assert_eq!(ended.code, Some(128 + 15), "{ended:?}");
    assert!(ended.stderr.contains(LEFT), "{ended:?}");
}

fn a_release_that_is_not_answered_is_told_once(home: Home) {
    let place = Place::at(home);
    let script = "echo $$ > pid; until [ -e go ]; do sleep 0.01; done; exit 7";
    let words = ["run", "--store-timeout", "5s", "k", "--", "sh", "-c", script];
    let running = place.start(&words);
    place.number_in("pid");
    let _blocked = place.block_store();
    fs::write(place.path("go"), "").expect("a file");
    let ended = running.wait();
    assert_eq!(ended.code, Some(7), "{ended:?}");
    let told = ended.stderr.matches("; the key is free in 30s at the latest\n").count();
    assert_eq!((told, ended.stderr.lines().count()), (1, 1), "{ended:?}");
}

#[test]
fn a_release_that_a_signal_cuts_short_is_told_with_its_key() {
    let place = Place::at(Home::Server(Flavour::Redis));
    let script = "echo $$ > pid; until [ -e go ]; do sleep 0.01; done; exit 7";
    let words = ["run", "-v", "--store-timeout", "10s", "k", "--", "sh", "-c", script];
    let mut running = place.start(&words);
    place.number_in("pid");
    let _blocked = place.block_store();
    fs::write(place.path("go"), "").expect("a file");
    running.line_with("CMD ended with 7");
    running.signal(Signal::TERM);
    let ended = running.wait();
    assert_eq!(ended.code, Some(7), "{ended:?}");
    let says = "has not answered the release of \"k\"; the key is free in 30s at the latest\n";
    assert!(ended.stderr.ends_with(says), "{ended:?}");
}

/// Starts a holder of the key, and waits until its CMD runs.
fn hold(place: &Place) -> Running {
    let script = "echo $$ > pid; exec sleep 600";
    let running = place.start(&["run", "k", "--", "sh", "-c", script]);
    place.number_in("pid");
    running
}

/// Starts one that waits for the key, and waits until it stands in the queue.
fn start(place: &Place, words: &[&str]) -> Running {
    let before = ["run", "--store-timeout", LONG, "--report", "r"];
    let waiter = place.start(&[&before, words, &["k", "--", "echo", "ran"]].concat());
    until("it stands in line", || place.status("k")["waiters"][0].is_object().then_some(()));
    waiter
}
