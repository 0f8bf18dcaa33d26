//! The sentry: CMD and all its descendants are gone by the deadline, whatever happened to `tenure`.

use std::collections::BTreeMap;
use std::time::Duration;

use rustix::process::Signal;
use tenure_testkit::lateness;

use crate::place::{
    Home, Place, Running, Stray, is_alive, now_us, on_every_store, parent_of, signal, state_of,
    until,
};

const TREE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cli/process_tree.py");
/// Time for the tree to start on a busy machine.
const LONG_ENOUGH: &str = "8s";
const MEMBERS: [&str; 4] = ["child", "cmd", "daemon", "grandchild"];

/// The number of each process, and the time when it last wrote.
type Stamps = BTreeMap<String, (i32, u64)>;

fn stamps(place: &Place) -> Stamps {
    let mut stamps = Stamps::new();
    let read = place.read("stamps");
    // The last line may be half written: where a page of the file ends.
    for line in read.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
        let words: Vec<&str> = line.split(' ').collect();
        if let [name, pid, micros] = words[..] {
            let number = |text: &str| text.parse::<u64>().expect("a number");
            let pid = i32::try_from(number(pid)).expect("a process number");
            stamps.insert(name.into(), (pid, number(micros)));
        }
    }
    stamps
}

/// The options of a lease that a test sees the end of.
const SHORT: [&str; 4] = ["--ttl", "4s", "--kill-grace", "500ms"];
/// Those of one that lasts, whatever pauses a busy machine makes.
const LONG: [&str; 4] = ["--ttl", "30s", "--kill-grace", "500ms"];

/// Starts a tree of processes under the lock `k`, and waits until all of them live.
fn start(place: &Place, manners: &str, options: &[&str]) -> Running {
    start_with(place, manners, &[&SHORT, options].concat())
}

/// The same, with all options of the lease.
fn start_with(place: &Place, manners: &str, options: &[&str]) -> Running {
    let cmd = ["k", "--", "python3", TREE, "stamps", manners];
    let _watched_from_here = lateness();
    let running = place.start(&[&["run", "--report", "report"], options, &cmd].concat());
    until("all processes live", || {
        MEMBERS.iter().all(|m| stamps(place).contains_key(*m)).then_some(())
    });
    running
}

/// Waits until `tenure -v` knows that CMD runs.
fn started(running: &mut Running) {
    running.line_with("CMD runs as process");
}

/// Puts somebody in line, with a CMD that says its number.
fn start_successor(place: &Place) -> Running {
    let script = "echo $$ > successor; exec sleep 600";
    let running = place.start(&["run", "--label", "successor", "k", "--", "sh", "-c", script]);
    until("it waits", || place.status("k")["waiters"][0].is_object().then_some(()));
    running
}

/// Waits for the next renewal that `tenure -v` tells; its deadline, by `CLOCK_BOOTTIME`. The sentry
/// has heard of it before. The store may know a later one, whose reply is still on its way.
fn renewed_until(running: &mut Running) -> u64 {
    running.skip_stderr();
    let line = running.line_with("renewed \"k\" for ");
    let (_, left) = line.trim_end().rsplit_once(" for ").expect("a time");
    let number = |text: &str| text.parse::<f64>().expect("a number");
    let seconds = match left.strip_suffix("ms") {
        Some(millis) => number(millis) / 1e3,
        None => number(left.trim_end_matches('s')),
    };
    now_us() + u64::try_from(Duration::from_secs_f64(seconds).as_micros()).expect("a time")
}

/// When the lease on `k` ends at the store if nobody renews it, by `CLOCK_BOOTTIME`.
fn lease_end(place: &Place) -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let locks = tenure::connect(&place.store_url()).await.expect("the store opens");
        let mutex = locks.mutex("k");
        mutex.inspect().await.expect("the store answers");
        let before = now_us();
        let seen = mutex.inspect().await.expect("the store answers");
        // On a slow machine it may be over by now.
        let left = seen.holders.first().map(|holder| holder.remaining).unwrap_or_default();
        before + u64::try_from(left.as_micros()).expect("a time")
    })
}

