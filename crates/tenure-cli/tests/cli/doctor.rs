//! `tenure doctor` on files: a good one, and each thing that is wrong with one.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;

use serde_json::Value;

use crate::place::{NOBODY, Place, Running, TENURE};
use crate::schema;

const SCHEMA: &str = include_str!("../../schema/doctor.json");

/// The exit code, and the findings that are worse than *ok*: their subject, severity and text.
type Found = (Option<i32>, Vec<(String, String, String)>);

/// The findings in what was printed.
fn read(code: Option<i32>, printed: &str) -> Found {
    let report: Value = serde_json::from_str(printed).unwrap_or_else(|e| panic!("{e}: {printed}"));
    let schema = serde_json::from_str(SCHEMA).expect("the schema is JSON");
    schema::check(&schema, &report).unwrap_or_else(|e| panic!("{e} in {report}"));
    let findings = report["findings"].as_array().expect("a list").iter();
    let found = findings.map(|finding| {
        let text = |name: &str| finding[name].as_str().unwrap_or_default().to_owned();
        let (severity, all) = (text("severity"), format!("{} {}", text("what"), text("remedy")));
        (text("about"), severity, all)
    });
    (code, found.filter(|(_, severity, _)| severity != "ok").collect())
}

/// The findings about a file, which read the same without `--json`.
fn examined(place: &Place, file: &str) -> Found {
    let seen = place.run(&["doctor", "--json", "--store-file", file]);
    assert_eq!(seen.stderr, "");
    let found = read(seen.code, &seen.stdout);
    let plain = place.run(&["doctor", "--store-file", file]);
    assert_eq!(plain.code, seen.code, "{plain:?}");
    for (about, severity, _) in &found.1 {
        assert!(plain.stdout.contains(&format!("  {severity:<8} {about}: ")), "{plain:?}");
    }
    found
}

/// There is one finding, about this, with these words.
fn only(found: &Found, code: i32, about: &str, severity: &str, words: &str) {
    let (ended, all) = found;
    assert_eq!((*ended, all.len()), (Some(code), 1), "{found:?}");
    let (subject, weight, text) = &all[0];
    assert_eq!((&**subject, &**weight), (about, severity), "{found:?}");
    assert!(text.contains(words), "{words} is missing in {found:?}");
}

fn set_mode(place: &Place, name: &str, mode: u32) {
    fs::set_permissions(place.path(name), Permissions::from_mode(mode)).expect("it is ours");
}

/// A directory of one user, with a store in it.
fn good() -> Place {
    let place = Place::new();
    set_mode(&place, "", 0o700);
    assert_eq!(place.run(&["run", "k", "--", "true"]).code, Some(0));
    set_mode(&place, "locks.db", 0o600);
    place
}

#[test]
fn a_good_file_has_no_finding() {
    let place = good();
    let in_memory = |(about, severity, _): &(String, String, String)| {
        // The directory for tests may lie in memory, which is a note.
        about == "file-system" && severity == "note"
    };
    let (code, mut found) = examined(&place, "locks.db");
    found.retain(|finding| !in_memory(finding));
    assert_eq!((code, found), (Some(0), vec![]));
}

#[test]
fn a_file_that_does_not_exist_is_not_made() {
    let place = Place::new();
    let found = examined(&place, "locks.db");
    only(&found, 0, "reachable", "note", "does not exist yet");
    assert_eq!(fs::read_dir(place.path("")).expect("a directory").count(), 0);
    let found = examined(&place, "no/such/locks.db");
    only(&found, 78, "reachable", "error", "mkdir -p");
}

/// It was made a store of ours, and said to have been one.
#[test]
fn an_empty_file_stays_empty() {
    let place = Place::new();
    set_mode(&place, "", 0o700);
    fs::write(place.path("empty.db"), "").expect("a file");
    set_mode(&place, "empty.db", 0o600);
    symlink("empty.db", place.path("link.db")).expect("a link");
    for name in ["empty.db", "link.db"] {
        only(&examined(&place, name), 0, "reachable", "note", "the file is empty");
    }
    assert_eq!(fs::metadata(place.path("empty.db")).expect("it is there").len(), 0);
    assert_eq!(fs::read_dir(place.path("")).expect("a directory").count(), 2);
    // The first lock would be refused.
    fs::hard_link(place.path("empty.db"), place.path("other.db")).expect("a link");
    only(&examined(&place, "empty.db"), 78, "reachable", "error", "hard links");
    assert_eq!(place.run(&["run", "--store-file", "empty.db", "k", "--", "true"]).code, Some(78));
    fs::remove_file(place.path("other.db")).expect("ours");
    assert_eq!(place.run(&["run", "--store-file", "empty.db", "k", "--", "true"]).code, Some(0));
    assert_eq!(examined(&place, "empty.db").0, Some(0));
}

#[test]
fn what_is_no_store_is_found_and_left_as_it_is() {
    let place = Place::new();
    fs::write(place.path("text"), "no database, but text of some length").expect("a file");
    only(&examined(&place, "text"), 78, "reachable", "error", "not an SQLite database");
    let text = fs::read_to_string(place.path("text")).expect("a file");
    assert_eq!(text, "no database, but text of some length");
    only(&examined(&place, "."), 78, "reachable", "error", "is a directory");
}

