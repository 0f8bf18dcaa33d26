//! The files that are made from the definition of the command line: completions, man pages and the
//! command reference. They are checked in, and the tests here compare them with fresh ones.
//! `TENURE_REGENERATE=1 cargo test -p tenure-cli generated` writes them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Command;
use clap_mangen::Man;

use crate::command::OWN_NAME;
use crate::{definition, sentry, terminal, topics};

mod completions;

use completions::completions;

/// With this variable the test writes the files.
const REGENERATE: &str = "TENURE_REGENERATE";
/// The line to type if a file is not as the definition has it.
const LINE: &str = "TENURE_REGENERATE=1 cargo test -p tenure-cli generated";
/// Columns of the help in the command reference.
const WIDTH: usize = 96;
const COMPLETIONS: &str = "completions";
const PAGES: &str = "man";
const REFERENCE: &str = "../../docs/commands.md";

/// Files by their paths below this crate.
type Files = BTreeMap<PathBuf, String>;

fn definition() -> Command {
    let mut command = definition::command().term_width(WIDTH);
    command.build();
    command
}

fn shown(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|verb| !verb.is_hide_set())
}

/// Lines as they are checked in: without blanks at their ends.
fn text(bytes: Vec<u8>) -> String {
    let text = String::from_utf8(bytes).expect("clap writes UTF-8");
    let lines: Vec<_> = text.trim_end().lines().map(str::trim_end).collect();
    lines.join("\n") + "\n"
}