/// On a busy machine the sentry and the processes of the tree are run late: by no more than a few
/// times what a thread of this test was, in microseconds.
fn late() -> u64 {
    4 * u64::try_from(lateness().as_micros()).expect("a time")
}

/// No process has written anything after `end`, and none is left.
fn gone_by(place: &Place, end: u64) {
    let end = end + late();
    let stamps = stamps(place);
    for (name, (pid, last)) in &stamps {
        until("it is gone", || (!is_alive(*pid)).then_some(()));
        assert!(*last <= end, "{name} lived {} µs beyond the lease", last - end);
    }
    let last = stamps.values().map(|(_, last)| last).max().expect("stamps");
    println!("the last process was gone {} ms before the lease's end", (end - last) / 1_000);
}

on_every_store! {
    tenure_stopped_and_continued
    tenure_stopped_with_polite_processes
    tenure_stopped_for_less_than_the_lease
    tenure_killed
    the_group_of_tenure_killed_or_stopped
    the_sentry_killed
    the_sentry_stopped_does_not_keep_cmd_alive
    the_store_out_of_reach
    a_lost_lock_may_be_ignored
}

fn tenure_stopped_and_continued(home: Home) {
    let place = Place::at(home);
    let mut running = start(&place, "stubborn", &["-v"]);
    let _successor = start_successor(&place);
    let deadline = renewed_until(&mut running);
    running.signal(Signal::STOP);
    until("it is stopped", || (state_of(running.pid()) == Some('T')).then_some(()));
    let end = lease_end(&place);
    let next = place.number_in("successor");
    gone_by(&place, end);
    for (name, (_, last)) in stamps(&place) {
        assert!(last + late() > deadline - 600_000, "{name} was ended long before the deadline");
    }
    let before = place.status("k");
    assert_eq!(before["holders"][0]["label"], "successor");
    running.signal(Signal::CONT);
    let ended = running.wait();
    assert_eq!(ended.code, Some(79), "{ended:?}");
    assert_eq!(place.report("report")["outcome"], "lost");
    let after = place.status("k");
    assert_eq!(after["holders"][0]["fence"], before["holders"][0]["fence"]);
    assert!(is_alive(next), "nobody touched the successor");
}

fn tenure_stopped_with_polite_processes(home: Home) {
    let place = Place::at(home);
    // The grace is long: all of them shall have the time to say bye on a busy machine.
    let mut running = start_with(&place, "polite", &["-v", "--ttl", "6s", "--kill-grace", "2s"]);
    let deadline = renewed_until(&mut running);
    running.signal(Signal::STOP);
    until("it is stopped", || (state_of(running.pid()) == Some('T')).then_some(()));
    let end = lease_end(&place);
    until("all said bye", || (stamps(&place).len() == 2 * MEMBERS.len()).then_some(()));
    gone_by(&place, end);
    for member in MEMBERS {
        let bye = stamps(&place)[&format!("{member}-bye")].1;
        assert!(
            bye + late() > deadline - 3_000_000,
            "{member} was told to end long before it had to be"
        );
    }
}

fn tenure_stopped_for_less_than_the_lease(home: Home) {
    let place = Place::at(home);
    let running = start_with(&place, "polite", &["--ttl", "6s", "--kill-grace", "500ms"]);
    running.signal(Signal::STOP);
    until("it is stopped", || (state_of(running.pid()) == Some('T')).then_some(()));
    let end = lease_end(&place);
    running.signal(Signal::CONT);
    until("it goes on beyond the old lease", || (now_us() > end + 500_000).then_some(()));
    let lives = stamps(&place);
    assert_eq!(lives.len(), MEMBERS.len(), "nobody was told to end");
    assert!(lives.values().all(|(pid, _)| is_alive(*pid)), "{lives:?}");
    running.signal(Signal::TERM);
    let ended = running.wait();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    // CMD ended by itself, so those outside of its group were left alone.
    drop(lives.values().map(|(pid, _)| Stray(*pid)).collect::<Vec<_>>());
}

