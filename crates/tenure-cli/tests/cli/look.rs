//! `status` and `list` as scripts and people use them: exit codes, and a key that is kept.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::json::{KEY, conforms};
use crate::place::{Ended, Home, NOBODY, Place, Running, TENURE, on_every_store, until};

on_every_store! {
    an_exit_code_tells_a_free_key_from_one_that_is_held
    a_key_that_min_hold_keeps_is_said_to_be_kept
}

fn an_exit_code_tells_a_free_key_from_one_that_is_held(home: Home) {
    let place = Place::at(home);
    let code = |words: &[&str]| place.run(&[&["status"], words].concat()).code;
    assert_eq!((code(&["--exit-code", "k"]), code(&["k"])), (Some(0), Some(0)));
    let holder = place.start(&["run", "k", "--", "sleep", "600"]);
    until("it holds", || (place.status("k")["state"] == "held").then_some(()));
    assert_eq!((code(&["--exit-code", "k"]), code(&["k"])), (Some(1), Some(0)));
    assert_eq!(code(&["--exit-code", "--json", "k"]), Some(1));
    assert_eq!(code(&["--exit-code", "other"]), Some(0));
    // The line of the help.
    let asked = "if \"$TENURE\" status --exit-code k > /dev/null; then echo free; fi";
    assert_eq!(place.sh(asked).stdout, "");
    assert_eq!(place.sh(&asked.replace(" k ", " other ")).stdout, "free\n");
    drop(holder);
    let nobody = tenure_testkit::Port::take();
    let failed = code(&["--exit-code", "--store", &format!("redis://{}", nobody.address()), "k"]);
    assert_eq!(failed, Some(69), "nobody listens");
}

/// Only `top` told it.
#[test]
fn a_holder_whose_process_is_gone_is_told() {
    let place = Place::new();
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let label = format!("gone (ada@{host}, pid 4194305)");
    let _held = place.start(&["run", "--label", &label, "dead", "--", "sleep", "600"]);
    let _lives = place.start(&["run", "lives", "--", "sleep", "600"]);
    for key in ["dead", "lives"] {
        until("it holds", || (place.status(key)["state"] == "held").then_some(()));
    }
    let says = "; its process is gone from this host\n";
    let told = |words: &[&str]| place.run(words).stdout.matches(says).count();
    assert_eq!(told(&["status", "dead"]), 1);
    assert_eq!(told(&["status", "lives"]), 0);
    assert_eq!(told(&["list"]), 1);
    let forced = place.run(&["force-release", "--yes", "dead"]);
    assert!(forced.stderr.contains(&format!("unless renewed{says}")), "{forced:?}");
}

fn a_key_that_min_hold_keeps_is_said_to_be_kept(home: Home) {
    let place = Place::at(home);
    let ran = place.run(&["run", "--label", "nightly", "--min-hold", "10m", "k", "--", "true"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let told = "UTC, its command has ended";
    let text = place.run(&["status", "k"]).stdout;
    assert!(text.contains("\n  kept until ") && text.contains(told), "{text}");
    assert!(text.contains("granted to nightly") && !text.contains("held by"), "{text}");
    assert!(place.run(&["list"]).stdout.contains(told));
    let seen = place.status("k");
    conforms(KEY, &seen);
    assert_eq!((&seen["state"], &seen["holders"][0]["kept"]), (&"held".into(), &true.into()));
    for patience in [&["--try"][..], &["--wait", "1500ms"]] {
        let busy = place.run(&[&["run"], patience, &["k", "--", "true"]].concat());
        assert_eq!(busy.code, Some(75), "{busy:?}");
        assert!(busy.stderr.lines().last().is_some_and(|line| line.contains(told)), "{busy:?}");
    }
    let line = place.start(&["run", "k", "--", "true"]).stderr_line();
    assert!(line.contains("waiting for") && line.contains(told), "{line}");
}

/// All that lies below a directory.
fn files(directory: &Path) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            all.extend(files(&path));
        }
        all.insert(path.display().to_string());
    }
    all
}

