//! `tenure hold`: a process in the background keeps the lock.

use rustix::process::Signal;
use serde_json::Value;

use crate::json::conforms;
use crate::place::{
    Home, Place, Running, Stray, is_alive, lasts_longer_than, on_every_store, signal, until,
};

const HOLD: &str = include_str!("../../schema/hold.json");

on_every_store! {
    the_lock_is_kept_until_the_process_ends
    the_lock_is_kept_while_the_line_ends_with_0
    the_end_of_the_keeper_releases
    a_loss_is_told_to_the_process
}

fn sleeper(place: &Place) -> Running {
    Running::of(place.command("/bin/sleep").arg("600"))
}

fn number(text: &str) -> i32 {
    text.trim().parse().unwrap_or_else(|e| panic!("{e}: {text:?}"))
}

fn free(place: &Place) {
    until("the release", || (place.status("k")["state"] == "free").then_some(()));
}

fn the_lock_is_kept_until_the_process_ends(home: Home) {
    let place = Place::at(home);
    let work = sleeper(&place);
    let pid = work.pid().to_string();
    // As a script would: the substitution ends though the keeper lives on.
    let script = format!("k=$(\"$TENURE\" hold --ttl 9s --pid {pid} k) && echo $k");
    let held = place.sh(&script);
    assert_eq!((held.code, &*held.stderr), (Some(0), ""), "{held:?}");
    let keeper = Stray(number(&held.stdout));
    let first = place.status("k")["holders"][0].clone();
    let label = first["label"].as_str().expect("a text");
    assert!(label.starts_with("sleep (") && label.ends_with(&format!("pid {pid})")), "{label}");
    until("a renewal", || {
        let holder = &place.status("k")["holders"][0];
        assert_eq!(holder["fence"], first["fence"], "it is held without a gap");
        lasts_longer_than(9_500, holder).then_some(())
    });
    let busy = place.run(&["acquire", "-n", "k"]);
    assert_eq!(busy.code, Some(75), "{busy:?}");
    drop(work);
    free(&place);
    until("the keeper's end", || (!is_alive(keeper.0)).then_some(()));
}

fn the_lock_is_kept_while_the_line_ends_with_0(home: Home) {
    let place = Place::at(home);
    std::fs::write(place.path("there"), "").expect("written");
    let line = "test -e there && echo \"$TENURE_KEY\" >> runs";
    // The interval is the limit of the line as well.
    let held = place.run(&["hold", "--json", "--while", line, "--every", "2s", "k"]);
    assert_eq!((held.code, &*held.stderr), (Some(0), ""), "{held:?}");
    let seen: Value = serde_json::from_str(&held.stdout).expect("JSON");
    conforms(HOLD, &seen);
    let _keeper = Stray(number(&seen["pid"].to_string()));
    let label = seen["label"].as_str().expect("a text");
    let keeper = format!(", pid {})", seen["pid"]);
    assert!(label.ends_with(&keeper), "the script may end, and the keeper goes on: {label}");
    assert_eq!(place.status("k")["holders"][0]["label"], label);
    until("some runs", || (place.read("runs").matches("k\n").count() >= 2).then_some(()));
    assert_eq!(place.status("k")["holders"][0]["fence"], seen["fence"]);
    std::fs::remove_file(place.path("there")).expect("removed");
    free(&place);
}

fn the_end_of_the_keeper_releases(home: Home) {
    let place = Place::at(home);
    let work = sleeper(&place);
    let pid = work.pid().to_string();
    let held = place.run(&["hold", "--log", "log", "--pid", &pid, "k"]);
    assert_eq!(held.code, Some(0), "{held:?}");
    signal(number(&held.stdout), Signal::TERM);
    free(&place);
    until("its word", || {
        place.read("log").contains("SIGTERM came: \"k\" is released").then_some(())
    });
    assert!(is_alive(work.pid()), "the process goes on");
}

fn a_loss_is_told_to_the_process(home: Home) {
    let place = Place::at(home);
    let work = sleeper(&place);
    let pid = work.pid().to_string();
    let words = ["hold", "--ttl", "12s", "--signal", "TERM", "--log", "log", "--pid", &pid, "k"];
    let held = place.run(&words);
    let _keeper = Stray(number(&held.stdout));
    let forced = place.run(&["force-release", "--yes", "k"]);
    assert_eq!(forced.code, Some(0), "{forced:?}");
    assert_eq!(work.wait().signal, Some(15));
    until("its word", || place.read("log").contains("lost \"k\": ").then_some(()));
}

#[test]
fn a_process_that_ends_before_the_lock_is_held_ends_the_wait() {
    let place = Place::new();
    assert_eq!(place.run(&["acquire", "k"]).code, Some(0));
    let work = sleeper(&place);
    let waits = place.start(&["hold", "--pid", &work.pid().to_string(), "k"]);
    until("it waits", || place.status("k")["waiters"][0].is_object().then_some(()));
    drop(work);
    let ended = waits.wait();
    assert_eq!((ended.code, &*ended.stdout), (Some(75), ""), "{ended:?}");
    assert!(ended.stderr.contains("has ended before it had the lock"), "{ended:?}");
    assert_eq!(place.status("k")["waiters"], Value::Array(vec![]));
}

#[test]
fn wrong_use_is_answered_with_the_right_use() {
    let place = Place::new();
    let gone = sleeper(&place);
    let number = gone.pid().to_string();
    drop(gone);
    for (words, says) in [
        (&["hold", "k"][..], "--pid"),
        (&["hold", "--pid", &number, "k"], "no process has the number"),
        (&["hold", "--pid", "1", "--while", "true", "k"], "cannot be used with"),
        (&["hold", "--while", "true", "--every", "0s", "k"], "--every is zero"),
        (&["hold", "--while", "true", "--ttl", "1ms", "k"], "below the limit of 10ms"),
    ] {
        let ended = place.run(words);
        assert_eq!((ended.code, &*ended.stdout), (Some(64), ""), "{words:?}: {ended:?}");
        assert!(ended.stderr.contains(says), "{words:?}: {ended:?}");
    }
}
