//! Lines of `tenure` within a sentence or a table run, as those in blocks do; and each option that
//! stands behind a verb is one that the verb has.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use tenure_testkit::clean;
use xtask::{documents, root};

use crate::program::{TENURE, line, stand_in};

/// Pages outside of the documents that users read as well.
const MORE: [&str; 2] = ["crates/tenure/docs/uses.md", "crates/tenure-python/README.md"];

/// The texts in backticks that begin with `tenure`, with their documents, as a shell reads them.
fn spans() -> Vec<(String, String)> {
    let mut spans = Vec::new();
    // The changelog is history.
    let all = documents().into_iter().filter(|name| name != "CHANGELOG.md");
    for name in all.chain(MORE.map(str::to_owned)) {
        let text = std::fs::read_to_string(root().join(&name)).expect("the document");
        let mut is_code = false;
        let outside = text.lines().filter(|line| {
            is_code ^= line.starts_with("```");
            !is_code && !line.starts_with("```")
        });
        let outside: Vec<_> = outside.collect();
        let found = outside.join(" ");
        let found = found.split('`').skip(1).step_by(2).filter(|span| span.starts_with("tenure "));
        // In a table, a pipe has a backslash before it.
        spans.extend(found.map(|span| (name.clone(), span.replace("\\|", "|"))));
    }
    spans
}

/// The command of a line that can be run: not a pattern with brackets, and not one that a document
/// warns of.
fn job(span: &str) -> Option<&str> {
    let (options, command) = span.split_once(" -- ")?;
    let is_a_pattern = span.contains(['[', '…']) || options.contains(" N ");
    let first = command.split(' ').next().filter(|first| *first != "sudo")?;
    (!is_a_pattern && !command.contains("FILE")).then_some(if first == "sh" {
        "job"
    } else {
        first
    })
}

#[test]
fn each_line_with_a_command_runs_it() {
    let mut ran = BTreeSet::new();
    for (name, span) in spans() {
        let Some(job) = job(&span) else { continue };
        if !ran.insert(span.clone()) {
            continue;
        }
        let place = tempfile::tempdir().expect("a directory");
        stand_in(place.path(), job, "echo ran >> ran");
        let output = line(&span, place.path());
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name}: {span}: {said}");
        let times = std::fs::read_to_string(place.path().join("ran")).unwrap_or_default();
        assert_eq!(times, "ran\n", "{name}: {span}: {said}");
    }
    assert!(ran.len() > 15, "only {ran:?}");
}

/// The long help of a verb; empty if there is no such verb.
fn help(verb: &str) -> String {
    let output = clean(&mut Command::new(&*TENURE)).args([verb, "--help"]).output();
    let output = output.expect("tenure runs");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    if output.status.success() { text } else { String::new() }
}

#[test]
fn each_option_behind_a_verb_is_one_of_its_own() {
    let mut helps = BTreeMap::new();
    let mut found = 0;
    for (name, span) in spans() {
        let mine = span.split(" -- ").next().unwrap_or_default();
        let mut words = mine.split(|c: char| c.is_whitespace() || matches!(c, '[' | ']' | '='));
        let Some(verb) = words.nth(1) else { continue };
        if !verb.starts_with(|c: char| c.is_ascii_lowercase()) {
            continue;
        }
        let help = helps.entry(verb.to_owned()).or_insert_with(|| help(verb));
        assert!(!help.is_empty() || verb == "help", "{name}: {span}: no such verb");
        for option in words.filter(|word| word.starts_with("--") && *word != "--help") {
            let has_it = help.split_whitespace().any(|word| word.trim_end_matches(',') == option);
            assert!(has_it, "{name}: {span}: tenure {verb} has no {option}");
            found += 1;
        }
    }
    assert!(found > 15, "only {found}");
}
