//! The runbook is complete: each exit code, each message that names a fault and each finding of the
//! doctor has a heading, each heading has its parts, and a message that no longer exists has none.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use proc_macro2::{TokenStream, TokenTree};
use xtask::{files, root};

const PAGE: &str = "docs/runbook.md";
/// The page with the table of findings.
const TABLE: &str = "docs/command-line.md";
const PARTS: [&str; 5] = ["Means", "Affected", "Look", "Do", "Prevent"];
/// The files with the texts of what can go wrong with a store, below `crates/tenure/src/store`.
const FAULTS: [&str; 14] = [
    "redis/client/failure.rs",
    "redis/client/sentinel_fault.rs",
    "redis/client/server_error.rs",
    "quorum/node.rs",
    "quorum/report.rs",
    "sqlite/beside.rs",
    "sqlite/boot.rs",
    "sqlite/cut_off.rs",
    "sqlite/error.rs",
    "sqlite/inherited.rs",
    "sqlite/lock_owner.rs",
    "sqlite/mount.rs",
    "sqlite/unread_journal.rs",
    "sqlite/wake_dir.rs",
];
/// The files with the texts of what can go wrong with a lock, below `crates`.
const OF_LOCKS: [&str; 5] = [
    "tenure/src/protocol/key_state/capacity.rs",
    "tenure/src/types/error.rs",
    "tenure-cli/src/plan.rs",
    "tenure-cli/src/store/located.rs",
    "tenure-cli/src/told.rs",
];
/// Texts in these files that are no message of their own: what a server says, states that are no
/// faults, and parts of others.
const NO_MESSAGES: [&str; 24] = [
    "WAIT cannot be used with replica",
    "belongs to user {owner}, ",
    "is no directory, or a link to one",
    "Try again, or end it",
    "user {}, group {}, mode",
    "The user executing the script",
    "while the cluster is down",
    "command called from script",
    "its text is not shown",
    "let them announce what this machine can resolve",
    "grants nothing new for",
    "(a hard link; it belongs to user",
    "is no regular file (it belongs to user",
    "does not exist, so nothing is locked there",
    "this host alone, by its address",
    "if nobody needs it, this deletes it",
    "its command has ended",
    "learn of it at their next renewals",
    "learns of it at its next renewal",
    "no run of a job can begin before that",
    "waiting would never end",
    "which does not end by itself",
    "which held it for",
    "without the key it would be ended",
];
/// A text that begins so is about the option that it names, and is wrong usage (64).
const OPTIONS: [&str; 3] = ["--", "{option}", "several "];
/// Fewer words make no sentence.
const WORDS: usize = 6;
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

/// The parts of the page, each of one chapter or more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Codes,
    Messages,
    Findings,
}

