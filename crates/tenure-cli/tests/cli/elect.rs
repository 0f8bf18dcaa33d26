//! `tenure elect`: CMD runs exactly while its host leads.

use std::fs;

use rustix::process::Signal;
use tenure_testkit::Flavour;

use crate::place::{Home, Place, Running, is_alive, on_every_store, until};

on_every_store! {
    cmd_runs_on_the_host_that_leads
    the_only_host_restarts_a_cmd_that_fails
    a_cmd_that_fails_lets_another_host_lead
}

/// A CMD that notes its term and its process, and goes on until it is told to end.
const SERVE: &str = "echo $TENURE_FENCE >> terms; echo $$ > $NAME; exec sleep 600";

/// Options of a leadership whose end a test sees, and that lasts while a busy machine pauses.
const SHORT: [&str; 4] = ["--ttl", "6s", "--kill-grace", "100ms"];

/// Starts a candidate whose CMD writes its process number into a file of this name.
fn stand(place: &Place, name: &str, options: &[&str]) -> Running {
    let words = [&["elect", "--label", name], options, &["k", "--"]].concat();
    let mut command = place.tenure(&words);
    Running::of(command.args(["sh", "-c", SERVE]).env("NAME", name))
}

fn until_waiting(place: &Place, count: usize) {
    until("so many are candidates", || {
        (place.status("k")["waiters"].as_array().expect("a list").len() == count).then_some(())
    });
}

fn terms(place: &Place) -> Vec<u64> {
    place.read("terms").lines().map(|line| line.parse().expect("a term")).collect()
}

fn cmd_runs_on_the_host_that_leads(home: Home) {
    let place = Place::at(home);
    let first = stand(&place, "first", &[&SHORT[..], &["--value", "10.0.0.1"]].concat());
    let cmd = place.number_in("first");
    let second = stand(&place, "second", &["--value", "10.0.0.2"]);
    until_waiting(&place, 1);
    let leader = place.status("k")["holders"][0].clone();
    assert_eq!((&leader["value"], &leader["label"]), (&"10.0.0.1".into(), &"first".into()));
    let status = place.run(&["status", "k"]).stdout;
    assert!(status.contains(", value \"10.0.0.1\"\n"), "{status}");
    assert!(!place.path("second").exists(), "two CMDs run");
    first.signal(Signal::KILL);
    place.number_in("second");
    assert!(!is_alive(cmd), "CMD runs on beside its successor");
    assert_eq!(place.status("k")["holders"][0]["value"], "10.0.0.2");
    second.signal(Signal::TERM);
    let second = second.wait();
    assert_eq!(second.code, Some(128 + 15), "{second:?}");
    let terms = terms(&place);
    // On a busy machine the second may have lost the leadership, and got it again.
    assert!(terms.len() >= 2 && terms.is_sorted_by(|one, next| one < next), "{terms:?}");
    assert!(second.stderr.contains(&format!("leads \"k\" in term {}", terms[1])), "{second:?}");
    assert_eq!(place.status("k")["state"], "free");
}

fn the_only_host_restarts_a_cmd_that_fails(home: Home) {
    let place = Place::at(home);
    let script = "echo $TENURE_FENCE >> terms; test $(wc -l < terms) -ge 3 || exit 7";
    let ended = place.run(&["elect", "k", "--", "sh", "-c", script]);
    assert_eq!(ended.code, Some(0), "its work is done: {ended:?}");
    for pause in ["1s", "2s"] {
        let line = format!("CMD ended with 7; a candidate for \"k\" again in {pause}\n");
        assert!(ended.stderr.contains(&line), "{ended:?}");
    }
    let terms = terms(&place);
    assert!(terms.len() == 3 && terms.is_sorted_by(|one, next| one < next), "{terms:?}");
    assert_eq!(place.status("k")["state"], "free");
}

fn a_cmd_that_fails_lets_another_host_lead(home: Home) {
    let place = Place::at(home);
    let script = "echo $$ > first; while ! test -e broken; do sleep 0.02; done; exit 1";
    let first = place.start(&["elect", "--label", "first", "k", "--", "sh", "-c", script]);
    place.number_in("first");
    let second = stand(&place, "second", &[]);
    until_waiting(&place, 1);
    fs::write(place.path("broken"), "").expect("a file");
    place.number_in("second");
    assert_eq!(place.status("k")["holders"][0]["label"], "second");
    // It is a candidate again, behind the other.
    until_waiting(&place, 1);
    first.signal(Signal::TERM);
    let first = first.wait();
    assert_eq!(first.code, Some(128 + 15), "{first:?}");
    assert!(first.stderr.contains("CMD ended with 1; a candidate"), "{first:?}");
    until_waiting(&place, 0);
    second.signal(Signal::INT);
    assert_eq!(second.wait().signal, Some(2), "as CMD");
}