fn tenure_killed(home: Home) {
    for manners in ["stubborn", "polite"] {
        let place = Place::at(home);
        let running = start(&place, manners, &[]);
        let _successor = start_successor(&place);
        running.signal(Signal::KILL);
        until("it is dead", || (!is_alive(running.pid())).then_some(()));
        let end = lease_end(&place);
        place.number_in("successor");
        gone_by(&place, end);
        assert_eq!(place.status("k")["holders"][0]["label"], "successor");
    }
}

#[test]
fn a_killed_tenure_s_processes_are_ended_at_once_and_not_when_the_lease_is() {
    for manners in ["stubborn", "polite"] {
        let place = Place::new();
        let running = start_with(&place, manners, &["--ttl", "1h", "--kill-grace", "500ms"]);
        running.signal(Signal::KILL);
        for (pid, _) in stamps(&place).into_values() {
            until("it is gone", || (!is_alive(pid)).then_some(()));
        }
    }
}

#[test]
fn the_sentry_says_that_tenure_was_killed_and_is_called_tenure() {
    let place = Place::new();
    let mut running = place.start(&["run", "a key", "--", "sh", "-c", "echo $$ > pid; sleep 600"]);
    let cmd = place.number_in("pid");
    let sentry = parent_of(cmd);
    let proc = |name: &str| std::fs::read_to_string(format!("/proc/{sentry}/{name}"));
    assert_eq!(proc("comm").expect("it lives"), "tenure\n", "the name that ps shows");
    assert!(proc("cmdline").expect("it lives").starts_with("tenure\0"), "and ps -f");
    running.signal(Signal::KILL);
    let line = running.stderr_line();
    let tenure = running.pid();
    let expected =
        format!("tenure: tenure (process {tenure}) was killed while it held \"a key\"; ");
    assert!(line.starts_with(&expected), "{line}");
    assert!(line.contains(&format!("CMD (process {cmd}) was ended by SIGTERM")), "{line}");
    assert!(!is_alive(cmd));
    until("the sentry is gone", || (!is_alive(sentry)).then_some(()));
    let stderr = running.wait().stderr;
    assert_eq!(stderr.lines().count(), 1, "and nothing else: {stderr}");
}

#[test]
fn without_proc_nothing_begins() {
    let place = Place::new();
    for hide in ["mount -t tmpfs none /proc", "umount -l /proc"] {
        let run = "exec \"$TENURE\" run --report r k -- echo ran";
        let ended = place.sh(&format!("exec unshare -m sh -c '{hide} || exit 1; {run}'"));
        if ended.code == Some(1) {
            println!("SKIPPED: no right to hide /proc ({hide}): {}", ended.stderr);
            continue;
        }
        assert_eq!((ended.code, &*ended.stdout), (Some(78), ""), "{hide}: {ended:?}");
        assert!(ended.stderr.contains("/proc is not mounted"), "{ended:?}");
        assert!(ended.stderr.contains("mount -t proc proc /proc"), "{ended:?}");
        assert!(!place.store().exists() && !place.path("r").exists(), "nothing was touched");
    }
}

fn the_group_of_tenure_killed_or_stopped(home: Home) {
    let _watched_from_here = lateness();
    for (number, left) in [(Signal::KILL, false), (Signal::STOP, true)] {
        let place = Place::at(home);
        // A shell with job control (bash has it without a terminal) puts it into a group of its
        // own, as a terminal would.
        let script = format!(
            "set -m; \"$TENURE\" run --ttl 4s --kill-grace 500ms k -- python3 {TREE} stamps \
             stubborn & echo $! > tenure; while kill -0 $!; do sleep 0.05; done"
        );
        let shell = Running::of(place.command("/bin/bash").args(["-c", &script]));
        let tenure = place.number_in("tenure");
        let stray = Stray(tenure);
        until("all processes live", || (stamps(&place).len() == MEMBERS.len()).then_some(()));
        let group = rustix::process::Pid::from_raw(tenure).expect("a number");
        rustix::process::kill_process_group(group, number).expect("the group is there");
        let end = lease_end(&place);
        until("the lease is over", || (now_us() > end).then_some(()));
        gone_by(&place, end);
        assert_eq!(is_alive(tenure), left);
        drop(stray);
        drop(shell);
    }
}