#[test]
fn a_look_makes_neither_a_file_nor_a_directory() {
    let place = Place::new();
    let embedded = |words: &[&str]| {
        let mut command = place.tenure(words);
        Running::of(command.env_remove("TENURE_STORE_FILE").env_remove("XDG_STATE_HOME")).wait()
    };
    let is_free = |ended: &Ended| ended.code == Some(0) && ended.stdout.starts_with("k: free");
    // As root, the embedded store has a place outside of this directory, which may be there.
    let seen = embedded(&["status", "--exit-code", "k"]);
    assert!(is_free(&seen), "{seen:?}");
    let seen = place.run(&["status", "--exit-code", "k"]);
    assert!(is_free(&seen) && seen.stdout.contains("does not exist"), "{seen:?}");
    let seen = place.run(&["status", "--json", "k"]);
    assert!(seen.stderr.contains("locks.db does not exist, so nothing is locked"), "{seen:?}");
    conforms(KEY, &serde_json::from_str(&seen.stdout).expect("JSON"));
    let listed = place.run(&["list"]);
    assert_eq!((listed.code, &*listed.stdout), (Some(0), ""), "{listed:?}");
    assert!(listed.stderr.contains("does not exist"), "{listed:?}");
    let elsewhere = place.run(&["status", "--store-file", "no/such/directory/locks.db", "k"]);
    assert!(is_free(&elsewhere), "{elsewhere:?}");
    assert_eq!(files(&place.path("")), BTreeSet::new());

    assert_eq!(place.run(&["run", "k", "--", "true"]).code, Some(0));
    let before = files(&place.path(""));
    let seen = place.run(&["status", "k"]);
    assert!(is_free(&seen) && seen.stdout.contains("last fence"), "{seen:?}");
    let listed = place.run(&["list"]).stderr;
    assert!(!listed.contains("does not exist"), "{listed}");
    assert_eq!(files(&place.path("")), before);
}

#[test]
fn an_empty_list_names_its_store() {
    let place = Place::new();
    assert_eq!(place.run(&["run", "k", "--", "true"]).code, Some(0));
    let told = |words: &[&str]| {
        let ended = place.run(words);
        assert_eq!((ended.code, &*ended.stdout), (Some(0), ""), "{words:?}: {ended:?}");
        ended.stderr
    };
    let none = told(&["list"]);
    assert!(none.starts_with("tenure: no locks at ") && none.contains("locks.db"), "{none}");
    let none = told(&["list", "a b"]);
    assert!(none.starts_with("tenure: no locks that begin with \"a b\" at "), "{none}");
    assert_eq!(told(&["list", "--json"]), "", "scripts read stdout");
    let mut watch = place.start(&["watch"]);
    let none = watch.stderr_line();
    assert!(none.starts_with("tenure: no locks at "), "{none}");
    assert_eq!(place.run(&["acquire", "k"]).code, Some(0));
    assert_eq!(place.run(&["list"]).stderr, "");
}

#[test]
fn what_is_no_store_is_refused_by_a_look_too() {
    let place = Place::new();
    fs::write(place.path("locks.db"), "no database, but text of some length").expect("a file");
    let seen = place.run(&["status", "--exit-code", "k"]);
    assert_eq!(seen.code, Some(78), "{seen:?}");
    fs::remove_file(place.path("locks.db")).expect("it is there");
    std::os::unix::fs::symlink("nowhere", place.path("locks.db")).expect("a link");
    let seen = place.run(&["status", "--exit-code", "k"]);
    assert_eq!(seen.code, Some(78), "{seen:?}");
    assert!(seen.stderr.contains("leads nowhere"), "{seen:?}");
}

