//! The documents are a book: its summary lists each page once, and mdbook builds it where it is
//! installed, with links that lead somewhere.

#![allow(clippy::print_stdout, reason = "tests say what they left out")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use xtask::{book, documents, pages};

const SUMMARY: &str = "docs/SUMMARY.md";

#[test]
fn the_summary_lists_each_document_once() {
    let pages = pages();
    let listed: BTreeSet<_> = pages.iter().cloned().collect();
    assert_eq!(listed.len(), pages.len(), "{SUMMARY} lists a page twice");
    let all = documents().into_iter().filter(|name| name != SUMMARY).map(PathBuf::from);
    let missing: Vec<_> = all.filter(|page| !listed.contains(page)).collect();
    assert!(missing.is_empty(), "{SUMMARY} does not list {missing:?}");
}

/// The targets of the links in a page of the book, as paths below the book, with the heading.
fn targets<'a>(page: &Path, html: &'a str) -> Vec<(PathBuf, &'a str)> {
    let links = ["href=\"", "src=\""].into_iter().flat_map(|start| html.split(start).skip(1));
    let links = links.filter_map(|rest| rest.split('"').next());
    let local = links.filter(|link| !link.contains(':') && !link.is_empty());
    let place = page.parent().expect("a directory");
    let target = |link: &'a str| {
        let (file, heading) = link.split_once('#').unwrap_or((link, ""));
        (if file.is_empty() { page.to_owned() } else { place.join(file) }, heading)
    };
    local.map(target).collect()
}

#[test]
fn mdbook_builds_a_book_without_a_dead_link_where_it_is_installed() {
    let place = tempfile::tempdir().expect("a directory");
    let said = match book(&place.path().join("book")) {
        Err(why) if why.contains("not installed") => return println!("{why}"),
        said => said.expect("mdbook builds it"),
    };
    assert!(!said.contains("WARN"), "{said}");
    for page in pages() {
        let path = place.path().join("book/html").join(page.with_extension("html"));
        let html = std::fs::read_to_string(&path);
        let html = html.unwrap_or_else(|e| panic!("{} was not built: {e}", page.display()));
        for (target, heading) in targets(&path, &html) {
            assert!(target.exists(), "{}: nothing at {}", page.display(), target.display());
            let text = std::fs::read(&target).unwrap_or_default();
            let id = format!("id=\"{heading}\"");
            let has_it = heading.is_empty() || String::from_utf8_lossy(&text).contains(&id);
            assert!(has_it, "{}: no heading {heading} in {}", page.display(), target.display());
        }
    }
}
