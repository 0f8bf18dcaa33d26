//! The short form measures everything once and checks no limit.

mod program;

use std::path::Path;

use program::bench;

#[test]
fn the_short_form_prints_every_figure_and_keeps_its_raw_data() {
    let directory = tempfile::tempdir().expect("a directory");
    let output = bench()
        .args(["--short", "--out", "figures.json", "--raw", "raw.json", "--peers", "peers.json"])
        .current_dir(directory.path())
        .output()
        .expect("it starts");
    let printed = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{printed}{errors}");
    let figures = [
        "memory: acquire + release",
        "sqlite: acquires + releases / bare transactions",
        "sqlite: handoff",
        "sqlite: 8 processes",
        "sqlite: holder killed",
        "store calls per round",
        "memory of each",
        "tenure run -- true",
        "size of the program",
        "quorum: acquire / 5 parallel bare script calls",
        "quorum: acquire / one server, 5 ms away",
        "quorum: messages per node",
    ];
    let over_a_server = [
        "one caller, p50 / scripts over a tokio socket",
        "one caller on a current-thread runtime, p50 / scripts",
        "one caller, p50 / quickest library",
        "one caller, p99 / p50",
        "one blocking caller, p50 / scripts over a socket",
        "64 tasks, cycles per second / quickest library",
        "64 tasks, server CPU per cycle / cheapest library",
        "tasks, lowest point / better of two ways forced",
        "handoff between processes, 16 waiters, p50 / PING",
        "16 waiters, longest wait / mean round",
        "handoff, 1,000 waiters",
        "commands per handoff",
        "1,000 idle waiters",
        "10,000 held leases",
        "one caller, cycle of a semaphore / of a mutex",
        "one caller, cycle of a reader / of a mutex",
        "64 tasks, cycle of a semaphore / of a mutex",
        "64 tasks, cycle of a reader / of a mutex",
        "cluster, one caller, cycle / of a single server",
        "cluster, 64 tasks, cycles/s / of a single server",
        "cluster, 64 tasks, calls per cycle / of a single server",
        "cluster, 500 held leases: calls per round of renewal",
    ];
    for figure in figures.iter().chain(&over_a_server) {
        assert!(printed.contains(figure), "{figure} is missing in:\n{printed}");
    }
    for (name, has_raw) in [("figures.json", false), ("raw.json", true)] {
        let record = std::fs::read_to_string(directory.path().join(name)).expect(name);
        let record: serde_json::Value = serde_json::from_str(&record).expect("it is JSON");
        let written = record["figures"].as_array().expect("a list");
        assert_eq!(written.len(), figures.len() + 2 * over_a_server.len());
        assert!(written.iter().all(|figure| figure.get("raw").is_some() == has_raw), "{name}");
        assert_ne!(record["versions"]["rustc"], "unknown");
    }
    compares_every_contender_written_in_rust(&directory.path().join("peers.json"));
}

fn compares_every_contender_written_in_rust(peers: &Path) {
    let peers = std::fs::read_to_string(peers).expect("it was written");
    let peers: serde_json::Value = serde_json::from_str(&peers).expect("it is JSON");
    let sockets = ["bare-blocking", "bare-tokio", "scripts-blocking", "scripts-tokio"];
    let libraries = ["tenure", "rslock"];
    let current = ["tenure-current", "rslock-current", "scripts-tokio-current"];
    let tasks = [&libraries[..], &["tenure-shared", "tenure-direct"]].concat();
    let lone = [&libraries[..], &["tenure-blocking"], &current, &sockets].concat();
    for (workload, contenders) in
        [("lone", &lone[..]), ("tasks", &tasks[..]), ("waiters", &libraries)]
    {
        let rows = peers[workload].as_array().expect("rows");
        for server in ["redis", "valkey"] {
            for contender in contenders {
                let is_its = |row: &&serde_json::Value| {
                    row["server"] == server && row["contender"] == *contender
                };
                assert!(rows.iter().any(|row| is_its(&row)), "{workload}, {server}: {contender}");
            }
        }
    }
    assert_eq!(peers["skipped"], serde_json::json!([]));
}