fn the_sentry_killed(home: Home) {
    let place = Place::at(home);
    let running = start_with(&place, "stubborn", &LONG);
    let sentry = parent_of(stamps(&place)["cmd"].0);
    assert_eq!(parent_of(sentry), running.pid());
    signal(sentry, Signal::KILL);
    let ended = running.wait();
    assert_eq!(ended.code, Some(70), "{ended:?}");
    assert!(ended.stderr.contains("the sentry was killed"), "{ended:?}");
    gone_by(&place, now_us());
    assert_eq!(place.status("k")["state"], "free");
}

fn the_sentry_stopped_does_not_keep_cmd_alive(home: Home) {
    let place = Place::at(home);
    let options = [&LONG[..], &["--max-hold", LONG_ENOUGH]].concat();
    let running = start_with(&place, "stubborn", &options);
    signal(parent_of(stamps(&place)["cmd"].0), Signal::STOP);
    let ended = running.wait();
    assert_eq!(ended.code, Some(124), "{ended:?}");
    gone_by(&place, now_us());
}

/// Stops a process as a debugger does, until that is ended: its state is not "stopped". Says in the
/// file `traced` whether it has the right to.
const TRACER: &str = r#"
import ctypes, os, sys
pid = int(sys.argv[1])
ptrace = ctypes.CDLL(None, use_errno=True).ptrace
ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
ptrace.restype = ctypes.c_long
SEIZE, INTERRUPT = 0x4206, 0x4207
told = "no right"
if ptrace(SEIZE, pid, None, None) == 0 and ptrace(INTERRUPT, pid, None, None) == 0:
    os.waitpid(pid, 0)
    told = "stopped"
with open("half", "w") as file:
    file.write(told)
os.rename("half", "traced")
if told == "stopped":
    os.waitpid(pid, 0)
"#;

/// A sentry that does not run, and is not stopped, got 60 s: so long CMD outlived its lock.
#[test]
fn a_sentry_that_is_traced_does_not_let_cmd_outlive_a_lost_lock() {
    let _watched_from_here = lateness();
    let place = Place::new();
    let running = start(&place, "stubborn", &[]);
    let sentry = parent_of(stamps(&place)["cmd"].0);
    let mut tracer = place.command("python3");
    let _tracer = Running::of(tracer.args(["-c", TRACER, &sentry.to_string()]));
    until("it is traced", || place.path("traced").exists().then_some(()));
    if place.read("traced") != "stopped" {
        println!("SKIPPED: no right to trace process {sentry}");
        return;
    }
    let forced = place.run(&["force-release", "--yes", "k"]);
    assert_eq!(forced.code, Some(0), "{forced:?}");
    // No later renewal has moved its deadline.
    let end = now_us() + 4_000_000;
    let ended = running.wait();
    assert!(ended.stderr.contains("tenure: lost: \"k\""), "{ended:?}");
    gone_by(&place, end);
}

#[test]
fn a_stopped_sentry_does_not_keep_the_lock_of_a_cmd_that_has_ended() {
    let place = Place::new();
    let script = "echo $$ > pid; while ! test -e go; do sleep 0.01; done; exit 7";
    // The lease is long, so that no renewal finds out.
    let mut running = place.start(&["run", "-v", "--ttl", "1h", "k", "--", "sh", "-c", script]);
    let sentry = parent_of(place.number_in("pid"));
    started(&mut running);
    signal(sentry, Signal::STOP);
    until("it is stopped", || (state_of(sentry) == Some('T')).then_some(()));
    std::fs::write(place.path("go"), "").expect("a file");
    let ended = running.wait();
    assert_eq!(ended.code, Some(7), "{ended:?}");
    let line = format!("tenure: the sentry (process {sentry}) does not answer");
    assert!(ended.stderr.contains(&line), "{ended:?}");
    assert_eq!(place.status("k")["state"], "free");
}

