//! The short form measures everything once and checks no limit.

use std::process::Command;

#[test]
fn the_short_form_prints_every_figure_and_keeps_its_raw_data() {
    let directory = tempfile::tempdir().expect("a directory");
    let output = Command::new(env!("CARGO_BIN_EXE_tenure-bench"))
        .args(["--short", "--out"])
        .arg(directory.path())
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
    let mut files = std::fs::read_dir(directory.path()).expect("a directory");
    let file = files.next().expect("a file of raw data").expect("it can be read").path();
    let record = std::fs::read_to_string(file).expect("it can be read");
    let record: serde_json::Value = serde_json::from_str(&record).expect("it is JSON");
    assert_eq!(
        record["figures"].as_array().map(Vec::len),
        Some(figures.len() + 2 * over_a_server.len())
    );
    assert_ne!(record["versions"]["rustc"], "unknown");
}
