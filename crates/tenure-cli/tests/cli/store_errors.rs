//! Errors about a store: where its address is from, files that its URL names, and a file that only
//! others can read again.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;

use rustix::process::Signal;

use crate::place::{Ended, NOBODY, Place, Running, TENURE, signal};

/// `tenure` with these variables alone to name its store.
fn run(place: &Place, words: &[&str], env: &[(&str, &str)]) -> Ended {
    let mut command = place.tenure(words);
    command.env_remove("TENURE_STORE_FILE").envs(env.iter().copied());
    Running::of(&mut command).wait()
}

/// The message named an address that nobody had typed.
#[test]
fn an_error_of_opening_says_which_variable_the_address_is_from() {
    let place = Place::new();
    let nobody = tenure_testkit::Port::take();
    let url = format!("redis://{}", nobody.address());
    let wrong = format!("{url}?no=1");
    for (name, value, code, told) in [
        ("TENURE_STORE", &*url, 69, "(the store's URL is from TENURE_STORE)"),
        ("TENURE_STORE", &wrong, 78, "(the store's URL is from TENURE_STORE)"),
        ("TENURE_STORE", "redi://h", 78, "TENURE_STORE: \"redi\" is no known store"),
        ("TENURE_STORE_FILE", "no/such/f", 78, "(the store's file is from TENURE_STORE_FILE)"),
    ] {
        for words in [&["run", "-n", "k", "--", "true"][..], &["acquire", "-n", "k"]] {
            let ended = run(&place, words, &[(name, value)]);
            let message = (ended.code, ended.stderr.matches(told).count());
            assert_eq!(message, (Some(code), 1), "{words:?} {value}: {ended:?}");
        }
    }
    for (option, value, told) in [
        ("--store", "redis:127.0.0.1:61002", "names no host"),
        ("--store", &*wrong, "(the store's URL is from --store)"),
        ("--store-file", "no/such/f", "(the store's file is from --store-file)"),
    ] {
        let ended = run(&place, &["run", option, value, "k", "--", "true"], &[]);
        assert!(ended.code == Some(78) && ended.stderr.contains(told), "{value}: {ended:?}");
        let from = format!(" is from {option})\n");
        assert!(ended.stderr.ends_with(&from), "{value}: {ended:?}");
    }
    let looked = run(&place, &["list"], &[("TENURE_STORE", &url)]);
    assert!(looked.stderr.contains("(the store's URL is from TENURE_STORE)"), "{looked:?}");
    let typed = run(&place, &["list", "--store", &url], &[("TENURE_STORE", "redis://other")]);
    assert_eq!(typed.code, Some(69), "{typed:?}");
    assert!(!typed.stderr.contains("TENURE_STORE"), "the reader has typed it: {typed:?}");
}

#[test]
fn without_any_name_an_error_says_that_the_store_is_the_user_s_own() {
    if rustix::process::geteuid().is_root() {
        println!("SKIPPED: root's own store is outside of this test's directory");
        return;
    }
    let place = Place::new();
    fs::write(place.path("tenure"), "no directory").expect("a file");
    let state = place.path("").display().to_string();
    let ended = run(&place, &["run", "-n", "k", "--", "true"], &[("XDG_STATE_HOME", &state)]);
    let told = "since neither --store nor TENURE_STORE names another";
    assert!(ended.code == Some(78) && ended.stderr.contains(told), "{ended:?}");
}

/// The server was blamed after five seconds.
#[test]
fn a_file_of_tls_that_cannot_be_read_is_refused_by_its_name() {
    let place = Place::new();
    assert_eq!(place.sh("mkfifo fifo && mkdir directory").code, Some(0));
    let nobody = tenure_testkit::Port::take();
    let certificates = tenure_testkit::Certificates::for_names(&["localhost"]);
    let (cert, key) = certificates.client();
    let (cert, key) = (cert.display(), key.display());
    let path = |name: &str| place.path(name).display().to_string();
    for (bad, why) in [
        ("fifo", "it is a FIFO to which nobody writes"),
        ("directory", "Is a directory"),
        ("nothing", "No such file"),
    ] {
        let bad = path(bad);
        for (parameters, what) in [
            (format!("ca={bad}"), "the authority (ca) cannot be read"),
            (format!("cert={bad}&key={key}"), "our certificate cannot be read"),
            (format!("cert={cert}&key={bad}"), "our private key cannot be read"),
        ] {
            let url = format!("rediss://{}?{parameters}", nobody.address());
            // A run that may wait would go on for ever.
            let ended = place.run(&["run", "--store", &url, "k", "--", "true"]);
            let told = format!("{what} from {bad}: ");
            assert_eq!(ended.code, Some(78), "{ended:?}");
            assert!(ended.stderr.contains(&told) && ended.stderr.contains(why), "{ended:?}");
        }
    }
}