#[test]
fn a_lost_leadership_ends_cmd_and_is_campaigned_for_again() {
    let place = Place::at(Home::Server(Flavour::Valkey));
    let mut candidate = stand(&place, "first", &SHORT);
    let cmd = place.number_in("first");
    place.delete("k");
    until("a second term", || (terms(&place).len() >= 2).then_some(()));
    assert!(!is_alive(cmd), "CMD runs on though the leadership was lost");
    candidate.line_with("leads \"k\" in term ");
    let lost = candidate.line_with("lost: ");
    assert!(lost.contains("lost: \"k\": ") && lost.ends_with("; ending CMD\n"), "{lost}");
    candidate.line_with("leads \"k\" in term ");
    candidate.signal(Signal::TERM);
    assert_eq!(candidate.wait().code, Some(128 + 15));
}

#[test]
fn checks_that_fail_in_a_row_give_the_leadership_up() {
    let place = Place::new();
    let check = "echo x >> checks; test ! -e sick";
    // The interval is the limit of a check as well.
    let options = ["--check", check, "--every", "2s", "--fails", "2"];
    let candidate = stand(&place, "first", &options);
    let cmd = place.number_in("first");
    until("some checks", || (place.read("checks").lines().count() >= 3).then_some(()));
    assert!(is_alive(cmd), "it is healthy");
    fs::write(place.path("sick"), "").expect("a file");
    until("CMD is ended", || (!is_alive(cmd)).then_some(()));
    until("the leadership is given up", || (place.status("k")["state"] == "free").then_some(()));
    fs::remove_file(place.path("sick")).expect("it is well again");
    until("a second term", || (terms(&place).len() >= 2).then_some(()));
    candidate.signal(Signal::TERM);
    let ended = candidate.wait();
    assert_eq!(ended.code, Some(128 + 15), "{ended:?}");
    for line in [
        "--check failed (1 of 2 in a row): exit code 1\n",
        "--check failed (2 of 2 in a row): exit code 1\n",
        "CMD is not healthy; ending CMD\n",
        "CMD was ended since it is not healthy; a candidate for \"k\" again in 1s\n",
    ] {
        assert!(ended.stderr.contains(line), "{line}: {ended:?}");
    }
}

#[test]
fn a_check_that_hangs_has_failed_and_ends() {
    let place = Place::new();
    let options = ["--check", "echo $$ > check; exec sleep 600", "--every", "3s", "--fails", "1"];
    let mut candidate = stand(&place, "first", &options);
    let cmd = place.number_in("first");
    let check = place.number_in("check");
    until("CMD is ended", || (!is_alive(cmd)).then_some(()));
    until("the check is ended", || (!is_alive(check)).then_some(()));
    let line = candidate.line_with("--check failed");
    assert!(line.ends_with("--check failed (1 of 1 in a row): not ready within 3s\n"), "{line}");
}

/// Many programs read their settings again at SIGHUP.
#[test]
fn a_signal_that_does_not_end_cmd_ends_no_candidate() {
    let place = Place::new();
    let script = "trap 'echo again >> read' HUP; echo $$ > first; \
                  while ! test -e broken; do sleep 0.02; done; rm broken; exit 1";
    let mut candidate = place.start(&["elect", "k", "--", "sh", "-c", script]);
    place.number_in("first");
    candidate.signal(Signal::HUP);
    until("it got the signal", || (place.read("read") == "again\n").then_some(()));
    fs::write(place.path("broken"), "").expect("a file");
    // The shell has a line of its own about its child.
    for part in ["leads \"k\" in term ", "CMD ended with 1; a candidate", "leads \"k\" in term "] {
        candidate.line_with(part);
    }
    candidate.signal(Signal::QUIT);
    let ended = candidate.wait();
    assert_eq!(ended.code, Some(128 + 3), "{ended:?}");
}

#[test]
fn a_signal_ends_a_candidate_that_waits() {
    let place = Place::new();
    let _leader = stand(&place, "first", &[]);
    place.number_in("first");
    let candidate = stand(&place, "second", &[]);
    until_waiting(&place, 1);
    candidate.signal(Signal::TERM);
    assert_eq!(candidate.wait().code, Some(128 + 15));
    until_waiting(&place, 0);
}

#[test]
fn a_candidate_with_bad_options_is_refused_before_anything_is_touched() {
    let place = Place::new();
    let long = "x".repeat(4097);
    for (options, says) in [
        (&["--value", &long][..], "--value: the value has 4097 bytes, the limit is 4096 bytes"),
        (&["--every", "1s"], "--check"),
        (&["--check", "true", "--every", "0s"], "--every is zero"),
        (&["--check", "true", "--fails", "0"], "--fails"),
        (&["--ttl", "1ms"], "a ttl of 1ms is below the limit of 10ms"),
        (&["--no-such-option"], "--no-such-option"),
    ] {
        let ended = place.run(&[&["elect"], options, &["k", "--", "echo", "ran"]].concat());
        assert_eq!((ended.code, &*ended.stdout), (Some(64), ""), "{ended:?}");
        assert!(ended.stderr.contains(says), "{says}: {ended:?}");
    }
    let ended = place.run(&["elect", "k", "--", "no-such-command"]);
    assert_eq!(ended.code, Some(127), "{ended:?}");
    assert!(!place.store().exists(), "nothing was touched");
}
