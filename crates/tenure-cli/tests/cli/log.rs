//! `-v` and `--log-format`: the steps of a run, for people and for programs.

use serde_json::Value;

use crate::place::Place;
use crate::schema;

const SCHEMA: &str = include_str!("../../schema/log.json");

/// The lines of JSON on stderr, each as the schema says.
fn lines(stderr: &str) -> Vec<Value> {
    let rules = serde_json::from_str(SCHEMA).expect("JSON");
    let line = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        schema::check(&rules, &line).unwrap_or_else(|e| panic!("{e}"));
        line
    };
    stderr.lines().map(line).collect()
}

fn events(stderr: &str) -> Vec<String> {
    let event = |line: &Value| line["event"].as_str().expect("a text").to_owned();
    lines(stderr).iter().map(event).collect()
}

#[test]
fn each_message_is_a_line_of_json_with_its_event() {
    let place = Place::new();
    let json = ["run", "--log-format", "json", "--label", "me"];
    let quick = [&json[..], &["-v", "a", "--", "true"]].concat();
    let ended = place.run(&quick);
    let mut told = events(&ended.stderr);
    // Waiting that lasts for a second is told once more.
    told.dedup();
    assert_eq!(told, ["waiting", "held", "started", "ended", "released"]);
    for line in lines(&ended.stderr) {
        assert_eq!((&line["key"], &line["label"]), (&"a".into(), &"me".into()), "{line}");
        let time = line["time"].as_str().expect("a text");
        assert!(time.ends_with('Z') && time.len() == "2026-01-01T00:00:00.000Z".len(), "{time}");
        assert!(line["store"].as_str().is_some_and(|store| store.contains("locks.db")), "{line}");
    }
    let ended = place.run(&[&json[..], &["a", "--", "no-such-command"]].concat());
    let refused = &lines(&ended.stderr)[0];
    assert_eq!((&refused["event"], &refused["key"]), (&"not found".into(), &"a".into()));
    assert!(refused["store"].as_str().is_some_and(|store| store.contains("locks.db")), "{refused}");
    assert_eq!(refused["level"], "error");
    let ended = place.run(&[&json[..], &["--max-hold", "50ms", "a", "--", "sleep", "9"]].concat());
    assert_eq!(events(&ended.stderr), ["max-hold"]);
}

#[test]
fn verbose_tells_people_each_step_with_the_time_of_day() {
    let place = Place::new();
    // CMD has the same stderr, and ends when it has seen a renewal there.
    let script = "until grep -q renewed /proc/self/fd/2; do sleep 0.05; done";
    let ended = place.run(&["run", "-v", "--ttl", "9s", "k", "--", "sh", "-c", script]);
    let lines: Vec<_> = ended.stderr.lines().collect();
    for line in &lines {
        let time = line.strip_prefix("tenure: ").and_then(|line| line.get(..14));
        let is_time = |time: &str| time.ends_with(" UTC: ") && time.as_bytes()[2] == b':';
        assert!(time.is_some_and(is_time), "{line}");
    }
    let at = |words: &str| {
        let at = lines.iter().position(|line| line.contains(words));
        at.unwrap_or_else(|| panic!("{words} is missing: {ended:?}"))
    };
    let steps = [
        "waiting for \"k\"",
        "\"k\" is held after",
        "CMD runs as process",
        "renewed \"k\" for",
        "CMD ended with 0 after",
        "released \"k\" after",
    ];
    assert!(steps.map(at).is_sorted(), "{ended:?}");
}