#[test]
fn a_stopped_sentry_does_not_hold_a_signal_back() {
    let place = Place::new();
    let script = "echo $$ > pid; exec sleep 600";
    let mut running = place.start(&["run", "-v", "--ttl", "1h", "k", "--", "sh", "-c", script]);
    let sentry = parent_of(place.number_in("pid"));
    started(&mut running);
    signal(sentry, Signal::STOP);
    until("it is stopped", || (state_of(sentry) == Some('T')).then_some(()));
    running.signal(Signal::TERM);
    let ended = running.wait();
    assert_eq!(ended.code, Some(128 + 15), "{ended:?}");
    assert_eq!(place.status("k")["state"], "free");
}

/// It is stopped before it has started CMD, and again between that and the end of CMD.
#[test]
fn a_sentry_that_starts_cmd_too_late_and_is_killed_leaves_no_cmd() {
    let (place, running, sentry) = with_a_sentry_that_has_not_started_cmd();
    let cmd = place.number_in("pid");
    signal(sentry, Signal::STOP);
    let ended = running.wait();
    assert_eq!(ended.code, Some(70), "{ended:?}");
    assert!(ended.stderr.contains("cannot start the sentry"), "{ended:?}");
    assert!(!is_alive(cmd));
    assert_eq!(place.status("k")["state"], "free");
}

/// Its sentry is stopped. CMD does not follow the first signal.
fn with_a_sentry_that_has_not_started_cmd() -> (Place, Running, i32) {
    let script = "echo $$ > pid; exec sleep 600";
    let options = ["run", "--ttl", "1h", "--kill-grace", "5s", "--signal", "WINCH"];
    let words = [&options[..], &["k", "--", "sh", "-c", script]].concat();
    let children = |pid| {
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        children.unwrap_or_default()
    };
    // It may have been faster than this test.
    until("a sentry is stopped before it has started CMD", || {
        let place = Place::new();
        let running = place.start(&words);
        let sentry = until("the sentry is there", || {
            let pid: i32 = children(running.pid()).trim_end().parse().ok()?;
            let words = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?;
            words.contains("__sentry").then_some(pid)
        });
        signal(sentry, Signal::STOP);
        until("it is stopped", || (state_of(sentry) == Some('T')).then_some(()));
        if children(sentry).is_empty() {
            return Some((place, running, sentry));
        }
        signal(sentry, Signal::CONT);
        None
    })
}

/// It follows the order, and is stopped before the signal is due.
#[test]
fn a_sentry_that_is_stopped_again_and_again_passes_a_signal_on() {
    let place = Place::new();
    let script = "echo $$ > pid; exec sleep 600";
    let mut running = place.start(&["run", "-v", "--ttl", "1h", "k", "--", "sh", "-c", script]);
    let cmd = place.number_in("pid");
    let sentry = parent_of(cmd);
    started(&mut running);
    let stops = format!("while kill -STOP {sentry}; do sleep 0.05; done");
    let stops = Running::of(place.command("/bin/sh").args(["-c", &stops]));
    until("it is stopped", || (state_of(sentry) == Some('T')).then_some(()));
    running.signal(Signal::TERM);
    let ended = running.wait();
    assert!(matches!(ended.code, Some(70 | 143)), "{ended:?}");
    assert!(!is_alive(cmd));
    drop(stops);
}

#[test]
fn the_sentry_is_deaf_to_signals_for_others() {
    let place = Place::new();
    let running = start_with(&place, "polite", &LONG);
    let sentry = parent_of(stamps(&place)["cmd"].0);
    for number in [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT, Signal::TSTP] {
        signal(sentry, number);
    }
    running.signal(Signal::TERM);
    assert_eq!(running.wait().code, Some(0), "CMD said bye");
    drop(stamps(&place).values().map(|(pid, _)| Stray(*pid)).collect::<Vec<_>>());
}

