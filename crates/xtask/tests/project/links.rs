//! Documents are found: links lead somewhere, every index is complete, and every decision has its
//! parts.

use std::path::Path;

use xtask::{documents, root};

fn document(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// The end of a link to this heading, if the line is a heading.
pub(crate) fn anchor(line: &str) -> Option<String> {
    let heading = line.strip_prefix('#')?.trim_start_matches('#').strip_prefix(' ')?;
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    Some(kept.collect::<String>().to_lowercase().replace(' ', "-"))
}

#[test]
fn links_between_documents_lead_somewhere() {
    for name in &documents() {
        let text = document(name);
        let place = root().join(name);
        let place = place.parent().expect("a directory");
        for (at, _) in text.match_indices("](") {
            let link = text[at + 2..].split(')').next().unwrap_or_default();
            let (target, heading) = link.split_once('#').unwrap_or((link, ""));
            let is_local = !target.is_empty() && !target.contains("://");
            if (is_local || target.is_empty()) && !heading.is_empty() {
                let path = if is_local { place.join(target) } else { root().join(name) };
                let text = std::fs::read_to_string(&path).unwrap_or_default();
                let has_it = text.lines().any(|line| anchor(line).as_deref() == Some(heading));
                assert!(has_it, "{name}: no heading {heading} in {}", path.display());
            }
            assert!(!is_local || place.join(target).exists(), "{name}: nothing at {target}");
        }
    }
}

#[test]
fn the_index_has_every_document_below_docs() {
    // The book's summary is an index as well, and has a test of its own.
    let is_page = |name: &&String| name.starts_with("docs/") && *name != "docs/SUMMARY.md";
    for name in documents().iter().filter(is_page) {
        let path = Path::new(name);
        let place = path.parent().expect("a directory");
        // A folder's own index is listed in the one above it.
        let is_index = path.file_name() == Some("README.md".as_ref());
        let listed_in = if is_index { place.parent() } else { Some(place) };
        let Some(listed_in) = listed_in.filter(|place| place.starts_with("docs")) else { continue };
        let below = path.strip_prefix(listed_in).expect("it lies below").display().to_string();
        let index = format!("{}/README.md", listed_in.display());
        assert!(document(&index).contains(&format!("]({below})")), "{index} does not have {below}");
    }
}

/// Context, decision, consequences, and a number of its own.
#[test]
fn every_decision_has_its_parts() {
    let is_decision =
        |name: &&String| name.starts_with("docs/decisions/") && *name != "docs/decisions/README.md";
    let decisions: Vec<_> = documents().into_iter().filter(|name| is_decision(&name)).collect();
    assert!(decisions.len() > 10, "{decisions:?}");
    for (index, name) in decisions.iter().enumerate() {
        let text = document(name);
        let number = index + 1;
        assert!(name.starts_with(&format!("docs/decisions/{number:04}-")), "{name}: {number}");
        assert!(text.starts_with(&format!("# {number}. ")), "{name}: its title");
        let parts: Vec<_> = text.lines().filter(|line| line.starts_with("## ")).collect();
        assert_eq!(parts, ["## Context", "## Decision", "## Consequences"], "{name}");
    }
}

/// A path in backticks is one of ours, wherever its folder begins.
#[test]
fn source_files_that_documents_name_exist() {
    let files: Vec<_> =
        xtask::files().iter().map(|file| format!("/{}", file.path.display())).collect();
    let mut found = 0;
    for name in documents().iter().filter(|name| *name != "CHANGELOG.md") {
        let text = document(name);
        for path in text.split('`').skip(1).step_by(2) {
            let is_source = path.ends_with(".rs") || path.ends_with(".lua");
            if !is_source || path.contains(|c: char| c.is_whitespace() || c == '*') {
                continue;
            }
            let end = format!("/{path}");
            assert!(files.iter().any(|file| file.ends_with(&end)), "{name}: there is no {path}");
            found += 1;
        }
    }
    assert!(found > 20, "only {found} were found");
}
