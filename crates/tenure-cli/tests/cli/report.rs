//! Where `--report` writes: never over what is not a report.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown, lchown, symlink};

use serde_json::Value;

use crate::place::{Ended, NOBODY, Place, Running};

/// The content of a file before the run.
const BEFORE: &str = "an older line\n";

fn run(place: &Place, report: &str) -> Ended {
    place.run(&["run", "--report", report, "k", "--", "sh", "-c", "exit 3"])
}

fn is_report(line: &str) -> bool {
    serde_json::from_str::<Value>(line).is_ok_and(|report| report["exit"] == 3)
}

/// Nothing but what was there is left beside.
fn names(place: &Place) -> Vec<String> {
    let directory = fs::read_dir(place.path("")).expect("a directory");
    let name = |entry: std::io::Result<fs::DirEntry>| entry.expect("an entry").file_name();
    let mut names: Vec<_> = directory.map(|e| name(e).into_string().expect("text")).collect();
    names.retain(|name| !name.starts_with("locks.db"));
    names.sort();
    names
}

#[test]
fn a_log_that_stderr_or_stdout_is_added_to_is_not_erased() {
    let place = Place::new();
    symlink("/dev/stderr", place.path("link")).expect("a link");
    symlink("link", place.path("links")).expect("a link");
    for (names, to) in [
        (&["/dev/stderr", "/dev/fd/2", "/proc/self/fd/2", "link", "links", "log"][..], "2>>"),
        (&["-", "/dev/stdout", "/dev/fd/1", "/proc/thread-self/fd/1", "./log"], ">>"),
        (&["/dev/fd/7", "/proc/self/fd/7"], "7>>"),
    ] {
        for name in names {
            fs::write(place.path("log"), BEFORE).expect("a file");
            let script = format!("\"$TENURE\" run --report {name} k -- sh -c 'exit 3' {to} log");
            let ended = place.sh(&script);
            assert_eq!(ended.code, Some(3), "{name}: {ended:?}");
            let log = place.read("log");
            let added = log.strip_prefix(BEFORE).unwrap_or_else(|| panic!("{name}: {log}"));
            assert!(is_report(added), "{name}: {log}");
        }
    }
    assert_eq!(names(&place), ["link", "links", "log"]);
}

#[test]
fn a_link_to_the_log_that_stderr_is_added_to_is_the_log() {
    let place = Place::new();
    fs::write(place.path("log"), BEFORE).expect("a file");
    symlink("log", place.path("link")).expect("a link");
    let ended = place.sh("\"$TENURE\" run --report link k -- sh -c 'exit 3' 2>> log");
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(is_report(place.read("log").strip_prefix(BEFORE).expect("it is kept")));
}

#[test]
fn another_process_s_log_is_not_erased() {
    let place = Place::new();
    fs::write(place.path("log"), BEFORE).expect("a file");
    for name in ["/proc/$$/fd/7", "link"] {
        fs::write(place.path("log"), BEFORE).expect("a file");
        let script = format!(
            "exec 7>> log; ln -sf /proc/$$/fd/7 link; \
             \"$TENURE\" run --report {name} k -- sh -c 'exit 3'; exit $?"
        );
        let ended = place.sh(&script);
        assert_eq!(ended.code, Some(3), "{name}: {ended:?}");
        assert!(is_report(place.read("log").strip_prefix(BEFORE).expect("it is kept")));
    }
}

#[test]
fn a_socket_in_the_place_of_stdout_gets_the_line() {
    let place = Place::new();
    let script = "import os, socket, subprocess, sys\n\
        for name in ['/dev/stdout', '-', '/dev/fd/1', '/dev/fd/7']:\n\
        \x20   ours, theirs = socket.socketpair()\n\
        \x20   os.dup2(theirs.fileno(), 7)\n\
        \x20   line = [os.environ['TENURE'], 'run', '--report', name, 'k', 'sh', '-c', 'exit 3']\n\
        \x20   code = subprocess.run(line, stdout=theirs, pass_fds=[7]).returncode\n\
        \x20   ours.settimeout(60)\n\
        \x20   print(name, code, ours.recv(9999).decode(), end='')\n";
    let ended = Running::of(place.command("python3").args(["-c", script])).wait();
    let lines: Vec<&str> = ended.stdout.lines().collect();
    assert_eq!(lines.len(), 4, "{ended:?}");
    for line in lines {
        let words: Vec<&str> = line.splitn(3, ' ').collect();
        assert_eq!(words[1], "3", "{ended:?}");
        assert!(is_report(words[2]), "{line}");
    }
}

