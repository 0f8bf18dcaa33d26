//! `tenure run --permits N`: so many commands at a time, and no more.

use crate::place::{Home, Place, Running, on_every_store, until};

on_every_store! {
    as_many_run_as_there_are_permits
    permits_of_a_killed_run_come_back
    another_number_is_refused_with_both
    a_command_may_count_as_several
    an_administrator_changes_the_number
}

/// Starts a run that holds `units` of three permits until it is dropped.
fn hold(place: &Place, label: &str, units: &str) -> Running {
    hold_with(place, label, units, &[])
}

/// The same, with more options.
fn hold_with(place: &Place, label: &str, units: &str, options: &[&str]) -> Running {
    let words = ["run", "--permits", "3", "--units", units, "--label", label];
    place.start(&[&words[..], options, &["k", "--", "sleep", "600"]].concat())
}

fn held(place: &Place, units: u64) {
    until("so many units are held", || {
        let seen = place.status("k");
        let holders = seen["holders"].as_array().expect("a list");
        let used: u64 = holders.iter().filter_map(|holder| holder["units"].as_u64()).sum();
        (used == units).then_some(())
    });
}

fn as_many_run_as_there_are_permits(home: Home) {
    let place = Place::at(home);
    let mut runs = Vec::new();
    for (label, units) in [("first", 1), ("second", 2), ("third", 3)] {
        runs.push(hold(&place, label, "1"));
        held(&place, units);
    }
    let busy = place.run(&["run", "--try", "--permits", "3", "k", "--", "echo", "ran"]);
    assert_eq!((busy.code, &*busy.stdout), (Some(75), ""), "{busy:?}");
    assert!(busy.stderr.contains("held by first for "), "{busy:?}");
    assert!(busy.stderr.contains(", 3 of 3 units taken"), "{busy:?}");
    let status = place.run(&["status", "k"]).stdout;
    assert!(status.starts_with("k: held, 3 of 3 units taken, last fence "), "{status}");
    assert_eq!(status.matches(", 1 of 3\n").count(), 3, "{status}");
    assert_eq!(place.status("k")["limit"], 3);
    let waiter = place.start(&["run", "--permits", "3", "k", "--", "echo", "its turn"]);
    until("one waits", || place.status("k")["waiters"][0].is_object().then_some(()));
    // As a user would end it: its permit goes to the one that waits.
    let second = runs.remove(1);
    second.signal(rustix::process::Signal::TERM);
    let ended = waiter.wait();
    assert_eq!((ended.code, &*ended.stdout), (Some(0), "its turn\n"), "{ended:?}");
}

fn permits_of_a_killed_run_come_back(home: Home) {
    let place = Place::at(home);
    let all = hold_with(&place, "first", "3", &["--ttl", "6s", "--kill-grace", "100ms"]);
    held(&place, 3);
    all.signal(rustix::process::Signal::KILL);
    let ended = place.run(&["run", "--permits", "3", "k", "--", "echo", "ran"]);
    assert_eq!((ended.code, &*ended.stdout), (Some(0), "ran\n"), "{ended:?}");
}

fn another_number_is_refused_with_both(home: Home) {
    let place = Place::at(home);
    let _one = hold(&place, "first", "1");
    held(&place, 1);
    for other in ["5", "1"] {
        let ended = place.run(&["run", "--permits", other, "k", "--", "echo", "ran"]);
        assert_eq!(ended.stdout, "", "{ended:?}");
        assert!(ended.code.is_some_and(|code| code >= 64), "{ended:?}");
        assert!(ended.stderr.contains("limit of 3"), "{ended:?}");
        assert!(ended.stderr.contains(&format!("limit of {other}")), "{ended:?}");
    }
    // A command without permits runs alone.
    let alone = place.run(&["run", "--try", "k", "--", "echo", "ran"]);
    assert_eq!((alone.code, &*alone.stdout), (Some(75), ""), "{alone:?}");
}

fn a_command_may_count_as_several(home: Home) {
    let place = Place::at(home);
    let two = hold(&place, "two", "2");
    held(&place, 2);
    let large = ["run", "--try", "--permits", "3", "--units", "2", "k", "--", "echo", "ran"];
    assert_eq!(place.run(&large).code, Some(75));
    let small = place.run(&["run", "--try", "--permits", "3", "k", "--", "echo", "ran"]);
    assert_eq!((small.code, &*small.stdout), (Some(0), "ran\n"), "{small:?}");
    drop(two);
}