fn the_store_out_of_reach(home: Home) {
    let place = Place::at(home);
    let line = "echo \"$TENURE_LOST_REASON $TENURE_KEY\" > epilogue; exit 3";
    // The grace is long: all of them shall have the time to say bye on a busy machine.
    let options = ["--ttl", "6s", "--kill-grace", "2s", "--on-lost-exec", line];
    let running = start_with(&place, "polite", &options);
    let blocked = place.block_store();
    // No renewal comes after this.
    let end_at_the_latest = now_us() + 6_000_000 + 500_000;
    until("all said bye", || (stamps(&place).len() == 2 * MEMBERS.len()).then_some(()));
    gone_by(&place, end_at_the_latest);
    let ended = running.wait();
    assert_eq!(ended.code, Some(79), "{ended:?}");
    assert!(ended.stderr.contains("--on-lost-exec: exit code 3"), "{ended:?}");
    assert_eq!(place.read("epilogue"), "expired k\n");
    assert_eq!(place.report("report")["outcome"], "lost");
    drop(blocked);
}

fn a_lost_lock_may_be_ignored(home: Home) {
    let place = Place::at(home);
    let script = "echo $PPID > parent; while ! test -e go; do sleep 0.01; done; exit 7";
    let options = ["--ttl", "4s", "--kill-grace", "1s", "--on-lost", "ignore", "--report", "r"];
    let line = [&["run"], &options[..], &["k", "--", "sh", "-c", script]].concat();
    let mut running = place.start(&line);
    assert_eq!(place.number_in("parent"), running.pid(), "no sentry between them");
    let blocked = place.block_store();
    let warning = running.line_with("tenure: cannot renew \"k\" at ");
    assert!(warning.contains("; the lock is lost in "), "{warning}");
    let lost = running.line_with("tenure: lost: \"k\": ");
    assert!(lost.ends_with("CMD goes on\n"), "{lost}");
    std::fs::write(place.path("go"), "").expect("a file");
    let ended = running.wait();
    assert_eq!(ended.code, Some(7), "{ended:?}");
    let report = place.report("r");
    assert_eq!((&report["outcome"], &report["code"]), (&"lost".into(), &7.into()));
    drop(blocked);
}

#[test]
fn max_hold_ends_all_processes_without_a_sentry_too() {
    let place = Place::new();
    let options = ["--on-lost", "ignore", "--max-hold", LONG_ENOUGH];
    let running = start_with(&place, "stubborn", &[&LONG[..], &options].concat());
    assert_eq!(parent_of(stamps(&place)["cmd"].0), running.pid());
    let ended = running.wait();
    assert_eq!(ended.code, Some(124), "{ended:?}");
    gone_by(&place, now_us());
}

#[test]
fn process_1_of_a_namespace() {
    let place = Place::new();
    for unshare in ["unshare -fp --mount-proc", "unshare -fp"] {
        let _ = std::fs::remove_file(place.path("stamps"));
        let script = format!(
            "exec {unshare} --kill-child \"$TENURE\" run --max-hold {LONG_ENOUGH} \
             --kill-grace 500ms k -- python3 {TREE} stamps stubborn"
        );
        let ended = place.sh(&script);
        if ended.stderr.contains("unshare failed") {
            println!("SKIPPED: no right to make a PID namespace: {}", ended.stderr);
            return;
        }
        assert_eq!(ended.code, Some(124), "{unshare}: {ended:?}");
        let names: Vec<String> = stamps(&place).into_keys().collect();
        assert_eq!(names, MEMBERS, "{unshare}");
    }
    // Process 1 does not die of SIGINT; its code says it all the same. Orphans are collected.
    let script = "exec unshare -fp --mount-proc --kill-child \"$TENURE\" run k -- sh -c \
                  '(sleep 0.01 & echo $! > orphan); \
                  while test -e /proc/$(cat orphan); do sleep 0.01; done; kill -INT $$'";
    let ended = place.sh(script);
    assert_eq!(ended.code, Some(130), "{ended:?}");
}