#[test]
fn a_descriptor_that_cannot_be_written_to_stops_the_run_before_it_begins() {
    let place = Place::new();
    for (descriptor, redirection, why) in
        [(7, "7< /dev/null", "not open for writing"), (7, "7>&-", "Bad file descriptor")]
    {
        let report = format!("/dev/fd/{descriptor}");
        let ended = place.sh(&format!("\"$TENURE\" run --report {report} k true {redirection}"));
        assert_eq!(ended.code, Some(78), "{ended:?}");
        assert!(ended.stderr.contains(&report) && ended.stderr.contains(why), "{ended:?}");
    }
    assert!(!place.store().exists(), "nothing was touched");
}

#[test]
fn a_file_is_replaced_whole_and_keeps_its_rights() {
    let place = Place::new();
    fs::write(place.path("report"), BEFORE).expect("a file");
    let rights = fs::Permissions::from_mode(0o640);
    fs::set_permissions(place.path("report"), rights).expect("our file");
    fs::hard_link(place.path("report"), place.path("other")).expect("another name");
    let script = "cat report > during; exit 3";
    let ended = place.run(&["run", "--report", "report", "k", "--", "sh", "-c", script]);
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(is_report(&place.read("report")));
    assert_eq!(place.read("during"), "", "not over yet");
    assert_eq!(place.read("other"), BEFORE, "the old file is as it was");
    let mode = fs::metadata(place.path("report")).expect("it is there").mode();
    assert_eq!(mode & 0o777, 0o640);
    assert_eq!(names(&place), ["during", "other", "report"], "nothing else is left");
}

#[test]
fn a_link_is_followed_and_stays_a_link() {
    let place = Place::new();
    fs::write(place.path("file"), "x".repeat(10_000)).expect("a file");
    for target in ["file", "new"] {
        let _ = fs::remove_file(place.path("link"));
        symlink(target, place.path("link")).expect("a link");
        assert_eq!(run(&place, "link").code, Some(3));
        assert!(is_report(&place.read(target)), "{target}: {}", place.read(target));
        let link = fs::symlink_metadata(place.path("link")).expect("it is there");
        assert!(link.is_symlink());
    }
}

/// A place with a directory of this mode, in which the link `in/link` leads to a file of ours.
/// `None`, said aloud, without the right to give the link away.
fn with_link(mode: u32) -> Option<Place> {
    let place = Place::new();
    if !rustix::process::geteuid().is_root() {
        println!("SKIPPED: only root can give a link to another user");
        return None;
    }
    fs::create_dir(place.path("in")).expect("a directory");
    fs::set_permissions(place.path("in"), fs::Permissions::from_mode(mode)).expect("a mode");
    fs::write(place.path("ours"), BEFORE).expect("a file");
    symlink("../ours", place.path("in/link")).expect("a link");
    Some(place)
}

#[test]
fn another_user_s_link_where_others_can_write_is_not_followed() {
    for mode in [0o775, 0o777, 0o1777, 0o2770, 0o1773] {
        let Some(place) = with_link(mode) else { return };
        lchown(place.path("in/link"), Some(NOBODY), None).expect("we are root");
        symlink("in/link", place.path("chain")).expect("a link");
        let script = "cd in && exec \"$TENURE\" run --report link k -- true";
        for ended in [run(&place, "in/link"), run(&place, "chain"), place.sh(script)] {
            assert_eq!(ended.code, Some(78), "{mode:o}: {ended:?}");
            let why = format!("(uid {NOBODY}) in a directory that others can write to");
            assert!(ended.stderr.contains(&why), "{mode:o}: {ended:?}");
        }
        assert_eq!(place.read("ours"), BEFORE, "{mode:o}");
        assert!(!place.store().exists(), "nothing was touched");
    }
}

