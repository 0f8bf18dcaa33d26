//! The runbook is complete: each exit code and each message that names a fault has a heading, each
//! heading has its parts, and a message that no longer exists has none.

use std::collections::BTreeSet;
use std::path::Path;

use xtask::{files, root};

const PAGE: &str = "docs/runbook.md";
const PARTS: [&str; 5] = ["Means", "Affected", "Look", "Do", "Prevent"];
/// Headings of codes that are not the command's own.
const OTHER_CODES: [&str; 2] = ["0..255", "128 + n"];

fn text(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// The sections of the page: the texts in backticks of the heading, and what is below it.
fn sections() -> Vec<(Vec<String>, String)> {
    let page = text(PAGE);
    let sections = page.split("\n### ").skip(1);
    let read = |section: &str| {
        let (heading, body) = section.split_once('\n').expect("a heading and its text");
        let marks = heading.split('`').skip(1).step_by(2).map(str::to_owned);
        (marks.collect(), body.to_owned())
    };
    sections.map(read).collect()
}

/// The texts of the headings below `## CHAPTER`.
fn marks(is_of_codes: bool) -> Vec<String> {
    let page = text(PAGE);
    let (_, rest) = page.split_once("\n## Exit codes\n").expect("the chapter of exit codes");
    let (codes, messages) = rest.split_once("\n## ").expect("a chapter behind it");
    let chapter = if is_of_codes { codes } else { messages };
    let headings = chapter.lines().filter(|line| line.starts_with("### "));
    headings.flat_map(|line| line.split('`').skip(1).step_by(2)).map(str::to_owned).collect()
}

/// A piece of Rust with its string literals whole: a backslash at the end of a line joins it to
/// the next.
fn joined(source: &str) -> String {
    let mut parts = source.split("\\\n");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |all, part| all + part.trim_start())
}

/// The string literals among the arguments of a call; `source` begins behind its parenthesis.
fn literals(source: &str) -> Vec<String> {
    let (mut depth, mut literals) = (1, Vec::new());
    let mut open: Option<String> = None;
    let mut chars = source.chars();
    while let Some(c) = chars.next() {
        match (c, &mut open) {
            ('\\', Some(literal)) => literal.extend(chars.next()),
            ('"', Some(_)) => literals.extend(open.take()),
            (c, Some(literal)) => literal.push(c),
            ('"', None) => open = Some(String::new()),
            ('(' | '[' | '{', None) => depth += 1,
            (')' | ']' | '}', None) => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    literals
}

/// The messages that the calls `call` below `place` are given, with the file of each. A name of an
/// event or a target is a word, and no message.
fn messages(place: &str, call: &str) -> Vec<(String, String)> {
    let mut messages = Vec::new();
    for file in files().iter().filter(|file| file.path.starts_with(place)) {
        let source = joined(&file.text);
        for (at, _) in source.match_indices(call) {
            let said = literals(&source[at + call.len()..]);
            let said = said.into_iter().filter(|literal| literal.contains(' '));
            messages.extend(said.map(|said| (file.path.display().to_string(), said)));
        }
    }
    messages
}

/// The messages of the table of faults, up to what differs from case to case.
fn faults() -> BTreeSet<String> {
    let table = text("crates/tenure-cli/tests/redis/faults.table");
    let rows = table.lines().filter(|line| !line.starts_with('#'));
    let cells = rows.filter_map(|row| row.split('|').nth(5)).map(str::trim);
    let cells = cells.filter(|cell| !cell.is_empty());
    cells.map(|cell| cell.split(" \"").next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn each_section_of_the_runbook_has_its_parts() {
    let sections = sections();
    assert!(sections.len() > 50, "{}", sections.len());
    for (marks, body) in sections {
        assert!(!marks.is_empty(), "a heading without a code or message: {body}");
        let found: Vec<_> = body
            .lines()
            .filter_map(|line| line.strip_prefix("- **")?.split_once("**: "))
            .map(|(part, _)| part)
            .collect();
        assert_eq!(found, PARTS, "{PAGE}, {marks:?}");
    }
}

#[test]
fn the_runbook_has_each_exit_code_of_the_command() {
    let source = text("crates/tenure-cli/src/exit.rs");
    let after = source.match_indices("Self(").map(|(at, found)| &source[at + found.len()..]);
    let codes = after.filter_map(|rest| rest.split(')').next()?.parse::<u8>().ok());
    let mut codes: BTreeSet<String> = codes.map(|code| code.to_string()).collect();
    assert!(codes.len() > 8, "{codes:?}");
    codes.extend(OTHER_CODES.map(str::to_owned));
    assert_eq!(BTreeSet::from_iter(marks(true)), codes, "{PAGE} and exit.rs");
}

#[test]
fn the_runbook_has_each_fault_of_a_store() {
    let marks = marks(false);
    let faults = faults();
    assert!(faults.len() > 20, "{faults:?}");
    for fault in faults {
        let has_it = marks.iter().any(|mark| mark.contains(&fault));
        assert!(has_it, "{PAGE} has no heading with `{fault}`");
    }
}

#[test]
fn the_runbook_has_each_error_of_the_command_and_each_warning_of_the_library() {
    let marks = marks(false);
    let mut all = messages("crates/tenure-cli/src", ".error(");
    all.extend(messages("crates/tenure/src", "tracing::warn!("));
    all.extend(messages("crates/tenure/src", "tracing::error!("));
    assert!(all.len() > 25, "{all:?}");
    for (file, message) in all {
        let has_it = marks.iter().any(|mark| message.contains(mark.as_str()));
        assert!(has_it, "{PAGE} has no heading with a part of `{message}` ({file})");
    }
}

#[test]
fn each_message_of_the_runbook_exists() {
    let places = ["crates/tenure/src", "crates/tenure-cli/src"];
    let is_source = |path: &Path| places.iter().any(|place| path.starts_with(place));
    let sources: Vec<_> = files()
        .into_iter()
        .filter(|file| is_source(&file.path))
        .map(|file| joined(&file.text))
        .collect();
    let faults = faults();
    for mark in marks(false) {
        let is_written = sources.iter().any(|source| source.contains(&mark));
        let is_a_fault = faults.iter().any(|fault| mark.contains(fault.as_str()));
        assert!(is_written || is_a_fault, "{PAGE}: nothing says `{mark}`");
    }
}

#[test]
fn the_literals_of_a_call_are_found() {
    let source = "say(f(\"one {x}\", 'a'), \"two \\\"quoted\\\"\"); other(\"three\")";
    let at = source.find('(').expect("a call") + 1;
    assert_eq!(literals(&source[at..]), ["one {x}", "two \"quoted\""]);
    assert_eq!(joined("\"one \\\n     two\""), "\"one two\"");
}