fn an_administrator_changes_the_number(home: Home) {
    let place = Place::at(home);
    let say = |words: &[&str]| {
        let ended = place.run(&[&["permits"], words].concat());
        assert_eq!((ended.code, &*ended.stderr), (Some(0), ""), "{ended:?}");
        ended.stdout
    };
    assert!(say(&["k", "5"]).starts_with("k: nothing to change, since no permit is held"));
    let all = hold(&place, "all", "3");
    held(&place, 3);
    let waiter = place.start(&["run", "--permits", "3", "k", "--", "sleep", "600"]);
    until("one waits", || place.status("k")["waiters"][0].is_object().then_some(()));
    // It goes on at once.
    assert_eq!(say(&["k", "4"]), "k: 4 permits, 3 before\n");
    held(&place, 4);
    assert_eq!(say(&["k", "4"]), "k: 4 permits, as before\n");
    let seen = serde_json::from_str(&say(&["--json", "k", "1"])).expect("JSON");
    crate::json::conforms(crate::json::KEY, &seen);
    assert_eq!((&seen["limit"], &seen["holders"][1]["units"]), (&1.into(), &1.into()), "{seen}");
    // Nobody has lost a permit, and there is none to spare.
    let busy = place.run(&["run", "--try", "--permits", "1", "k", "--", "echo", "ran"]);
    assert_eq!((busy.code, &*busy.stdout), (Some(75), ""), "{busy:?}");
    let old = place.run(&["run", "--try", "--permits", "3", "k", "--", "echo", "ran"]);
    assert_eq!(old.code, Some(65), "{old:?}");
    drop((all, waiter));
}

#[test]
fn a_number_of_permits_is_refused_where_there_are_none() {
    let place = Place::new();
    let reader = place.start(&["run", "--shared", "k", "--", "sleep", "600"]);
    until("it reads", || (place.status("k")["state"] == "held").then_some(()));
    let refused = place.run(&["permits", "k", "5"]);
    assert_eq!((refused.code, &*refused.stdout), (Some(65), ""), "{refused:?}");
    assert!(refused.stderr.contains("read-write lock"), "{refused:?}");
    let another = place.run(&["run", "--shared", "k", "--", "echo", "reads"]);
    assert_eq!(another.stdout, "reads\n", "{another:?}");
    drop(reader);
    for words in [["k", "0"], ["k", "1073741825"], ["k", "many"], ["", "3"]] {
        let refused = place.run(&[&["permits"], &words[..]].concat());
        assert_eq!((refused.code, &*refused.stdout), (Some(64), ""), "{refused:?}");
    }
    let store = ["--store", "sqlite:a.db", "--store", "sqlite:b.db", "--store", "sqlite:c.db"];
    let refused = place.run(&[&["permits"], &store[..], &["k", "5"]].concat());
    assert_eq!(refused.code, Some(77), "{refused:?}");
    assert!(refused.stderr.contains("a quorum carries locks of one holder only"), "{refused:?}");
}

#[test]
fn a_quorum_refuses_permits_before_anything_is_touched() {
    let place = Place::new();
    let store = ["--store", "sqlite:a.db", "--store", "sqlite:b.db", "--store", "sqlite:c.db"];
    let words = ["--permits", "3", "k", "--", "echo", "ran"];
    let ended = place.run(&[&["run"], &store[..], &words].concat());
    assert_eq!((ended.code, &*ended.stdout), (Some(64), ""), "{ended:?}");
    assert!(ended.stderr.contains("a semaphore needs a store"), "{ended:?}");
    let listed = place.run(&[&["list"], &store[..]].concat());
    assert_eq!((listed.code, &*listed.stdout), (Some(0), ""), "{listed:?}");
}

#[test]
fn a_nested_run_for_one_more_permit_is_refused() {
    let place = Place::new();
    let script = "\"$TENURE\" run --permits 3 k -- echo ran; echo $?";
    let ended = place.run(&["run", "--permits", "3", "k", "--", "sh", "-c", script]);
    assert_eq!(ended.stdout, "64\n", "{ended:?}");
    assert!(ended.stderr.contains("if all permits were held by such commands"), "{ended:?}");
}
