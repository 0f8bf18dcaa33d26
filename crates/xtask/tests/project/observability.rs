//! Events and metrics have one table, in the library. The page, the alert rules and the board say
//! the same.

use std::collections::{BTreeMap, BTreeSet};

use xtask::root;

use crate::links::anchor;

const LIBRARY: &str = "crates/tenure/src/observe.rs";
const PAGE: &str = "docs/observability.md";
const RULES: &str = "docs/operations/tenure.rules.yml";
const BOARD: &str = "docs/operations/tenure-dashboard.json";
/// Ends that Prometheus adds to the name of a histogram.
const PARTS: [&str; 3] = ["_bucket", "_sum", "_count"];

fn text(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// A row: the name, and all other words that the table of the library gives: kind or level, fields
/// or labels.
type Rows = BTreeMap<String, BTreeSet<String>>;

/// The texts in backticks of a cell.
fn words(cell: &str) -> BTreeSet<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The rows of a document whose first cell is a name of ours. `start` is before each line.
fn rows(document: &str, start: &str) -> Vec<Vec<String>> {
    let lines = document.lines().filter_map(|line| line.strip_prefix(start));
    let rows = lines.filter(|line| line.starts_with("| `tenure"));
    let cells = |row: &str| row.split('|').map(|cell| cell.trim().to_owned()).collect();
    rows.map(cells).collect()
}

fn name(cell: &str) -> String {
    cell.trim_matches('`').to_owned()
}

/// Spans and events with their level and fields.
fn told_by_the_library() -> Rows {
    let rows = rows(&text(LIBRARY), "//! ");
    let rows = rows.iter().filter(|row| row[1].starts_with("`tenure."));
    let told = rows.map(|row| {
        let mut all = words(&row[4]);
        all.insert(row[3].clone());
        (name(&row[1]), all)
    });
    told.collect()
}

/// Metrics with their kind and labels.
fn counted_by_the_library() -> Rows {
    let rows = rows(&text(LIBRARY), "//! ");
    let rows = rows.iter().filter(|row| row[1].starts_with("`tenure_"));
    let counted = rows.map(|row| {
        let mut all = words(&row[3]);
        all.extend(row[2].split(',').next().map(str::to_owned));
        (name(&row[1]), all)
    });
    counted.collect()
}

#[test]
fn the_page_has_every_event_and_metric_of_the_library() {
    let page = rows(&text(PAGE), "");
    let (events, metrics): (Vec<_>, Vec<_>) =
        page.iter().partition(|row| row[1].starts_with("`tenure."));
    let of = |rows: Vec<&Vec<String>>| -> Rows {
        let row = |row: &Vec<String>| {
            let mut all = words(&row[3]);
            all.insert(row[2].clone());
            assert!(!row[4].is_empty(), "{PAGE}: {} has no meaning", row[1]);
            (name(&row[1]), all)
        };
        rows.into_iter().map(row).collect()
    };
    let (told, counted) = (told_by_the_library(), counted_by_the_library());
    assert!(told.len() > 10 && counted.len() > 7, "{told:?} {counted:?}");
    assert_eq!(of(events), told, "{PAGE} (left) and {LIBRARY} (right)");
    assert_eq!(of(metrics), counted, "{PAGE} (left) and {LIBRARY} (right)");
}

/// The metrics that a file names, without what Prometheus adds.
fn metrics_in(name: &str) -> BTreeSet<String> {
    let counted = counted_by_the_library();
    let is_histogram = |name: &str| counted.get(name).is_some_and(|all| all.contains("histogram"));
    let text = text(name);
    let is_of_a_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let found = text.split(|c| !is_of_a_name(c)).filter(|word| word.starts_with("tenure_"));
    let plain = |found: &str| {
        let base = PARTS.iter().find_map(|part| found.strip_suffix(part));
        base.filter(|base| is_histogram(base)).unwrap_or(found).to_owned()
    };
    found.map(plain).collect()
}

#[test]
fn rules_and_board_name_metrics_that_exist_and_the_board_names_all() {
    let all: BTreeSet<_> = counted_by_the_library().into_keys().collect();
    let (rules, board) = (metrics_in(RULES), metrics_in(BOARD));
    assert!(!rules.is_empty() && rules.is_subset(&all), "{RULES}: {:?}", &rules - &all);
    assert_eq!(board, all, "{BOARD} (left) and {LIBRARY} (right)");
}

#[test]
fn rules_and_board_sort_by_labels_that_exist() {
    let kinds = ["counter", "histogram"];
    let mut labels: BTreeSet<_> = counted_by_the_library().into_values().flatten().collect();
    labels.retain(|label| !kinds.contains(&label.as_str()));
    labels.insert("le".to_owned());
    for file in [RULES, BOARD] {
        let text = text(file);
        let lists = text.match_indices("by (").map(|(at, by)| &text[at + by.len()..]);
        let lists: Vec<_> = lists.filter_map(|rest| rest.split(')').next()).collect();
        assert!(lists.len() > 4, "{file}: {lists:?}");
        for label in lists.iter().flat_map(|list| list.split(", ")) {
            assert!(labels.contains(label), "{file}: no metric has the label {label}");
        }
    }
}

#[test]
fn each_alert_leads_to_an_entry_of_the_runbook() {
    let (rules, runbook) = (text(RULES), text("docs/runbook.md"));
    let alerts = rules.matches("- alert: ").count();
    let links = rules.match_indices("runbook: docs/runbook.md#");
    let links: Vec<_> = links.map(|(at, start)| &rules[at + start.len()..]).collect();
    assert_eq!(links.len(), alerts, "one for each alert");
    for link in links {
        let heading = link.lines().next().unwrap_or_default();
        let has_it = runbook.lines().any(|line| anchor(line).as_deref() == Some(heading));
        assert!(has_it, "the runbook has no heading {heading}");
    }
}

#[test]
fn the_board_is_one_that_grafana_can_import() {
    let board: serde_json::Value = serde_json::from_str(&text(BOARD)).expect("JSON");
    assert!(board["title"].is_string() && board["schemaVersion"].is_u64());
    let panels = board["panels"].as_array().expect("panels");
    let mut numbers = BTreeSet::new();
    for panel in panels {
        let title = panel["title"].as_str().expect("a title");
        assert!(numbers.insert(panel["id"].as_u64()), "{title}: its number is taken");
        let targets = panel["targets"].as_array().expect("queries");
        assert!(targets.iter().all(|query| query["expr"].is_string()), "{title}");
    }
}
