//! `tenure run --steal`: takes a key from its holders, ahead of the line.

use rustix::process::Signal;

use crate::place::{Home, Place, is_alive, on_every_store, until};

on_every_store! {
    the_old_run_is_ended_and_the_new_one_runs_ahead_of_the_line
    a_key_that_nobody_holds_is_just_taken
    all_readers_lose_the_key
}

fn the_old_run_is_ended_and_the_new_one_runs_ahead_of_the_line(home: Home) {
    let place = Place::at(home);
    let hold = "echo $$ > pid; exec sleep 600";
    let words = ["run", "--ttl", "12s", "--label", "old", "k", "--", "sh", "-c", hold];
    let old = place.start(&words);
    let cmd = place.number_in("pid");
    let waiter = place.start(&["run", "--label", "next", "k", "--", "true"]);
    until("one waits", || (place.status("k")["waiters"][0]["label"] == "next").then_some(()));
    let fence = place.status("k")["holders"][0]["fence"].to_string();

    let script = "echo $TENURE_FENCE; echo > stolen; until [ -e go ]; do sleep 0.01; done";
    let new = place.start(&["run", "--steal", "--label", "new", "k", "--", "sh", "-c", script]);
    until("it runs", || place.path("stolen").exists().then_some(()));
    let old = old.wait();
    assert_eq!(old.code, Some(79), "{old:?}");
    assert!(old.stderr.contains("tenure: lost: \"k\""), "{old:?}");
    assert!(!is_alive(cmd), "its CMD is gone");
    let seen = place.status("k");
    assert_eq!(seen["holders"][0]["label"], "new", "{seen}");
    assert_eq!(seen["waiters"][0]["label"], "next", "the line waits on: {seen}");
    std::fs::write(place.path("go"), "").expect("a file");

    let new = new.wait();
    assert_eq!(new.code, Some(0), "{new:?}");
    let told = new.stderr.lines().last().expect("a line");
    let begin = "tenure: \"k\" is taken from old, which held it for ";
    let end = format!("s (fence {fence}); it learns of it at its next renewal");
    assert!(told.starts_with(begin) && told.ends_with(&end), "{end:?}: {new:?}");
    let number = |text: &str| text.trim().parse::<u64>().expect("a fence");
    assert!(number(&new.stdout) > number(&fence), "{new:?}");
    let waiter = waiter.wait();
    assert_eq!(waiter.code, Some(0), "{waiter:?}");
}

fn a_key_that_nobody_holds_is_just_taken(home: Home) {
    let place = Place::at(home);
    let ended = place.run(&["run", "--steal", "k", "--", "echo", "ran"]);
    assert_eq!((ended.code, &*ended.stdout, &*ended.stderr), (Some(0), "ran\n", ""), "{ended:?}");
    // A key that only --min-hold keeps.
    let kept = place.run(&["run", "--min-hold", "1h", "--label", "first", "k", "--", "true"]);
    assert_eq!(kept.code, Some(0), "{kept:?}");
    let ended = place.run(&["run", "--steal", "k", "--", "echo", "ran"]);
    assert_eq!((ended.code, &*ended.stdout), (Some(0), "ran\n"), "{ended:?}");
    assert!(ended.stderr.contains("\"k\" is taken ahead of time: kept until "), "{ended:?}");
    assert!(ended.stderr.contains("its command has ended (first)"), "{ended:?}");
    assert_eq!(place.status("k")["state"], "free");
}

fn all_readers_lose_the_key(home: Home) {
    let place = Place::at(home);
    let words =
        |label| ["run", "--shared", "--ttl", "12s", "--label", label, "k", "--", "sleep", "600"];
    let readers = [place.start(&words("a")), place.start(&words("b"))];
    until("both read", || {
        (place.status("k")["holders"].as_array().expect("a list").len() == 2).then_some(())
    });
    let ended = place.run(&["run", "--steal", "k", "--", "echo", "ran"]);
    assert_eq!((ended.code, &*ended.stdout), (Some(0), "ran\n"), "{ended:?}");
    for part in ["from a, which", "from b, which", "they learn of it at their next renewals"] {
        assert!(ended.stderr.contains(part), "{part:?} is missing: {ended:?}");
    }
    for reader in readers {
        let reader = reader.wait();
        assert_eq!(reader.code, Some(79), "{reader:?}");
    }
}

#[test]
fn a_run_cannot_steal_the_key_of_a_command_around_it() {
    let place = Place::new();
    let script = "\"$TENURE\" run --steal k -- echo ran; echo $?";
    let ended = place.run(&["run", "k", "--", "sh", "-c", script]);
    assert_eq!(ended.stdout, "64\n", "{ended:?}");
    assert!(ended.stderr.contains("without the key it would be ended"), "{ended:?}");
}

#[test]
fn a_signal_to_the_thief_ends_its_cmd_and_gives_the_key_back() {
    let place = Place::new();
    let words = ["run", "--steal", "k", "--", "sh", "-c", "echo $$ > pid; exec sleep 600"];
    let new = place.start(&words);
    place.number_in("pid");
    new.signal(Signal::TERM);
    assert_eq!(new.wait().code, Some(128 + 15));
    assert_eq!(place.status("k")["state"], "free");
}
