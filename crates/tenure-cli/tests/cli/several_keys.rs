//! `tenure run -k A -k B`: all keys or none, in one order.

use std::fs;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::place::{Home, Place, on_every_store, until};
use crate::schema;

on_every_store! {
    cmd_knows_all_keys
    a_key_that_is_busy_frees_the_others
    waiting_names_the_key_that_others_hold
    six_runs_in_opposite_orders_all_end
}

fn report(place: &Place) -> Value {
    let schema = serde_json::from_str(include_str!("../../schema/report.json")).expect("JSON");
    let report = place.report("r");
    schema::check(&schema, &report).unwrap_or_else(|e| panic!("{e} in {report}"));
    report
}

fn cmd_knows_all_keys(home: Home) {
    let place = Place::at(home);
    let script = "printf '%s\\n' \"$TENURE_KEY\" \"$TENURE_FENCE\" \"$TENURE_OWNER\"; \
                  for key in a 'b c'; do \"$TENURE\" status --json \"$key\"; done";
    let words = ["run", "--report", "r", "-k", "b c", "--key", "a", "-k", "b c", "--"];
    let ended = place.run(&[&words[..], &["sh", "-c", script]].concat());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let lines: Vec<&str> = ended.stdout.lines().collect();
    assert_eq!(lines[..2], ["a", "b c"]);
    for (number, line) in lines[6..].iter().enumerate() {
        let seen: Value = serde_json::from_str(line).expect("JSON");
        assert_eq!(lines[2 + number], seen["holders"][0]["fence"].to_string());
        assert_eq!(lines[4 + number], seen["holders"][0]["owner"].as_str().expect("an owner"));
    }
    let report = report(&place);
    assert_eq!((&report["key"], &report["keys"]), (&json!("a"), &json!(["a", "b c"])));
    let fences: Vec<Value> = lines[2..4].iter().map(|fence| fence.parse().expect("JSON")).collect();
    assert_eq!(report["fences"], json!(fences));
    assert_eq!(report["fence"], fences[0]);
    for key in ["a", "b c"] {
        assert_eq!(place.status(key)["state"], "free");
    }
}

fn a_key_that_is_busy_frees_the_others(home: Home) {
    let place = Place::at(home);
    let _holder = place.start(&["run", "b", "--", "sh", "-c", "echo $$ > pid; exec sleep 600"]);
    place.number_in("pid");
    for words in [&["--try"][..], &["--wait", "300ms"]] {
        let words = [&["run", "--report", "r"], words, &["--min-hold", "1h"]].concat();
        let ended = place.run(&[&words[..], &["-k", "a", "-k", "b", "--", "echo", "ran"]].concat());
        assert_eq!((ended.code, &*ended.stdout), (Some(75), ""), "{ended:?}");
        assert!(ended.stderr.contains("\"b\""), "{ended:?}");
        let report = report(&place);
        assert_eq!((&report["outcome"], &report["fences"]), (&json!("busy"), &Value::Null));
        assert_eq!(place.status("a")["state"], "free");
    }
}

fn waiting_names_the_key_that_others_hold(home: Home) {
    let place = Place::at(home);
    let holder = place.start(&["run", "b", "--", "sh", "-c", "echo $$ > pid; exec sleep 600"]);
    place.number_in("pid");
    let mut waiter = place.start(&["run", "-k", "a", "-k", "b", "-k", "c", "--", "echo", "ran"]);
    let line = waiter.stderr_line();
    assert!(line.starts_with("tenure: waiting for \"b\" for "), "{line}");
    assert!(line.contains("s: held by "), "{line}");
    assert_eq!(place.status("a")["state"], "held");
    assert_eq!(place.status("c")["state"], "free");
    holder.signal(Signal::TERM);
    let ended = waiter.wait();
    assert_eq!((ended.code, &*ended.stdout), (Some(0), "ran\n"), "{ended:?}");
    until("all are free", || (place.status("a")["state"] == "free").then_some(()));
}

fn six_runs_in_opposite_orders_all_end(home: Home) {
    let place = Place::at(home);
    let script = "mkdir in && rmdir in && echo ran >> log";
    let orders = [["a", "b", "c"], ["c", "b", "a"], ["b", "a", "c"]];
    let runs: Vec<_> = orders
        .into_iter()
        .cycle()
        .take(6)
        .map(|[x, y, z]| place.start(&["run", "-k", x, "-k", y, "-k", z, "--", "sh", "-c", script]))
        .collect();
    for run in runs {
        let ended = run.wait();
        assert_eq!(ended.code, Some(0), "{ended:?}");
    }
    assert_eq!(fs::read_to_string(place.path("log")).expect("a log").lines().count(), 6);
}

#[test]
fn a_nested_run_on_one_of_the_keys_is_refused() {
    let place = Place::new();
    let script = "\"$TENURE\" run b -- echo ran; echo $?; \"$TENURE\" run -k c -k a -- echo ran; \
                  echo $?; \"$TENURE\" run -k c -k d -- echo ran; echo $?";
    let ended = place.run(&["run", "-k", "a", "-k", "b", "--", "sh", "-c", script]);
    assert_eq!(ended.stdout, "64\n64\nran\n0\n", "{ended:?}");
    for key in ["a", "b"] {
        let message = format!("\"{key}\" is held by a command around this one");
        assert!(ended.stderr.contains(&message), "{ended:?}");
    }
}

#[test]
fn cmd_is_what_stands_behind_the_dashes() {
    let place = Place::new();
    let ended = place.run(&["run", "-k", "a", "--", "printf", "%s|", "-k", "b", "--", "c"]);
    assert_eq!(ended.stdout, "-k|b|--|c|", "{ended:?}");
    let ended = place.run(&["run", "-k", "a", "-k", "b", "--", "echo hello"]);
    assert_eq!(ended.code, Some(127), "{ended:?}");
    let hint = "tenure run -k a -k b -- sh -c 'echo hello'";
    assert!(ended.stderr.contains(hint), "{ended:?}");
}
