//! The documents that quote a comparison: blocks between markers in README and COMPARE, and the
//! plots beside `bench/peers.json`. All of it is made from that file, never by hand.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::Failure;
use crate::block::{replaced, wrapped};
use crate::record::{root, write};

use super::contender::{self, Role};
use super::cores::Cores;
use super::plot;
use super::results::{Results, Skipped};
use super::table;

/// The files with their texts, as they are when they agree with some results.
pub(crate) fn files(results: &Results) -> Result<Vec<(PathBuf, String)>, Failure> {
    let mut files = Vec::new();
    for (name, block) in [("README.md", readme(results)), ("COMPARE.md", compare(results))] {
        let path = root().join(name);
        let text = std::fs::read_to_string(&path)?;
        files.push((path, replaced(&text, &block).map_err(|e| format!("{name}: {e}"))?));
    }
    for (name, text) in plot::all(results) {
        files.push((root().join("bench/plots").join(name), text));
    }
    Ok(files)
}

/// Makes the documents agree with some results.
pub(crate) fn rewrite(results: &Results) -> Result<(), Failure> {
    for (path, text) in files(results)? {
        write(&path, &text)?;
        println!("written: {}", path.display());
    }
    Ok(())
}

fn readme(results: &Results) -> String {
    let summary = table::summary(results);
    let (occasion, plots) = (occasion(results), ["latency", "throughput", "handoff"]);
    let plots = plots.map(|plot| format!("![{plot}](bench/plots/{plot}.svg)\n"));
    format!("{occasion}\n{summary}\n{}", plots.join("\n"))
}

fn compare(results: &Results) -> String {
    let mut text = occasion(results);
    text.push('\n');
    text.push_str(&wrapped(&versions(results), ""));
    let shown = |title: &str, plot: &str| format!("\n![{title}](bench/plots/{plot}.svg)\n");
    for (title, table, plot) in [
        ("One caller, all on one core", table::lone(results, Cores::One), Some("latency")),
        ("One caller, on any core", table::lone(results, Cores::All), None),
        ("64 tasks, 64 keys (CPU: the server's)", table::tasks(results), Some("throughput")),
        ("16 waiters in 4 processes, one key", table::waiters(results), Some("handoff")),
    ] {
        text.push_str(&format!("\n### {title}\n\n{table}"));
        text.extend(plot.map(|plot| shown(title, plot)));
    }
    if !results.skipped.is_empty() {
        text.push_str("\nNot measured in this run:\n\n");
        let line = |skipped: &Skipped| format!("- {}: {}", skipped.contender, skipped.reason);
        let lines: BTreeSet<_> = results.skipped.iter().map(line).collect();
        text.extend(lines.iter().map(|line| wrapped(line, "  ")));
    }
    text
}

/// When, where and of what, in one paragraph.
fn occasion(results: &Results) -> String {
    let occasion = &results.occasion;
    let machine = &occasion.machine;
    let day = occasion.date.split('T').next().unwrap_or_default();
    let of = |name: &str| {
        let found = results.versions.iter().find(|version| version.of == name);
        found.map_or_else(String::new, |version| version.version.clone())
    };
    let text = format!(
        "Measured on {day} at commit {}: {} with {} cores, {}, Redis {}, Valkey {}, server and \
         clients on one machine. Numbers are medians of rounds in which all took turns.",
        occasion.commit,
        machine.cpu,
        machine.cores,
        machine.kernel,
        of("redis"),
        of("valkey"),
    );
    wrapped(&text, "")
}

/// The versions of the libraries.
fn versions(results: &Results) -> String {
    let is_library = |of: &str| contender::role(of) == Some(Role::Library);
    let of = results.versions.iter().filter(|version| is_library(&version.of));
    let said: Vec<_> = of.map(|version| version.version.as_str()).collect();
    format!("Versions: {}.", said.join("; "))
}

#[cfg(test)]
mod tests {
    use super::super::results;
    use super::*;
    use crate::block::{BEGIN, END};

    #[test]
    fn the_documents_say_what_the_results_say() {
        // Before the first comparison is kept, the documents quote none.
        let Some(results) = Results::read(&results::file()).unwrap() else {
            for name in ["README.md", "COMPARE.md"] {
                let text = std::fs::read_to_string(root().join(name)).unwrap();
                assert!(text.contains(&[BEGIN, END].concat()), "{name} quotes a comparison");
            }
            return;
        };
        assert!(results.is_whole(), "the committed comparison is not whole");
        for (path, text) in files(&results).unwrap() {
            let committed = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(
                committed == text,
                "{} differs from bench/peers.json: run cargo figures documents",
                path.display()
            );
        }
    }
}
