//! The JSON that others build on: as snapshots, and against the schemas in `schema/`.

use std::time::Duration;

use serde_json::Value;

use crate::place::{Home, Place, on_every_store, until};
use crate::schema;

pub(crate) const KEY: &str = include_str!("../../schema/key.json");
/// The last fields of a key that is on one server, and no other program's.
const REST: &str =
    r#""foreign":null,"nodes":[],"replica_of":null,"hindrance":null,"may_be_held":false"#;
const REPORT: &str = include_str!("../../schema/report.json");

pub(crate) fn conforms(schema: &str, value: &Value) {
    let schema = serde_json::from_str(schema).expect("the schema is JSON");
    schema::check(&schema, value).unwrap_or_else(|e| panic!("{e} in {value}"));
}

/// The text with every number replaced by `N` and every random owner by `OWNER`.
fn snapshot(text: &str) -> String {
    let mut result = String::new();
    for word in text.split_inclusive(|c: char| !c.is_ascii_alphanumeric()) {
        let bare = word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
        let behind = &word[bare.len()..];
        result += match bare {
            "" => "",
            _ if bare.bytes().all(|b| b.is_ascii_digit()) => "N",
            _ if bare.len() == 40 && bare.bytes().all(|b| b.is_ascii_hexdigit()) => "OWNER",
            _ => bare,
        };
        result += behind;
    }
    result
}

on_every_store! {
    status_of_a_key_that_is_free_or_held
    list_is_one_object_per_line_in_order
    a_long_list_comes_page_by_page_and_whole
    a_report_of_every_outcome
}

fn status_of_a_key_that_is_free_or_held(home: Home) {
    let place = Place::at(home);
    let unknown = place.run(&["status", "--json", "k"]).stdout;
    let free = r#"{"key":"k","state":"free","limit":null,"fence":null,"holders":[],"waiters":[]"#;
    assert_eq!(unknown, format!("{free},\"guarded\":null,\"last_run\":null,{REST}}}\n"));
    conforms(KEY, &serde_json::from_str(&unknown).expect("JSON"));

    let script = "\"$TENURE\" status --json k; \"$TENURE\" status k";
    let holder = place.start(&["run", "--label", "first", "k", "--", "sh", "-c", "sleep 600"]);
    until("it holds", || (place.status("k")["state"] == "held").then_some(()));
    let _waiter = place.start(&["run", "--label", "second", "k", "--", "true"]);
    let held = until("both see that one waits", || {
        let held = place.sh(script).stdout;
        let seen = [r#""waiters":[{"#, "\n  waiting: "];
        seen.iter().all(|part| held.contains(part)).then_some(held)
    });
    let expected = r#"{"key":"k","state":"held","limit":N,"fence":N,"#.to_owned()
        + r#""holders":[{"owner":"OWNER","label":"first","units":N,"fence":N,"#
        + r#""since_ms":N,"remaining_ms":N,"value":null,"kept":false}],"#
        + r#""waiters":[{"label":"second","units":N,"waiting_ms":N}],"guarded":null,"#
        + r#""last_run":null,"#
        + REST
        + "}";
    let line = held.lines().next().expect("a line");
    assert_eq!(snapshot(line), expected);
    let value: Value = serde_json::from_str(line).expect("JSON");
    conforms(KEY, &value);
    assert_eq!(value["holders"][0]["fence"], value["fence"]);
    assert!(held.contains("\n  held by first for "), "{held}");
    assert!(held.contains("\n  waiting: second for "), "{held}");
    drop(holder);
}

fn list_is_one_object_per_line_in_order(home: Home) {
    let place = Place::at(home);
    let keys = ["job:b", "job:a", "other", "job:ü 📈"];
    let held: Vec<_> =
        keys.iter().map(|key| place.start(&["run", key, "--", "sleep", "600"])).collect();
    for key in keys {
        until("it holds", || (place.status(key)["state"] == "held").then_some(()));
    }
    let listed = place.run(&["list", "job:", "--json"]).stdout;
    let mut names = vec![];
    for line in listed.lines() {
        let value: Value = serde_json::from_str(line).expect("JSON");
        conforms(KEY, &value);
        names.push(value["key"].as_str().expect("a text").to_owned());
    }
    assert_eq!(names, ["job:a", "job:b", "job:ü 📈"]);
    let all = place.run(&["list"]).stdout;
    assert_eq!(all.lines().filter(|line| line.contains(": held, last fence ")).count(), 4, "{all}");
    drop(held);
}

fn a_long_list_comes_page_by_page_and_whole(home: Home) {
    let place = Place::at(home);
    let _held = hold_many(&place, 300);
    let listed = place.run(&["list", "--json", "key "]);
    assert_eq!(listed.stdout.lines().count(), 300, "{}", listed.stderr);
    let closed = place.sh("\"$TENURE\" list --json | head -n 1 | wc -l; ");
    assert_eq!((closed.stdout.trim(), &*closed.stderr), ("1", ""), "a reader that has enough");
}

/// So many keys, held by this process as long as the value lives.
fn hold_many(place: &Place, count: usize) -> (tenure::Locks, Vec<tenure::Guard>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let locks = tenure::connect(&place.store_url()).await.expect("the store opens");
        let mut guards = Vec::new();
        for number in 0..count {
            let lock = locks.mutex(format!("key {number}")).with_ttl(Duration::from_secs(3600));
            guards.push(lock.acquire().await.expect("the key is free"));
        }
        (locks, guards)
    })
}

