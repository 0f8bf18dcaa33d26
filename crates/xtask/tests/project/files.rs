//! Text that no file of the repository may contain, and the width of its lines.

use std::path::Path;

use xtask::{File, files};

/// Directories that exist on somebody's machine and on no other. Written so that this file does
/// not contain what it looks for.
const SOMEBODYS: [&str; 5] = ["home", "root", "work", "farm", "Users"];

/// The user of examples.
const NOBODY: &str = "ada";

/// Cargo.lock names the registry; the licences are as their authors wrote them.
fn is_ours(file: &File) -> bool {
    let name = file.path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    name != "Cargo.lock" && !name.starts_with("LICENSE")
}

/// Whether `line` names a directory of somebody's machine, as in `cd /DIRECTORY/x`.
fn names_a_machine_path(line: &str) -> bool {
    SOMEBODYS.iter().any(|directory| {
        let path = format!("/{directory}/");
        line.match_indices(&path).any(|(at, _)| {
            let before = line[..at].chars().next_back();
            if line[at + path.len()..].starts_with(NOBODY) {
                return false;
            }
            before.is_none_or(|c| !(c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '}')))
        })
    })
}

/// Whether `line` puts something off without saying where it is tracked: `TODO(#12)` does.
fn puts_off(line: &str) -> bool {
    ["TO".to_owned() + "DO", "FIX".to_owned() + "ME"].iter().any(|mark| {
        line.match_indices(mark.as_str()).any(|(at, _)| {
            let behind = &line[at + mark.len()..];
            let number = behind.strip_prefix("(#").unwrap_or_default();
            !number.starts_with(|c: char| c.is_ascii_digit())
        })
    })
}

fn refuse(what: &str, is_bad: impl Fn(&str) -> bool) {
    let files = files();
    assert!(files.len() > 20, "the list of files looks wrong: {}", files.len());
    let bad: Vec<_> = files
        .iter()
        .filter(|file| is_ours(file))
        .flat_map(File::lines)
        .filter(|(_, line)| is_bad(line))
        .map(|(place, _)| place)
        .collect();
    assert!(bad.is_empty(), "{what}:\n{}", bad.join("\n"));
}

#[test]
fn no_file_names_a_path_of_somebodys_machine() {
    refuse("paths of one machine", names_a_machine_path);
}

#[test]
fn no_file_names_a_package_registry() {
    let host = ["crates", "io"].join(".");
    refuse("a registry's host", |line| line.contains(&host));
}

#[test]
fn nothing_is_put_off_without_an_issue() {
    refuse("put off without the number of an issue", puts_off);
}

#[test]
fn the_checks_find_what_they_look_for() {
    let directory = SOMEBODYS[0];
    assert!(names_a_machine_path(&format!("see /{directory}/me/notes")));
    assert!(names_a_machine_path(&format!("\"/{directory}/me\"")));
    assert!(!names_a_machine_path(&format!("/{directory}/ada/.local/state")));
    assert!(!names_a_machine_path(&format!("the /my-{directory}/x and a/{directory}/b")));
    let mark = ["TO", "DO"].concat();
    assert!(puts_off(&format!("// {mark}: later")));
    assert!(puts_off(&format!("// {mark}(me): later")));
    assert!(!puts_off(&format!("// {mark}(#12): later")));
}

#[test]
fn documents_and_code_fit_into_100_columns() {
    let wide: Vec<_> = files()
        .iter()
        .filter(|file| is_ours(file))
        .filter(|file| {
            let extension = file.path.extension().and_then(|e| e.to_str());
            matches!(extension, Some("md" | "py" | "pyi" | "rs")) || file.path == Path::new("test")
        })
        .flat_map(|file| {
            file.lines().map(|(place, line)| (place, line.chars().count())).collect::<Vec<_>>()
        })
        .filter(|(_, columns)| *columns > 100)
        .map(|(place, columns)| format!("{columns} columns: {place}"))
        .collect();
    assert!(wide.is_empty(), "too wide:\n{}", wide.join("\n"));
}