/// A user who may read the file and its directory, and write neither.
#[test]
fn the_right_to_read_suffices_for_a_look() {
    if !rustix::process::getuid().is_root() {
        println!("SKIPPED: nobody else can look: we are not root");
        return;
    }
    let place = Place::new();
    let mode = |name: &str, mode: u32| {
        let rights = fs::Permissions::from_mode(mode);
        fs::set_permissions(place.path(name), rights).expect("it is ours");
    };
    mode("", 0o755);
    place.copy_program(TENURE, "tenure");
    let as_nobody = |words: &[&str]| {
        let mut command: Command = place.command(place.path("tenure"));
        Running::of(command.args(words).uid(NOBODY).gid(NOBODY)).wait()
    };
    // It ends soon after its holder was killed.
    let lease = ["run", "--ttl", "6s", "--kill-grace", "100ms", "--label", "first"];
    let holder = place.start(&[&lease[..], &["k", "--", "sleep", "600"]].concat());
    until("it holds", || (place.status("k")["state"] == "held").then_some(()));
    for name in ["locks.db", "locks.db-wal", "locks.db-shm"] {
        mode(name, 0o644);
    }
    let seen = as_nobody(&["status", "--exit-code", "k"]);
    assert_eq!(seen.code, Some(1), "{seen:?}");
    assert!(seen.stdout.contains("held by first"), "{seen:?}");
    assert!(as_nobody(&["list"]).stdout.contains("k: held"));
    let refused = as_nobody(&["run", "other", "--", "true"]);
    assert_eq!(refused.code, Some(77), "{refused:?}");
    // Without anybody who uses the file, and after those who did were killed.
    drop(holder);
    until("it ended", || (place.status("k")["state"] == "free").then_some(()));
    let before = files(&place.path(""));
    let seen = as_nobody(&["status", "--exit-code", "k"]);
    assert_eq!(seen.code, Some(0), "{seen:?}");
    assert!(seen.stdout.contains("last fence"), "{seen:?}");
    assert_eq!(files(&place.path("")), before);
    mode("locks.db", 0o600);
    let refused = as_nobody(&["status", "--exit-code", "k"]);
    assert_eq!(refused.code, Some(77), "{refused:?}");
}

#[test]
fn a_look_succeeds_while_others_begin_and_end_to_use_the_file() {
    let place = Place::new();
    let script = "for i in $(seq 60); do \"$TENURE\" run -q k -- true || exit 9; done & \
                  for i in $(seq 150); do \"$TENURE\" status k || exit; done > /dev/null; wait $!";
    let ended = place.sh(script);
    assert_eq!((ended.code, &*ended.stderr), (Some(0), ""));
}

/// A key and a name cannot have control characters; these turn the direction of writing, or have no
/// width of their own.
#[test]
fn a_text_of_others_changes_nothing_on_the_terminal() {
    let place = Place::new();
    let (key, label) = ("k\u{202e}z", "x\u{200b}\u{1b}[2J");
    let kept = place.run(&["run", "--min-hold", "1h", "--label", label, key, "--", "true"]);
    assert_eq!(kept.code, Some(0), "{kept:?}");
    let watch = "timeout 60 \"$TENURE\" watch | head -n 1";
    for shown in [
        place.run(&["list"]),
        place.run(&["status", key]),
        place.run(&["run", "--try", key, "--", "true"]),
        place.run(&["wait", "--timeout", "10ms", key]),
        place.sh(watch),
    ] {
        let text = shown.stdout.clone() + &shown.stderr;
        assert!(text.contains("x??[2J"), "{text:?}");
        let is_hidden = |c: char| c != '\n' && c.is_control() || "\u{202e}\u{200b}".contains(c);
        assert!(!text.contains(is_hidden), "{text:?}");
    }
    // Programs get it as it is.
    let listed = place.run(&["list", "--json"]).stdout;
    let listed: serde_json::Value = serde_json::from_str(&listed).expect("JSON");
    assert_eq!(listed["key"], key);
}
