//! The tables of the results, in Markdown. They hold nothing but what the results say.

use std::fmt::Write;

use crate::table::Table;

use super::results::Results;
use super::topology::Kind;

const HEAD: [&str; 9] = [
    "fault",
    "setting",
    "grants",
    "overlaps",
    "stale",
    "stale, fenced",
    "fences",
    "recovery, s",
    "worst, s",
];

/// The rows of one topology.
pub(crate) fn table(results: &Results, topology: Kind) -> Table {
    let mut table = Table::new(&HEAD);
    for row in results.rows.iter().filter(|row| row.topology == topology) {
        table.push(vec![
            row.fault.to_string(),
            row.setting.to_string(),
            row.sum(|run| run.grants).to_string(),
            row.sum(|run| run.overlaps).to_string(),
            row.sum(|run| run.stale_unfenced).to_string(),
            row.sum(|run| run.stale_fenced).to_string(),
            row.sum(|run| run.disordered).to_string(),
            seconds(row.recovery_p50_ms()),
            seconds(row.recovery_worst_ms()),
        ]);
    }
    table
}

/// All tables that have rows.
pub(crate) fn report(results: &Results) -> String {
    let mut text = String::new();
    for topology in [Kind::Single].into_iter().chain(Kind::THAT_FAIL_OVER) {
        if results.rows.iter().any(|row| row.topology == topology) {
            let _ = write!(text, "{topology}\n\n{}\n", table(results, topology).text());
        }
    }
    for skipped in &results.skipped {
        let _ = writeln!(text, "not run: {skipped}");
    }
    text
}

fn seconds(millis: u64) -> String {
    format!("{}.{}", millis / 1_000, millis % 1_000 / 100)
}
