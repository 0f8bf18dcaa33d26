//! Prometheus' own tool reads the alert rules, runs their tests, and reads each query of the board,
//! where it is installed.

#![allow(clippy::print_stdout, reason = "tests say what they left out")]

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use xtask::root;

const PLACE: &str = "docs/operations";

/// Runs `promtool` beside the rules, and fails if it does.
fn promtool(words: &[&str], file: &Path) {
    let mut promtool = Command::new("promtool");
    let Ok(output) = promtool.args(words).arg(file).current_dir(root().join(PLACE)).output() else {
        return println!("promtool is not installed: {} is not read", file.display());
    };
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&said));
}

#[test]
fn promtool_reads_the_alert_rules() {
    promtool(&["check", "rules"], Path::new("tenure.rules.yml"));
}

#[test]
fn the_alerts_ring_when_their_tests_say_so() {
    promtool(&["test", "rules"], Path::new("tenure.rules.test.yml"));
}

/// Each alert has a test in which it rings.
#[test]
fn each_alert_is_tested() {
    let text = |name| std::fs::read_to_string(root().join(PLACE).join(name)).expect(name);
    let (rules, tests) = (text("tenure.rules.yml"), text("tenure.rules.test.yml"));
    for alert in rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        let mut of_alert = tests.split("- alertname: ").filter(|test| test.starts_with(alert));
        assert!(of_alert.any(|test| test.contains("exp_alerts:")), "{alert} never rings");
    }
}

/// The queries are written as rules, with values in place of Grafana's variables.
#[test]
fn promtool_reads_each_query_of_the_board() {
    let board = root().join(PLACE).join("tenure-dashboard.json");
    let board = std::fs::read_to_string(board).expect("the board");
    let board: serde_json::Value = serde_json::from_str(&board).expect("JSON");
    let panels = board["panels"].as_array().expect("panels").iter();
    let queries = panels.flat_map(|panel| panel["targets"].as_array().expect("queries"));
    let mut rules = String::from("groups:\n  - name: board\n    rules:\n");
    let mut count = 0;
    for query in queries {
        let query = query["expr"].as_str().expect("a query");
        let query = query.replace("$__rate_interval", "5m").replace("$store", ".*");
        assert!(!query.contains('$'), "a variable that is not known here: {query}");
        let query = serde_json::to_string(&query).expect("a text");
        writeln!(rules, "      - record: panel:{count}\n        expr: {query}").expect("a line");
        count += 1;
    }
    assert!(count >= 9, "{count} queries");
    let place = tempfile::tempdir().expect("a directory");
    let file = place.path().join("board.yml");
    std::fs::write(&file, rules).expect("a file");
    promtool(&["check", "rules"], &file);
}
