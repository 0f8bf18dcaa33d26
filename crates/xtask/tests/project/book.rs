//! The pages below `docs` are a book: its summary lists each of them once, and mdbook builds it
//! where it is installed.

#![allow(clippy::print_stdout, reason = "tests say what they left out")]

use std::path::Path;
use std::process::Command;

use xtask::{documents, root};

const SUMMARY: &str = "docs/SUMMARY.md";

/// The pages that the summary lists, as paths below the root.
fn listed() -> Vec<String> {
    let summary = std::fs::read_to_string(root().join(SUMMARY)).expect("the summary");
    let links = summary.match_indices("](").map(|(at, _)| &summary[at + 2..]);
    links.map(|link| format!("docs/{}", link.split(')').next().unwrap_or_default())).collect()
}

#[test]
fn the_summary_lists_each_page_once() {
    let listed = listed();
    let is_page = |name: &String| name.starts_with("docs/") && name != SUMMARY;
    let pages: Vec<_> = documents().into_iter().filter(is_page).collect();
    let missing: Vec<_> = pages.iter().filter(|page| !listed.contains(page)).collect();
    assert!(missing.is_empty(), "{SUMMARY} does not list {missing:?}");
    assert_eq!(listed.len(), pages.len(), "{SUMMARY} lists a page twice, or one that is none");
}

/// mdbook takes its settings from `book.toml`; nothing else reads them.
#[test]
fn the_book_s_settings_name_the_directory_of_the_pages() {
    let settings = std::fs::read_to_string(root().join("docs/book.toml")).expect("the settings");
    for line in ["src = \".\"", "build-dir = \"../target/book\"", "create-missing = false"] {
        assert!(settings.lines().any(|found| found == line), "{line} is not in docs/book.toml");
    }
}

#[test]
fn mdbook_builds_the_book_where_it_is_installed() {
    let place = tempfile::tempdir().expect("a directory");
    let mut build = Command::new("mdbook");
    build.arg("build").arg("--dest-dir").arg(place.path()).arg(root().join("docs"));
    match build.output() {
        Err(error) => println!("mdbook is not installed: {error}"),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success() && !said.contains("WARN"), "{said}");
            for page in listed() {
                let page = Path::new(&page).strip_prefix("docs").expect("it lies below docs");
                let is_index = page.file_name() == Some("README.md".as_ref());
                let page = if is_index { page.with_file_name("index.html") } else { page.into() };
                let built = place.path().join(page.with_extension("html"));
                assert!(built.exists(), "{} was not built", built.display());
            }
        }
    }
}
