//! The short form of the failover experiment: every fault once, under the safest setting. And
//! its judge, on contenders that exclude nobody.

mod program;

use std::path::Path;
use std::process::Output;

use program::bench;
use serde_json::Value;

fn failover(arguments: &[&str], out: &Path) -> Output {
    bench()
        .args(["failover", "--short"])
        .args(arguments)
        .arg("--out")
        .arg(out)
        .output()
        .expect("it starts")
}

fn rows(out: &Path) -> Vec<Value> {
    let text = std::fs::read(out).expect("it was written");
    let results: Value = serde_json::from_slice(&text).expect("it is JSON");
    assert_eq!(results["servers"][0].as_str().map(|name| &name[..6]), Some("redis "));
    results["rows"].as_array().expect("a list").clone()
}

fn count(row: &Value, name: &str) -> u64 {
    let runs = row["runs"].as_array().expect("runs");
    runs.iter().map(|run| run[name].as_u64().expect("a number")).sum()
}

/// Of three masters, or of three Sentinels, none of the promises is broken by any fault.
fn every_fault_once(topology: &str) {
    let directory = tempfile::tempdir().expect("a directory");
    let out = directory.path().join("failover.json");
    let output = failover(&["--only", topology], &out);
    let printed = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{printed}{errors}");
    let rows = rows(&out);
    let faults: Vec<_> = rows.iter().filter_map(|row| row["fault"].as_str()).collect();
    assert!(faults.starts_with(&["planned", "kill", "restart", "pause"]), "{printed}");
    assert!(faults.ends_with(&["partition"]) || errors.contains("SKIPPED"), "{printed}{errors}");
    for row in &rows {
        assert!(count(row, "grants") > 20, "{row}");
        assert!(count(row, "recovery_ms") > 0, "nobody was granted anything afterwards: {row}");
    }
}

#[test]
fn every_fault_once_over_sentinels() {
    every_fault_once("sentinel");
}

#[test]
fn every_fault_once_over_a_cluster() {
    every_fault_once("cluster");
}

#[test]
fn contenders_that_exclude_nobody_are_seen() {
    let directory = tempfile::tempdir().expect("a directory");
    let out = directory.path().join("failover.json");
    let output = failover(&["--blind"], &out);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let rows = rows(&out);
    assert!(count(&rows[0], "overlaps") > 5, "{rows:?}");
    assert!(count(&rows[0], "stale_unfenced") > 5, "{rows:?}");
    // The fences are those of one server all the same.
    assert_eq!(count(&rows[0], "stale_fenced") + count(&rows[0], "disordered"), 0, "{rows:?}");
}