/// The texts of the headings in a part of the page.
fn marks(part: Part) -> Vec<String> {
    let page = text(PAGE);
    let (_, rest) = page.split_once("\n## Exit codes\n").expect("the chapter of exit codes");
    let (codes, rest) = rest.split_once("\n## ").expect("a chapter behind it");
    let (messages, findings) = rest.split_once("\n## Findings of ").expect("the last chapter");
    let chapter = match part {
        Part::Codes => codes,
        Part::Messages => messages,
        Part::Findings => findings,
    };
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

/// The string literals of a program, without those of attributes and of unit tests.
fn strings(source: &str) -> Vec<String> {
    let program = source.split("#[cfg(test)]").next().unwrap_or_default();
    let mut found = Vec::new();
    collect(program.parse().expect("Rust"), &mut found);
    found
}

fn collect(tokens: TokenStream, found: &mut Vec<String>) {
    let mut is_attribute = false;
    for token in tokens {
        match token {
            TokenTree::Group(group) if !is_attribute => collect(group.stream(), found),
            TokenTree::Literal(literal) => {
                let text = syn::parse_str::<syn::LitStr>(&literal.to_string());
                found.extend(text.ok().map(|text| text.value()));
            }
            // `#[…]`, which documentation is as well, and `#![…]`.
            TokenTree::Punct(sign) if matches!(sign.as_char(), '#' | '!') => {
                is_attribute |= sign.as_char() == '#';
                continue;
            }
            _ => {}
        }
        is_attribute = false;
    }
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
    let differs = |word: &str| word.starts_with(|c: char| c == '"' || c.is_ascii_digit());
    let same = |cell: &str| {
        let words: Vec<_> = cell.split(' ').collect();
        let end = words.iter().skip(1).position(|word| differs(word));
        words[..end.map_or(words.len(), |end| end + 1)].join(" ")
    };
    cells.map(same).collect()
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
    assert_eq!(BTreeSet::from_iter(marks(Part::Codes)), codes, "{PAGE} and exit.rs");
}

/// The message of a code begins with its word, and so does the heading.
#[test]
fn headings_of_exit_codes_have_the_words_of_the_messages() {
    let source = text("crates/tenure-cli/src/exit.rs");
    let between = |start: &str, end: char| -> Vec<(String, String)> {
        let found = source.match_indices(start).map(|(at, start)| &source[at + start.len()..]);
        let pairs = found.filter_map(|rest| rest.split_once(end));
        pairs.map(|(name, rest)| (name.to_owned(), rest.to_owned())).collect()
    };
    let numbers: BTreeMap<_, _> = between("pub(crate) const ", ':')
        .into_iter()
        .filter_map(|(name, rest)| {
            let number = rest.strip_prefix(" Self = Self(")?.split(')').next()?;
            Some((name, number.to_owned()))
        })
        .collect();
    let codes = between("Code { exit: Exit::", ',');
    assert!(codes.len() > 8, "{codes:?}");
    let page = text(PAGE);
    for (name, rest) in codes {
        let word = rest.split('"').nth(1).expect("a word");
        let heading = format!("### `{}`: {word}", numbers[&name]);
        assert!(page.lines().any(|line| line == heading), "{PAGE} has no heading {heading}");
    }
}

#[test]
fn the_runbook_has_each_fault_of_a_store() {
    let marks = marks(Part::Messages);
    let faults = faults();
    assert!(faults.len() > 20, "{faults:?}");
    for fault in faults {
        let has_it = marks.iter().any(|mark| mark.contains(&fault) || fault.contains(mark));
        assert!(has_it, "{PAGE} has no heading with `{fault}`");
    }
}

#[test]
fn the_runbook_has_each_error_of_the_command_and_each_warning_of_the_library() {
    let marks = marks(Part::Messages);
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
fn the_runbook_has_each_text_about_a_store_or_a_lock() {
    let marks = marks(Part::Messages);
    let (mut all, mut missing) = (0, Vec::new());
    let of_stores = FAULTS.map(|file| format!("crates/tenure/src/store/{file}"));
    let of_locks = OF_LOCKS.map(|file| format!("crates/{file}"));
    for file in of_stores.into_iter().chain(of_locks) {
        for said in strings(&text(&file)) {
            let is_sentence = said.split_whitespace().count() >= WORDS;
            let is_usage = OPTIONS.iter().any(|begin| said.starts_with(begin));
            let is_part = NO_MESSAGES.iter().any(|part| said.contains(part));
            if !is_sentence || is_usage || is_part {
                continue;
            }
            all += 1;
            if !marks.iter().any(|mark| said.contains(mark.as_str())) {
                missing.push(format!("{file}: {said}"));
            }
        }
    }
    assert!(all > 66, "only {all} were found");
    assert!(missing.is_empty(), "{PAGE} has no heading with a part of:\n{}", missing.join("\n"));
}

/// A finding that is new, or is called otherwise, needs its entry, and its row in the table.
#[test]
fn runbook_and_table_have_each_finding_of_the_doctor_and_no_other() {
    let subjects = BTreeSet::from(tenure::store::SUBJECTS.map(str::to_owned));
    assert_eq!(BTreeSet::from_iter(marks(Part::Findings)), subjects, "{PAGE}");
    let page = text(TABLE);
    let (_, rest) = page.split_once("\n| about |").expect("the table of findings");
    let (table, _) = rest.split_once("\n\n").expect("its end");
    let rows = table.lines().filter_map(|row| row.strip_prefix('|')?.split('|').next());
    let words = rows.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    assert_eq!(words.map(str::to_owned).collect::<BTreeSet<_>>(), subjects, "{TABLE}");
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
    for mark in marks(Part::Messages) {
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
    let program = "/// six words of documentation are none\n#[doc = \"x\"] fn f() { g!(\"yes\") }";
    assert_eq!(strings(program), ["yes"]);
    assert_eq!(joined("\"one \\\n     two\""), "\"one two\"");
}