#[test]
fn a_link_that_nobody_else_can_have_planted_is_followed() {
    let [us, them] = [0, NOBODY];
    for (mode, link, directory) in
        [(0o755, them, us), (0o775, them, them), (0o1777, us, us), (0o777, us, them)]
    {
        let Some(place) = with_link(mode) else { return };
        lchown(place.path("in/link"), Some(link), None).expect("we are root");
        chown(place.path("in"), Some(directory), None).expect("we are root");
        let ended = run(&place, "in/link");
        assert_eq!(ended.code, Some(3), "{mode:o} {link} {directory}: {ended:?}");
        assert!(is_report(&place.read("ours")), "{mode:o} {link} {directory}");
    }
}

#[test]
fn links_that_lead_in_a_circle_are_not_followed() {
    let place = Place::new();
    symlink("other", place.path("link")).expect("a link");
    symlink("link", place.path("other")).expect("a link");
    let ended = run(&place, "link");
    assert_eq!(ended.code, Some(78), "{ended:?}");
    assert!(!place.store().exists(), "nothing was touched");
}

#[test]
fn a_device_is_written_to_and_stays_a_device() {
    let place = Place::new();
    symlink("/dev/null", place.path("link")).expect("a link");
    assert_eq!(run(&place, "link").code, Some(3));
    let made = place.sh("mknod null c 1 3 && echo > null");
    if made.code != Some(0) {
        println!("SKIPPED: no right to make a device: {}", made.stderr);
        return;
    }
    // Not with the machine's own, in case it is replaced.
    assert_eq!(run(&place, "null").code, Some(3));
    let kind = fs::symlink_metadata(place.path("null")).expect("it is there").file_type();
    assert!(kind.is_char_device());
    assert_eq!(names(&place), ["link", "null"]);
}

#[test]
fn a_fifo_gets_the_line() {
    let place = Place::new();
    let script = "mkfifo fifo; cat fifo > read & \
                  \"$TENURE\" run --report fifo k -- sh -c 'exit 3'; echo $?; wait; test -p fifo";
    let ended = place.sh(script);
    assert_eq!((ended.code, &*ended.stdout), (Some(0), "3\n"), "{ended:?}");
    assert!(is_report(&place.read("read")));
}

#[test]
fn a_fifo_that_nobody_reads_ends_the_command_before_it_begins() {
    let place = Place::new();
    assert!(place.sh("mkfifo fifo").code == Some(0));
    let pid = std::process::id().to_string();
    let lines = [
        &["run", "-n", "--report", "fifo", "k", "--", "echo", "ran"][..],
        &["run", "-n", "--report-append", "fifo", "k", "--", "echo", "ran"],
        &["hold", "-n", "k", "--pid", &pid, "--log", "fifo"],
    ];
    let running = lines.map(|line| (line, place.start(line)));
    for (line, running) in running {
        let ended = running.wait();
        assert_eq!((ended.code, &*ended.stdout), (Some(78), ""), "{line:?}: {ended:?}");
        let says = "cannot write fifo: it is a FIFO that nobody has begun to read within 10s";
        assert!(ended.stderr.contains(says), "{line:?}: {ended:?}");
    }
    assert!(!place.store().exists(), "nothing was touched");
}

#[test]
fn what_is_no_file_stops_the_run_before_it_begins() {
    let place = Place::new();
    fs::create_dir(place.path("directory")).expect("a directory");
    let _socket = std::os::unix::net::UnixListener::bind(place.path("socket")).expect("a socket");
    for (report, why) in [("directory", "a directory"), ("socket", "a socket"), (".", "directory")]
    {
        let ended = run(&place, report);
        assert_eq!(ended.code, Some(78), "{ended:?}");
        assert!(ended.stderr.contains(why), "{ended:?}");
    }
    assert!(!place.store().exists(), "nothing was touched");
}

#[test]
fn a_file_of_the_store_is_no_place_for_a_report() {
    let place = Place::new();
    place.run(&["run", "k", "--", "true"]);
    symlink("locks.db", place.path("link")).expect("a link");
    let size = fs::metadata(place.store()).expect("the store").len();
    for name in ["locks.db", "./locks.db-wal", "locks.db-shm", "link"] {
        let ended = run(&place, name);
        assert_eq!(ended.code, Some(64), "{name}: {ended:?}");
        assert!(ended.stderr.contains("belongs to the store of the lock"), "{ended:?}");
    }
    assert_eq!(fs::metadata(place.store()).expect("the store").len(), size);
    assert_eq!(place.status("k")["state"], "free");
}

