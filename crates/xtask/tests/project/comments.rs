//! The comments of the code begin with their subject. Only the first word of a sentence is checked.

use xtask::{File, files};

/// Words that begin a sentence without its subject: "What a key answers" is "The answer of a key".
const SIDEWAYS: [&str; 6] = ["Who", "Whoever", "Whom", "Whose", "What", "Whatever"];

/// The text of a line that is a comment.
fn comment<'a>(file: &File, line: &'a str) -> Option<&'a str> {
    let marks: &[&str] = match file.path.extension()?.to_str()? {
        "rs" => &["///", "//!", "//"],
        "lua" => &["--"],
        _ => return None,
    };
    let line = line.trim_start();
    marks.iter().find_map(|mark| line.strip_prefix(mark)).map(str::trim_start)
}

/// Whether a sentence that begins on this line has such a word in place of its subject.
fn begins_sideways(comment: &str) -> bool {
    comment.split(". ").any(|sentence| {
        let end = sentence.find(|c: char| !c.is_alphabetic()).unwrap_or(sentence.len());
        SIDEWAYS.contains(&&sentence[..end])
    })
}

#[test]
fn sentences_of_comments_begin_with_their_subject() {
    let mut bad = Vec::new();
    for file in files() {
        let path = file.path.to_string_lossy();
        if !path.starts_with("crates/") {
            continue;
        }
        for (place, line) in file.lines() {
            if comment(&file, line).is_some_and(begins_sideways) {
                bad.push(place);
            }
        }
    }
    assert!(bad.is_empty(), "say it with the subject first:\n{}", bad.join("\n"));
}

#[test]
fn the_check_finds_what_it_looks_for() {
    let file = |name: &str| File { path: name.into(), text: String::new() };
    let is_bad = |name: &str, line: &str| comment(&file(name), line).is_some_and(begins_sideways);
    assert!(is_bad("a.rs", "    /// What a key answers."));
    assert!(is_bad("a.rs", "//! Whoever has the text can adopt it."));
    assert!(is_bad("a.rs", "    // It ends at once. Who asks later is told so."));
    assert!(is_bad("a.lua", "  -- Whose lease it is."));
    assert!(!is_bad("a.rs", "/// The answer of a key, and what it means."));
    assert!(!is_bad("a.rs", "/// Whether a key is held."));
    assert!(!is_bad("a.rs", "let text = \"What\";"));
    assert!(!is_bad("a.lua", "local what = 1"));
}