/// The rights and the disk behind a link are looked at, not those beside it.
#[test]
fn a_link_is_followed_to_the_file_and_its_directory() {
    let place = good();
    fs::create_dir(place.path("open")).expect("ours");
    symlink("../locks.db", place.path("open/link")).expect("a link");
    set_mode(&place, "open", 0o777);
    let seen = place.run(&["doctor", "--store-file", "open/link"]);
    assert_eq!(seen.code, Some(0), "{seen:?}");
    let real = place.path("locks.db").canonicalize().expect("it is there");
    assert!(seen.stdout.contains(&format!("behind a link: {}", real.display())), "{seen:?}");
    fs::rename(place.path("locks.db"), place.path("open/other.db")).expect("ours");
    symlink("open/other.db", place.path("locks.db")).expect("a link");
    let found = examined(&place, "locks.db");
    only(&found, 1, "rights", "warning", "of mode 700");
    fs::remove_file(place.path("open/other.db")).expect("it is there");
    only(&examined(&place, "locks.db"), 78, "reachable", "error", "leads nowhere");
}

#[test]
fn rights_of_everybody_are_found() {
    let place = good();
    set_mode(&place, "locks.db", 0o666);
    let file = place.path("locks.db").canonicalize().expect("it is there");
    let remedy = format!("chmod o-rwx {}", file.display());
    only(&examined(&place, "locks.db"), 1, "rights", "warning", &remedy);
}

/// SQLite's other journal, which somebody's tool has set.
#[test]
fn a_journal_that_was_switched_off_is_on_again() {
    let place = good();
    let python = |script: &str| place.sh(&format!("exec python3 -c \"import sqlite3; {script}\""));
    let mode = "c = sqlite3.connect('locks.db'); print(*c.execute('pragma journal_mode";
    let off = python(&format!("{mode}=delete').fetchone())"));
    if off.code != Some(0) {
        println!("SKIPPED: this machine has no Python with SQLite: {}", off.stderr);
        return;
    }
    assert_eq!(off.stdout.trim(), "delete");
    assert_eq!(examined(&place, "locks.db").0, Some(0));
    assert_eq!(python(&format!("{mode}').fetchone())")).stdout.trim(), "wal");
}

/// Runs a copy of `tenure doctor` as a user without rights. `None`, said aloud: not here.
fn as_nobody(place: &Place, file: &str) -> Option<Found> {
    if !rustix::process::getuid().is_root() {
        println!("SKIPPED: nobody else can look: we are not root");
        return None;
    }
    place.copy_program(TENURE, "tenure");
    let mut command = place.command(place.path("tenure"));
    command.args(["doctor", "--json", "--store-file", file]).uid(NOBODY).gid(NOBODY);
    let seen = Running::of(&mut command).wait();
    Some(read(seen.code, &seen.stdout))
}

#[test]
fn a_user_who_may_not_write_is_told() {
    let place = good();
    set_mode(&place, "", 0o755);
    for name in ["locks.db", "locks.db-wal", "locks.db-shm"] {
        set_mode(&place, name, 0o644);
    }
    let Some(found) = as_nobody(&place, "locks.db") else { return };
    only(&found, 77, "reachable", "error", "locks.db");
    // There is none yet, and it could not be made.
    let Some(found) = as_nobody(&place, "new.db") else { return };
    only(&found, 77, "reachable", "error", "new.db");
    assert!(!place.path("new.db").exists() && !place.path("new.db.wake").exists());
}

/// The findings on a disk that is mounted by `mount` at `disk`, after `before` has run there.
/// `None`, said aloud: this machine does not allow it.
fn on_disk(mount: &str, before: &str) -> Option<Found> {
    let place = Place::new();
    fs::create_dir(place.path("disk")).expect("ours");
    let script = format!(
        "{mount} || exit 99\n{before}\nexec \"$TENURE\" doctor --json --store-file disk/locks.db"
    );
    let mut unshare = place.command("unshare");
    let seen = Running::of(unshare.args(["-rm", "sh", "-c", &script])).wait();
    if matches!(seen.code, Some(1 | 99)) && !seen.stdout.starts_with('{') {
        println!("SKIPPED: this machine lets nobody mount a disk: {}", seen.stderr);
        return None;
    }
    Some(read(seen.code, &seen.stdout))
}

const SMALL: &str = "mount -t tmpfs -o size=1m,mode=700 tmpfs disk";

#[test]
fn a_disk_in_memory_and_without_room_is_found() {
    let Some((code, found)) = on_disk(SMALL, "") else { return };
    let subjects: Vec<_> =
        found.iter().map(|(about, severity, _)| (&**about, &**severity)).collect();
    let expected = [("reachable", "note"), ("file-system", "note"), ("room", "warning")];
    assert_eq!((code, &*subjects), (Some(1), &expected[..]), "{found:?}");
}

#[test]
fn a_full_disk_and_one_that_cannot_be_written_are_told() {
    let full = "head -c 2m /dev/zero > disk/fill 2> /dev/null; : > disk/locks.db";
    let Some((code, found)) = on_disk(SMALL, full) else { return };
    // The file is empty, and left so.
    let room = found.iter().find(|(about, ..)| about == "room");
    let (_, severity, told) = room.expect("a finding");
    assert_eq!((code, &**severity), (Some(1), "warning"), "{found:?}");
    assert!(told.contains("0 MiB are free"), "{found:?}");
    let read_only =
        "\"$TENURE\" run --store-file disk/locks.db k -- true; mount -o remount,ro disk";
    let Some(found) = on_disk(SMALL, read_only) else { return };
    only(&found, 77, "reachable", "error", "read-only");
    let Some(found) = on_disk(SMALL, "mount -o remount,ro disk") else { return };
    assert_eq!(found.0, Some(77), "{found:?}");
}
