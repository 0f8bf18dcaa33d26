//! `tenure release --json`, which tells as much as its siblings.

use serde_json::Value;

use crate::json::conforms;
use crate::place::{Home, Place, on_every_store, until};

const CHECK: &str = include_str!("../../schema/check.json");

on_every_store! {
    a_release_is_told_as_json_with_the_holder_after_it
}

/// There was no such option.
fn a_release_is_told_as_json_with_the_holder_after_it(home: Home) {
    let place = Place::at(home);
    let acquired = place.run(&["acquire", "k", "--ttl", "10m"]);
    let ticket = acquired.stdout.trim();
    let _next = place.start(&["run", "--label", "next", "k", "--", "sleep", "600"]);
    until("one waits", || place.status("k")["waiters"][0].is_object().then_some(()));
    for (code, state) in [(0, "released"), (79, "over")] {
        let ended = place.run(&["release", "--json", ticket]);
        assert_eq!(ended.code, Some(code), "{ended:?}");
        let told: Value = serde_json::from_str(&ended.stdout).expect("one JSON object");
        conforms(CHECK, &told);
        assert_eq!((&told["key"], &told["state"]), (&"k".into(), &state.into()), "{told}");
        assert_eq!(told["remaining_ms"], Value::Null, "{told}");
        until("the next one holds", || {
            (place.status("k")["holders"][0]["label"] == "next").then_some(())
        });
        if state == "over" {
            assert_eq!(told["holder"]["label"], "next", "{told}");
            assert_ne!(told["holder"]["fence"], told["fence"], "{told}");
        }
    }
    let both = place.run(&["release", "--json", "--quiet", ticket]);
    assert!(both.code == Some(64) && both.stderr.contains("cannot be used with"), "{both:?}");
}