#[test]
fn lines_are_added_to_a_log_and_never_over_one() {
    let place = Place::new();
    fs::write(place.path("log"), BEFORE).expect("a file");
    symlink("log", place.path("link")).expect("a link");
    for name in ["log", "link", "new", "new"] {
        let ended = place.run(&["run", "--report-append", name, "k", "--", "sh", "-c", "exit 3"]);
        assert_eq!(ended.code, Some(3), "{name}: {ended:?}");
    }
    let log = place.read("log");
    let added: Vec<_> = log.strip_prefix(BEFORE).expect("what was there").lines().collect();
    assert!(added.len() == 2 && added.iter().all(|line| is_report(line)), "{log}");
    assert_eq!(place.read("new").lines().filter(|line| is_report(line)).count(), 2);
    let both = ["run", "--report", "a", "--report-append", "b", "k", "--", "true"];
    assert_eq!(place.run(&both).code, Some(64));
    let directory = place.run(&["run", "--report-append", ".", "k", "--", "true"]);
    assert_eq!(directory.code, Some(78), "{directory:?}");
    assert!(directory.stderr.contains("--report-append: cannot write ."), "{directory:?}");
}

#[test]
fn a_report_says_where_when_and_who() {
    let place = Place::new();
    let ended = place.run(&["run", "--report", "r", "--label", "me", "k", "--", "true"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let report: Value = serde_json::from_str(&place.read("r")).expect("JSON");
    let text = |field: &str| report[field].as_str().unwrap_or_else(|| panic!("{field}"));
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    assert_eq!((text("label"), text("host")), ("me", &*host));
    assert!(text("store").starts_with("sqlite:/"), "{report}");
    let (begin, end) = (text("begin"), text("end"));
    assert!(begin.ends_with('Z') && end.len() == begin.len() && begin <= end, "{report}");
    // A store that does not open has no name, and the report is written all the same.
    let line = ["run", "--try", "--store", "redis://127.0.0.1:1", "--report", "r", "k", "true"];
    assert_eq!(place.run(&line).code, Some(69));
    let report: Value = serde_json::from_str(&place.read("r")).expect("JSON");
    assert!(report["store"].is_null() && report["begin"].is_string(), "{report}");
}

#[test]
fn a_cmd_that_is_not_there_is_reported_in_the_place_of_an_older_success() {
    let place = Place::new();
    for (verb, cmd, exit) in [
        (&["run"][..], "no-such-command", 127),
        (&["run"], "/etc/passwd", 126),
        (&["once", "--every", "1h"], "no-such-command", 127),
        (&["once", "--every", "1h"], "/", 126),
    ] {
        fs::write(place.path("r"), "{\"outcome\":\"ended\",\"exit\":0}\n").expect("a file");
        let line = [verb, &["--label", "me", "--report", "r", "k", "--", cmd]].concat();
        let ended = place.run(&line);
        assert_eq!(ended.code, Some(exit), "{line:?}: {ended:?}");
        let report = place.report("r");
        assert_eq!((&report["outcome"], &report["exit"]), (&"failed".into(), &exit.into()));
        assert_eq!((&report["key"], &report["label"]), (&"k".into(), &"me".into()));
        assert!(report["reason"].as_str().is_some_and(|why| why.contains(cmd)), "{report}");
        assert!(report["store"].is_null() && report["fence"].is_null(), "{report}");
    }
    for _ in 0..2 {
        let line = ["run", "--report-append", "log", "k", "--", "no-such-command"];
        assert_eq!(place.run(&line).code, Some(127));
    }
    assert_eq!(place.read("log").lines().count(), 2);
    assert!(!place.store().exists(), "no store was made");
}

#[test]
fn the_store_is_not_written_over_by_the_report_of_a_cmd_that_is_not_there() {
    let place = Place::new();
    assert_eq!(place.run(&["run", "k", "--", "true"]).code, Some(0));
    let store = place.store();
    let before = fs::read(&store).expect("a store");
    let line = ["run", "--report", store.to_str().expect("text"), "k", "--", "no-such-command"];
    let ended = place.run(&line);
    assert_eq!(ended.code, Some(127), "{ended:?}");
    assert!(ended.stderr.contains("belongs to the store of the lock"), "{ended:?}");
    assert_eq!(fs::read(&store).expect("a store"), before);
}