/// Text that roff shows as it is.
fn escaped(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let line = line.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq");
        if line.starts_with('.') { format!("\\&{line}") } else { line }
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// A section whose lines stay as they are.
fn section(title: &str, text: &str) -> Vec<u8> {
    format!(".SH {title}\n.nf\n{}\n.fi\n", escaped(text)).into_bytes()
}

fn man(command: Command, name: &str) -> Man {
    let source = format!("{OWN_NAME} {}", env!("CARGO_PKG_VERSION"));
    Man::new(command).title(name).source(source).manual("Tenure")
}

fn page_of_command(command: &Command, name: &str, see_also: &str) -> String {
    let mut bytes = Vec::new();
    let long = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
    let usage = command.clone().render_usage().to_string();
    let man = man(command.clone().display_name(name), name);
    man.render_title(&mut bytes).expect("a vector takes everything");
    man.render_name_section(&mut bytes).expect("a vector takes everything");
    bytes.extend(section("SYNOPSIS", &usage.replace("Usage: ", "").replace("       ", "")));
    man.render_description_section(&mut bytes).expect("a vector takes everything");
    man.render_options_section(&mut bytes).expect("a vector takes everything");
    if shown(command).next().is_some() {
        let verbs = shown(command).map(|verb| (format!("tenure-{}(1)", verb.get_name()), verb));
        let verbs = verbs.map(|(page, verb)| {
            format!("  {page:<22}{}", verb.get_about().map(ToString::to_string).unwrap_or_default())
        });
        bytes.extend(section("VERBS", &verbs.collect::<Vec<_>>().join("\n")));
    }
    bytes.extend(section("NOTES", &long));
    bytes.extend(section("SEE ALSO", see_also));
    text(bytes)
}

fn man_pages() -> Files {
    let command = definition();
    let topics = topics::ALL.iter().map(|topic| format!("tenure-{}(1)", topic.name));
    let see_also = ["tenure(1)".to_owned()].into_iter().chain(topics);
    let see_also = see_also.collect::<Vec<_>>().join(",\n");
    let mut pages = Files::new();
    let mut add = |name: &str, text| pages.insert(Path::new(PAGES).join(format!("{name}.1")), text);
    add(OWN_NAME, page_of_command(&command, OWN_NAME, &see_also));
    for verb in shown(&command) {
        let name = format!("{OWN_NAME}-{}", verb.get_name());
        add(&name, page_of_command(verb, &name, &see_also));
    }
    for topic in &topics::ALL {
        let name = format!("{OWN_NAME}-{}", topic.name);
        let mut bytes = Vec::new();
        let about = Command::new("topic").about(topic.about);
        let man = man(about.display_name(&name), &name);
        man.render_title(&mut bytes).expect("a vector takes everything");
        man.render_name_section(&mut bytes).expect("a vector takes everything");
        bytes.extend(section("DESCRIPTION", &topic.text()));
        bytes.extend(section("SEE ALSO", &see_also));
        add(&name, text(bytes));
    }
    pages
}

fn reference() -> String {
    let command = definition();
    let mut all = String::from(
        "# Commands\n\n\
         All verbs and topics of `tenure`, as its help shows them. This page is made from the \
         program.\n[The command line](command-line.md) explains how they behave.\n",
    );
    for verb in shown(&command) {
        let help = verb.clone().render_long_help().to_string();
        all += &format!("\n## tenure {}\n\n```text\n{}```\n", verb.get_name(), text(help.into()));
    }
    for topic in &topics::ALL {
        let (name, text) = (topic.name, text(topic.text().into()));
        all += &format!("\n## tenure help {name}\n\n```text\n{text}```\n");
    }
    all
}

fn files() -> Files {
    let mut files = completions();
    files.extend(man_pages());
    // The sources of the crate alone have no such directory.
    if here(REFERENCE).parent().is_some_and(Path::is_dir) {
        files.insert(REFERENCE.into(), reference());
    }
    files
}

fn here(path: impl AsRef<Path>) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The checked-in files that the definition no longer makes.
fn left_over(files: &Files) -> Vec<PathBuf> {
    let there = [COMPLETIONS, PAGES].into_iter().flat_map(|directory| {
        let entries = std::fs::read_dir(here(directory)).into_iter().flatten();
        entries.map(move |entry| Path::new(directory).join(entry.expect("an entry").file_name()))
    });
    there.filter(|path| !files.contains_key(path)).collect()
}

#[test]
fn the_checked_in_files_are_those_of_the_definition() {
    let files = files();
    if std::env::var_os(REGENERATE).is_some() {
        for (path, text) in &files {
            let path = here(path);
            std::fs::create_dir_all(path.parent().expect("a directory")).expect("it can be made");
            std::fs::write(path, text).expect("it can be written");
        }
        left_over(&files).iter().for_each(|path| std::fs::remove_file(here(path)).expect("gone"));
    }
    for (path, text) in &files {
        let found = std::fs::read_to_string(here(path)).unwrap_or_default();
        assert!(found == *text, "{} is old; this line makes it anew: {LINE}", path.display());
    }
    let left = left_over(&files);
    assert!(left.is_empty(), "{left:?} belong to no verb; this line removes them: {LINE}");
}

/// Processes of ours are started by these words, and nobody types them.
#[test]
fn words_for_processes_of_ours_are_in_no_file() {
    for (path, text) in files() {
        for word in [sentry::WORD, terminal::WORD] {
            assert!(!text.contains(word), "{}: {word}", path.display());
        }
    }
}

#[test]
fn the_short_help_has_one_line_for_each_option() {
    let mut command = definition::command().term_width(100);
    command.build();
    for verb in shown(&command) {
        let help = verb.clone().render_help().to_string();
        let long = verb.clone().render_long_help().to_string();
        let name = verb.get_name();
        assert!(help.contains("See --help for all of it"), "{name}: {help}");
        assert!(help.contains("Example"), "{name} has no example in its short help: {help}");
        let options: Vec<_> = help
            .split_once("\nOptions:\n")
            .map(|(_, rest)| rest.lines().take_while(|line| !line.is_empty()).collect())
            .unwrap_or_default();
        for line in &options {
            assert!(
                line.starts_with("  -") || line.starts_with("      --"),
                "{name}: the first paragraph of an option's help is one short line: {line:?}"
            );
        }
        // The text of the topics is not repeated.
        for topic in &topics::ALL {
            let first = topic.text().lines().next().unwrap_or_default().to_owned();
            assert!(!long.contains(&first), "{name} repeats tenure help {}", topic.name);
        }
    }
}

#[test]
fn a_usage_has_two_dashes_before_cmd() {
    let mut command = definition();
    command.build();
    for verb in shown(&command) {
        let usage = verb.clone().render_usage().to_string();
        for line in usage.lines().filter(|line| line.contains("CMD")) {
            assert!(line.contains(" -- CMD"), "{line}");
        }
    }
}

#[test]
fn the_example_of_every_short_help_is_a_command_line() {
    let command = definition();
    for verb in shown(&command) {
        let help = verb.get_after_help().expect("an example").to_string();
        let example = help.lines().find(|line| line.trim_start().starts_with("tenure "));
        let words = example.expect("a line with an example").split_whitespace();
        let parsed = definition::command().try_get_matches_from(words);
        assert!(parsed.is_ok(), "{help}: {}", parsed.expect_err("an error"));
    }
}
