//! `status` and `list` as scripts and people use them: exit codes, and a key that is kept.

use crate::json::{KEY, conforms};
use crate::place::{Home, Place, on_every_store, until};

on_every_store! {
    an_exit_code_tells_a_free_key_from_one_that_is_held
    a_key_that_min_hold_keeps_is_said_to_be_kept
}

fn an_exit_code_tells_a_free_key_from_one_that_is_held(home: Home) {
    let place = Place::at(home);
    let code = |words: &[&str]| place.run(&[&["status"], words].concat()).code;
    assert_eq!((code(&["--exit-code", "k"]), code(&["k"])), (Some(0), Some(0)));
    let holder = place.start(&["run", "k", "--", "sleep", "600"]);
    until("it holds", || (place.status("k")["state"] == "held").then_some(()));
    assert_eq!((code(&["--exit-code", "k"]), code(&["k"])), (Some(1), Some(0)));
    assert_eq!(code(&["--exit-code", "--json", "k"]), Some(1));
    assert_eq!(code(&["--exit-code", "other"]), Some(0));
    // The line of the help.
    let asked = "if \"$TENURE\" status --exit-code k > /dev/null; then echo free; fi";
    assert_eq!(place.sh(asked).stdout, "");
    assert_eq!(place.sh(&asked.replace(" k ", " other ")).stdout, "free\n");
    drop(holder);
    let failed = code(&["--exit-code", "--store-file", "/proc/no/file", "k"]);
    assert!(failed.is_some_and(|code| code > 1), "{failed:?}");
}

fn a_key_that_min_hold_keeps_is_said_to_be_kept(home: Home) {
    let place = Place::at(home);
    let ran = place.run(&["run", "--label", "nightly", "--min-hold", "10m", "k", "--", "true"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let told = "UTC, its command has ended";
    let text = place.run(&["status", "k"]).stdout;
    assert!(text.contains("\n  kept until ") && text.contains(told), "{text}");
    assert!(text.contains("granted to nightly") && !text.contains("held by"), "{text}");
    assert!(place.run(&["list"]).stdout.contains(told));
    let seen = place.status("k");
    conforms(KEY, &seen);
    assert_eq!((&seen["state"], &seen["holders"][0]["kept"]), (&"held".into(), &true.into()));
    for patience in [&["--try"][..], &["--wait", "1500ms"]] {
        let busy = place.run(&[&["run"], patience, &["k", "--", "true"]].concat());
        assert_eq!(busy.code, Some(75), "{busy:?}");
        assert!(busy.stderr.lines().last().is_some_and(|line| line.contains(told)), "{busy:?}");
    }
    let waiting = place.run(&["run", "--wait", "1500ms", "k", "--", "true"]).stderr;
    let line = waiting.lines().find(|line| line.contains("waiting for"));
    assert!(line.is_some_and(|line| line.contains(told)), "{waiting}");
}
