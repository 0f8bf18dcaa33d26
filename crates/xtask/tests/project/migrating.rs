//! The page for users of other locks: each line of `tenure` in its tables runs.

use xtask::root;

use crate::program::{line, stand_in};

const PAGE: &str = "docs/migrating.md";

/// The texts in backticks that are lines of `tenure` with a command, as a shell reads them.
fn lines() -> Vec<String> {
    let page = std::fs::read_to_string(root().join(PAGE)).expect("the page");
    let spans = page.split('`').skip(1).step_by(2);
    let spans = spans.filter(|span| span.starts_with("tenure ") && span.contains(" -- "));
    // In a table, a pipe has a backslash before it; a long line may be broken.
    spans.map(|span| span.replace("\\|", "|").replace('\n', " ")).collect()
}

#[test]
fn each_line_for_users_of_other_locks_runs_their_job() {
    let lines = lines();
    assert!(lines.len() > 12, "only {lines:?}");
    for text in lines {
        let place = tempfile::tempdir().expect("a directory");
        stand_in(place.path(), "job", "echo \"$TENURE_KEY\" >> keys");
        let ran = line(&text, place.path());
        let said = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success(), "{PAGE}: {text}: {said}");
        let key = std::fs::read_to_string(place.path().join("keys")).unwrap_or_default();
        assert!(["report\n", "jobs/report\n"].contains(&&*key), "{PAGE}: {text}: {key}{said}");
    }
}
