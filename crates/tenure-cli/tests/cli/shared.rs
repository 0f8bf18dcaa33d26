//! `tenure run --shared`: beside others that share, and never beside one that does not.

use rustix::process::Signal;

use crate::place::{Home, Place, Running, on_every_store, until};

on_every_store! {
    readers_run_together_and_a_writer_alone
    readers_that_come_after_a_writer_wait_for_it
}

/// Starts a run that holds the key until it is ended.
fn hold(place: &Place, options: &[&str], label: &str) -> Running {
    let words = ["--label", label, "k", "--", "sleep", "600"];
    place.start(&[&["run"], options, &words[..]].concat())
}

fn count(place: &Place, what: &str, wanted: usize) {
    until("so many are there", || {
        (place.status("k")[what].as_array().expect("a list").len() == wanted).then_some(())
    });
}

fn readers_run_together_and_a_writer_alone(home: Home) {
    let place = Place::at(home);
    let first = hold(&place, &["--shared", "--ttl", "6s", "--kill-grace", "100ms"], "first");
    count(&place, "holders", 1);
    let shared = place.run(&["run", "--try", "--shared", "k", "--", "echo", "ran"]);
    assert_eq!((shared.code, &*shared.stdout), (Some(0), "ran\n"), "{shared:?}");
    let second = hold(&place, &["--shared"], "second");
    count(&place, "holders", 2);
    let alone = place.run(&["run", "--try", "k", "--", "echo", "ran"]);
    assert_eq!((alone.code, &*alone.stdout), (Some(75), ""), "{alone:?}");
    assert!(alone.stderr.contains("held by first for "), "{alone:?}");
    assert!(alone.stderr.contains(", by 2 readers"), "{alone:?}");
    let status = place.run(&["status", "k"]).stdout;
    assert!(status.starts_with("k: held, by 2 readers, last fence "), "{status}");
    assert_eq!(status.matches(", to read\n").count(), 2, "{status}");
    // A killed reader does not keep the writer out for longer than its ttl.
    first.signal(Signal::KILL);
    second.signal(Signal::TERM);
    let alone = place.run(&["run", "k", "--", "echo", "ran"]);
    assert_eq!((alone.code, &*alone.stdout), (Some(0), "ran\n"), "{alone:?}");
}

fn readers_that_come_after_a_writer_wait_for_it(home: Home) {
    let place = Place::at(home);
    let reader = hold(&place, &["--shared"], "reader");
    count(&place, "holders", 1);
    let writer = hold(&place, &[], "writer");
    count(&place, "waiters", 1);
    let late = place.run(&["run", "--try", "--shared", "k", "--", "echo", "ran"]);
    assert_eq!((late.code, &*late.stdout), (Some(75), ""), "{late:?}");
    let status = place.run(&["status", "k"]).stdout;
    assert!(status.contains("waiting: writer for ") && status.contains(", to write\n"), "{status}");
    let last = place.start(&["run", "--shared", "k", "--", "echo", "its turn"]);
    count(&place, "waiters", 2);
    reader.signal(Signal::TERM);
    until("the writer has it", || {
        (place.status("k")["holders"][0]["label"] == "writer").then_some(())
    });
    let status = place.run(&["status", "k"]).stdout;
    assert!(status.starts_with("k: held, by a writer, last fence "), "{status}");
    writer.signal(Signal::TERM);
    let last = last.wait();
    assert_eq!((last.code, &*last.stdout), (Some(0), "its turn\n"), "{last:?}");
}

#[test]
fn a_quorum_refuses_readers_before_anything_is_touched() {
    let place = Place::new();
    let store = ["--store", "sqlite:a.db", "--store", "sqlite:b.db", "--store", "sqlite:c.db"];
    let words = ["--shared", "k", "--", "echo", "ran"];
    let ended = place.run(&[&["run"], &store[..], &words].concat());
    assert_eq!((ended.code, &*ended.stdout), (Some(64), ""), "{ended:?}");
    assert!(ended.stderr.contains("a read-write lock needs a store"), "{ended:?}");
    let listed = place.run(&[&["list"], &store[..]].concat());
    assert_eq!((listed.code, &*listed.stdout), (Some(0), ""), "{listed:?}");
}

#[test]
fn a_nested_reader_is_refused() {
    let place = Place::new();
    let script = "\"$TENURE\" run --shared k -- echo ran; echo $?";
    let ended = place.run(&["run", "--shared", "k", "--", "sh", "-c", script]);
    assert_eq!(ended.stdout, "64\n", "{ended:?}");
    assert!(ended.stderr.contains("if another waited to write"), "{ended:?}");
}