/// It was waited for.
#[test]
fn a_socket_behind_links_in_a_circle_is_refused_at_once() {
    let place = Place::new();
    symlink("b", place.path("a")).expect("a link");
    symlink("a", place.path("b")).expect("a link");
    for socket in ["a", "a/redis.sock"] {
        let url = format!("redis+unix://{}", place.path(socket).display());
        let ended = place.run(&["run", "--store", &url, "k", "--", "true"]);
        assert_eq!(ended.code, Some(78), "{ended:?}");
        assert!(ended.stderr.contains("round and round by symbolic links"), "{ended:?}");
        assert!(!ended.stderr.contains("waiting for the store"), "{ended:?}");
    }
}

/// The text was about the rights of the file, which are good.
#[test]
fn a_journal_that_this_user_cannot_read_names_the_next_command() {
    if !rustix::process::getuid().is_root() {
        println!("SKIPPED: nobody else can look: we are not root");
        return;
    }
    let place = Place::new();
    let pid = std::process::id().to_string();
    let held = place.run(&["hold", "k", "--pid", &pid, "--ttl", "1h"]);
    assert_eq!(held.code, Some(0), "{held:?}");
    let keeper: i32 = held.stdout.trim().parse().expect("a number");
    let handle = rustix::process::pidfd_open(
        rustix::process::Pid::from_raw(keeper).expect("a number"),
        rustix::process::PidfdFlags::empty(),
    );
    let handle = handle.expect("it lives");
    signal(keeper, Signal::KILL);
    let mut ends = [rustix::event::PollFd::new(&handle, rustix::event::PollFlags::IN)];
    rustix::event::poll(&mut ends, None).expect("it ends");
    fs::remove_file(place.path("locks.db-shm")).expect("it was in use");
    place.copy_program(TENURE, "tenure");
    for name in ["locks.db", "locks.db-wal"] {
        fs::set_permissions(place.path(name), Permissions::from_mode(0o644)).expect("ours");
    }
    fs::set_permissions(place.path(""), Permissions::from_mode(0o755)).expect("ours");
    let as_nobody = || {
        let mut command = place.command(place.path("tenure"));
        Running::of(command.args(["status", "k"]).uid(NOBODY).gid(NOBODY)).wait()
    };
    let refused = as_nobody();
    assert_eq!(refused.code, Some(77), "{refused:?}");
    let (_, behind) = refused.stderr.split_once("Type `tenure ").expect("a line to type");
    let (line, _) = behind.split_once('`').expect("its end");
    assert!(refused.stderr.contains("locks.db-wal has changes that are not in "), "{refused:?}");
    assert!(!refused.stderr.contains("check the rights"), "{refused:?}");
    // As root, it helps.
    let typed = place.sh(&format!("\"$TENURE\" {line}"));
    assert_ne!(typed.code, Some(77), "{typed:?}");
    let seen = as_nobody();
    assert!(seen.code == Some(0) && seen.stdout.starts_with("k: held"), "{seen:?}");
}

/// The doctor laid out a file that had a header and no table, and the files of a quorum.
#[test]
fn the_doctor_makes_no_store_of_a_file_that_is_none_yet() {
    let place = Place::new();
    // A header of SQLite 3 and an empty first page, as `sqlite3 FILE VACUUM` writes it.
    let mut page = vec![0; 4096];
    page[..16].copy_from_slice(b"SQLite format 3\0");
    page[16..24].copy_from_slice(&[0x10, 0, 1, 1, 0, 64, 32, 32]);
    page[27] = 1;
    page[31] = 1;
    page[43] = 1;
    page[47] = 4;
    page[59] = 1;
    page[95] = 1;
    page[100] = 13;
    page[105] = 0x10;
    fs::write(place.path("header.db"), &page).expect("written");
    let seen = place.run(&["doctor", "--store-file", "header.db"]);
    assert!(seen.stdout.contains("without a table, and is left as it is"), "{seen:?}");
    assert_eq!(fs::read(place.path("header.db")).expect("it is there"), page);
    let nodes = ["a.db", "b.db", "c.db"];
    let urls = nodes.map(|name| format!("sqlite:{}", place.path(name).display()));
    fs::write(place.path("b.db"), "").expect("written");
    let words = urls.iter().flat_map(|url| ["--store", url]);
    let seen = place.run(&["doctor"].into_iter().chain(words).collect::<Vec<_>>());
    assert_eq!(seen.stdout.matches("and is not made now: ").count(), 2, "{seen:?}");
    assert_eq!(seen.stdout.matches("is empty, and is left so: ").count(), 1, "{seen:?}");
    let left: Vec<_> = fs::read_dir(place.path("")).expect("ours").collect();
    assert_eq!(left.len(), 2, "{left:?}");
    // The first lock makes it a store, and then it is one to the doctor as well.
    let file = ["--store-file", "header.db"];
    assert_eq!(place.run(&[&["run"], &file[..], &["k", "--", "true"]].concat()).code, Some(0));
    let seen = place.run(&[&["doctor"], &file[..]].concat());
    assert!(seen.stdout.contains("the file is a store of ours"), "{seen:?}");
}
