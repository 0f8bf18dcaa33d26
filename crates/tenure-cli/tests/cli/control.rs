//! `tenure force-release`, `wait` and `watch`.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use rustix::process::Signal;
use serde_json::Value;

use crate::json::conforms;
use crate::place::{Home, Place, on_every_store, until};
use crate::screen::Screen;

const WATCH: &str = include_str!("../../schema/watch.json");

on_every_store! {
    the_holder_that_was_shown_loses_the_key_and_nobody_who_came_later
    a_wait_ends_when_the_key_is_free
    a_line_tells_each_change
}

fn taken(place: &Place, name: &str) -> String {
    let ended = place.run(&["acquire", "k", "--as", name]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    ended.stdout.trim().to_owned()
}

fn fence(place: &Place) -> String {
    place.status("k")["holders"][0]["fence"].to_string()
}

fn the_holder_that_was_shown_loses_the_key_and_nobody_who_came_later(home: Home) {
    let place = Place::at(home);
    let nobody = place.run(&["force-release", "--yes", "k"]);
    assert_eq!(nobody.code, Some(0), "{nobody:?}");
    assert!(nobody.stdout.contains("nobody holds it"), "{nobody:?}");
    let shown = taken(&place, "first");
    let old = fence(&place);
    assert_eq!(place.run(&["release", &shown]).code, Some(0));
    let later = taken(&place, "second");
    let refused = place.run(&["force-release", "--yes", "--fence", &old, "k"]);
    assert_eq!((refused.code, &*refused.stdout), (Some(75), ""), "{refused:?}");
    assert!(refused.stderr.contains("held by second since "), "{refused:?}");
    assert_eq!(place.run(&["check", &later]).code, Some(0), "it was left alone");
    let forced = place.run(&["force-release", "--yes", "--fence", &fence(&place), "k"]);
    assert_eq!(forced.code, Some(0), "{forced:?}");
    assert!(forced.stdout.starts_with("k: released by force"), "{forced:?}");
    // The record of whose lock it was.
    let whose = ["tenure: k: held by second since ", "unless renewed\n"];
    assert!(whose.iter().all(|part| forced.stderr.contains(part)), "{forced:?}");
    assert_eq!(place.run(&["check", &later]).code, Some(79));
    assert_eq!(place.status("k")["state"], "free");
}

#[test]
fn without_a_terminal_nothing_is_done_and_the_right_use_is_shown() {
    let place = Place::new();
    let ticket = taken(&place, "first");
    let refused = place.run(&["force-release", "k"]);
    assert_eq!((refused.code, &*refused.stdout), (Some(64), ""), "{refused:?}");
    assert!(refused.stderr.contains("tenure force-release --yes --fence N k"), "{refused:?}");
    assert_eq!(place.run(&["check", &ticket]).code, Some(0));
}

/// The lines to type named no store, so they were about another one.
#[test]
fn a_line_to_type_names_the_store_that_the_command_line_has_named() {
    let place = Place::new();
    let file = place.path("an other.db");
    let file = file.to_str().expect("text");
    let url = format!("sqlite:{file}");
    for (option, value, key) in [("--store", &*url, "a"), ("--store-file", file, "b")] {
        let at = format!("{option} '{value}' {key}");
        let acquire = format!("\"$TENURE\" acquire {at} > /dev/null");
        let unread = place.sh(&acquire);
        assert!(unread.stderr.contains(&format!("tenure force-release {at}")), "{unread:?}");
        let busy = format!("; tenure status {at} shows more\n");
        for words in [
            &["run", "--try", option, value, key, "--", "true"][..],
            &["acquire", "--try", option, value, key],
        ] {
            let ended = place.run(words);
            assert_eq!(ended.code, Some(75), "{ended:?}");
            assert!(ended.stderr.ends_with(&busy), "{words:?}: {ended:?}");
        }
        let refused = place.run(&["force-release", option, value, key]);
        let line = format!("tenure force-release {option} '{value}' --yes --fence N {key})");
        assert!(refused.stderr.contains(&format!("(tenure status {at})")), "{refused:?}");
        assert!(refused.stderr.contains(&line), "{refused:?}");
        let refused = place.run(&["release", option, value, key]);
        assert!(refused.stderr.contains(&format!("tenure status {at} shows")), "{refused:?}");
        assert!(
            refused.stderr.contains(&format!("tenure force-release {at} takes")),
            "{refused:?}"
        );
        assert!(place.sh(&busy_line(&busy)).stdout.contains("held by"), "the line works");
    }
    let refused = place.run(&["force-release", "--store", "redis://:s3cret@host", "k"]);
    assert!(refused.stderr.contains("(tenure status --store … k)"), "{refused:?}");
    assert!(!refused.stderr.contains("s3cret"), "{refused:?}");
}

/// The line to type in a message about a busy key, as a script.
fn busy_line(message: &str) -> String {
    let line = message.trim_start_matches("; tenure ").trim_end_matches(" shows more\n");
    format!("\"$TENURE\" {line}")
}

#[test]
fn on_a_terminal_the_holder_is_shown_and_only_a_yes_counts() {
    let place = Place::new();
    let ticket = taken(&place, "the holder");
    let mut screen = Screen::open(&place);
    for (answer, code, says) in
        [("", 0, "left as it is"), ("n", 0, "left as it is"), ("y", 79, "released by force")]
    {
        let done = i32::from(answer != "y");
        screen.keys("$TENURE force-release k\n");
        let shown = screen.expect("[y/N] ");
        assert!(shown.contains("k: held by the holder since "), "{shown}");
        assert!(shown.contains("unless renewed"), "{shown}");
        screen.keys(&format!("{answer}\n"));
        screen.expect(says);
        assert_eq!(screen.status(), format!("status={done}\n"), "after {answer:?}");
        assert_eq!(place.run(&["check", &ticket]).code, Some(code), "after {answer:?}");
    }
}

/// The holder changes while the question stands on the terminal.
#[test]
fn a_holder_that_came_while_the_question_stood_is_left_alone() {
    let place = Place::new();
    let first = taken(&place, "first");
    let mut screen = Screen::open(&place);
    screen.keys("$TENURE force-release k\n");
    screen.expect("[y/N] ");
    assert_eq!(place.run(&["release", &first]).code, Some(0));
    let second = taken(&place, "second");
    screen.keys("y\n");
    screen.expect("the next one is left alone: held by second");
    assert_eq!(screen.status(), "status=0\n");
    assert_eq!(place.run(&["check", &second]).code, Some(0));
}

fn a_wait_ends_when_the_key_is_free(home: Home) {
    let place = Place::at(home);
    assert_eq!(place.run(&["wait", "k"]).code, Some(0));
    let ticket = taken(&place, "first");
    let late = place.run(&["wait", "--timeout", "300ms", "k"]);
    assert_eq!((late.code, &*late.stdout), (Some(75), ""), "{late:?}");
    assert!(late.stderr.contains("held by first since "), "{late:?}");
    let mut waits = place.start(&["wait", "k"]);
    let line = waits.stderr_line();
    assert!(line.contains("waiting for \"k\"") && line.contains("by first"), "{line}");
    assert_eq!(place.status("k")["waiters"], Value::Array(vec![]), "it stands in no line");
    assert_eq!(place.run(&["release", &ticket]).code, Some(0));
    assert_eq!(waits.wait().code, Some(0));
}

fn a_line_tells_each_change(home: Home) {
    let place = Place::at(home);
    let ticket = taken(&place, "first");
    let mut command = place.tenure(&["watch", "--json", "--interval", "50ms"]);
    let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let mut next = |what: &str| loop {
        let line = lines.next().expect("a line").expect("text");
        let event: Value = serde_json::from_str(&line).expect("JSON");
        conforms(WATCH, &event);
        if event["event"] == what {
            return event;
        }
        // A waiter that the machine pauses loses its place, and takes one again.
        assert_eq!(event["event"], "waiting", "{what} is expected: {event}");
    };
    assert_eq!(next("held")["label"], "first");
    let waiter = place.start(&["acquire", "k", "--as", "second"]);
    assert_eq!(next("waiting")["waiters"], 1);
    let held = place.run(&["release", &ticket]);
    assert_eq!(held.code, Some(0), "{held:?}");
    assert_eq!(next("released")["label"], "first");
    let second = waiter.wait().stdout.trim().to_owned();
    assert_eq!(next("held")["label"], "second");
    assert_eq!(next("waiting")["waiters"], 0);
    assert_eq!(place.run(&["release", &second]).code, Some(0));
    assert_eq!(next("released")["label"], "second");
    // A reader that goes away ends it, without another change.
    drop(lines);
    let status = until("its end", || child.try_wait().expect("it is our child"));
    assert_eq!(status.code(), Some(0));
}

#[test]
fn a_signal_ends_the_watch_and_wrong_use_is_refused() {
    let place = Place::new();
    taken(&place, "first");
    let watch = place.start(&["watch"]);
    watch.signal(Signal::TERM);
    assert_eq!(watch.wait().signal, Some(15));
    let refused = place.run(&["watch", "--interval", "1ms"]);
    assert_eq!(refused.code, Some(64), "{refused:?}");
}
