//! The short form measures everything once and checks no limit.

use std::process::Command;

#[test]
fn the_short_form_prints_every_figure_and_keeps_its_raw_data() {
    let directory = tempfile::tempdir().expect("a directory");
    let output = Command::new(env!("CARGO_BIN_EXE_tenure-bench"))
        .args(["--short", "--out", "figures.json", "--raw", "raw.json"])
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
        "one caller, cycle / bare cycle",
        "64 tasks, cycles per second",
        "64 tasks, server CPU",
        "handoff, 16 waiters",
        "handoff, 1,000 waiters",
        "commands per handoff",
        "1,000 idle waiters",
        "10,000 held leases",
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
}