fn a_report_of_every_outcome(home: Home) {
    let place = Place::at(home);
    let report = |words: &[&str]| {
        let line = [&["run", "-q", "--report", "r"], words].concat();
        place.run(&line);
        let value = place.report("r");
        conforms(REPORT, &value);
        (value, snapshot(&place.read("r")))
    };
    let (_, text) = report(&["k", "--", "sh", "-c", "exit 7"]);
    let ended = r#"{"key":"k","outcome":"ended","exit":N,"code":N,"signal":null,"fence":N,"#;
    let rest = r#""waited_ms":N,"held_ms":N,"reason":null,"keys":["k"],"fences":[N]"#;
    // The times, the host, the store and the label differ; `report` looks at them.
    let (same, _) = text.split_once(",\"begin\":").expect("the newer fields come last");
    assert_eq!(same, format!("{ended}{rest}"));
    let (value, _) = report(&["k", "--", "sh", "-c", "exit 7"]);
    assert_eq!((&value["exit"], &value["code"]), (&7.into(), &7.into()));
    let (value, _) = report(&["k", "--", "sh", "-c", "kill -KILL $$"]);
    assert_eq!((&value["exit"], &value["signal"]), (&137.into(), &9.into()));
    let (value, _) = report(&["--max-hold", "50ms", "k", "--", "sleep", "600"]);
    assert_eq!((&value["outcome"], &value["exit"]), (&"max-hold".into(), &124.into()));
    let (value, _) = report(&["--store-file", "/proc/no/file", "k", "--", "true"]);
    assert_eq!((&value["outcome"], &value["fence"]), (&"failed".into(), &Value::Null));
    for (outcome, state) in [("ended", "ok"), ("skipped", "ok")] {
        place.run(&["once", "--every", "366d", "--report", "r", "-q", "job", "--", "true"]);
        let value = place.report("r");
        conforms(REPORT, &value);
        let seen = place.status("job");
        conforms(KEY, &seen);
        assert_eq!(
            (&value["outcome"], &seen["last_run"]["state"]),
            (&outcome.into(), &state.into())
        );
    }
    let _holder = place.start(&["run", "k", "--", "sleep", "600"]);
    until("it holds", || (place.status("k")["state"] == "held").then_some(()));
    let (value, _) = report(&["--try", "k", "--", "true"]);
    assert_eq!((&value["outcome"], &value["exit"]), (&"busy".into(), &75.into()));
}
