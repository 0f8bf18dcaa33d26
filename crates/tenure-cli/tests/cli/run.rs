//! `tenure run` in everyday use: exit codes, environment, waiting, signals, reports.

use std::fs;

use rustix::process::Signal;

use crate::place::{Home, Place, Running, is_alive, on_every_store, until};

/// A CMD that says that it runs, and goes on until it is told to end.
const HOLD: &str = "echo $$ > pid; exec sleep 600";

/// Starts a holder of `key` and waits until its CMD runs.
fn hold(place: &Place, key: &str) -> Running {
    let running = place.start(&["run", key, "--", "sh", "-c", HOLD]);
    place.number_in("pid");
    running
}

on_every_store! {
    cmd_knows_what_it_holds
    busy_names_the_holder
    waiting_tells_for_whom
    a_signal_while_waiting_leaves_the_line
    a_signal_while_cmd_runs_is_passed_on
    max_hold_ends_cmd_and_keeps_the_lock_until_then
    min_hold_keeps_the_key_taken
    a_background_child_of_cmd_does_not_hold_the_lock
    no_descriptor_of_ours_reaches_cmd
    a_parent_that_hears_of_no_children_does_not_make_us_deaf
    a_fixed_owner_does_not_wait_for_itself
    six_processes_count_without_a_mistake
}

#[test]
fn the_exit_code_is_that_of_cmd() {
    let place = Place::new();
    for code in ["0", "1", "3", "64", "79", "255"] {
        let ended = place.run(&["run", "k", "--", "sh", "-c", &format!("exit {code}")]);
        assert_eq!(ended.code, code.parse().ok(), "{ended:?}");
        assert_eq!(ended.stderr, "");
    }
    let ended = place.run(&["run", "k", "--", "sh", "-c", "kill -TERM $$"]);
    assert_eq!(ended.code, Some(128 + 15), "{ended:?}");
}

#[test]
fn tenure_dies_of_the_sigint_that_ended_cmd() {
    let place = Place::new();
    let ended = place.run(&["run", "k", "--", "sh", "-c", "kill -INT $$"]);
    assert_eq!(ended.signal, Some(2), "{ended:?}");
    let ended = place.sh("\"$TENURE\" run k -- sh -c 'kill -INT $$'; echo $?");
    assert_eq!(ended.stdout, "130\n", "{ended:?}");
}

#[test]
fn cmd_is_looked_up_before_anything_is_touched() {
    let place = Place::new();
    let ended = place.run(&["run", "k", "--", "no-such-command"]);
    assert_eq!(ended.code, Some(127), "{ended:?}");
    let says = "no-such-command: command not found; \"k\" was not asked for";
    assert_eq!(ended.stderr, format!("tenure: not found: {says}\n"));
    fs::write(place.path("plain"), "text").expect("a file");
    let ended = place.run(&["run", "k", "--", "./plain"]);
    assert_eq!(ended.code, Some(126), "{ended:?}");
    let says = "cannot run ./plain: it is not executable; \"k\" was not asked for";
    assert_eq!(ended.stderr, format!("tenure: not executable: {says}\n"));
    assert!(!place.store().exists(), "nothing was touched");
}

#[test]
fn a_cmd_that_the_system_refuses_is_not_executable() {
    let place = Place::new();
    place.write_script("script", "#!/no/such/interpreter\n");
    let ended = place.run(&["run", "--report", "r", "k", "--", "./script"]);
    assert_eq!(ended.code, Some(127), "{ended:?}");
    assert!(ended.stderr.contains("cannot run ./script"), "{ended:?}");
    assert!(ended.stderr.contains("names \"/no/such/interpreter\""), "{ended:?}");
    let report = place.report("r");
    assert_eq!((&report["outcome"], &report["exit"]), (&"failed".into(), &127.into()));
    assert_eq!(place.status("k")["state"], "free");
}

#[test]
fn a_script_without_an_interpreter_needs_a_shell() {
    let place = Place::new();
    place.write_script("my script", "echo ran\n");
    let ended = place.run(&["run", "k", "--", "./my script"]);
    assert_eq!((ended.code, &*ended.stdout), (Some(126), ""), "{ended:?}");
    let hint = "it has no #! line, and no shell is involved: use sh './my script'";
    assert!(ended.stderr.contains(hint), "{ended:?}");
    assert_eq!(place.status("k")["state"], "free");
}

#[test]
fn no_shell_and_the_words_as_they_are() {
    let place = Place::new();
    let ended = place.run(&["run", "k", "--", "printf", "%s|", "a b", "$HOME", "--", "-q", ""]);
    assert_eq!(ended.stdout, "a b|$HOME|--|-q||", "{ended:?}");
    let ended = place.run(&["run", "k", "printf", "%s|", "-q", "--ttl"]);
    assert_eq!(ended.stdout, "-q|--ttl|", "{ended:?}");
}

fn cmd_knows_what_it_holds(home: Home) {
    let place = Place::at(home);
    let script = "printf '%s\n' \"$TENURE_KEY\" $TENURE_FENCE $TENURE_OWNER \
                  $TENURE_STORE_NAME ${TENURE_STORE_FILE-none} ${TENURE_STORE-none}; \
                  \"$TENURE\" status --json \"$TENURE_KEY\"";
    let ended = place.run(&["run", "a key", "--", "sh", "-c", script]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let lines: Vec<&str> = ended.stdout.lines().collect();
    let seen: serde_json::Value = serde_json::from_str(lines[6]).expect("JSON");
    assert_eq!(lines[0], "a key");
    assert_eq!(lines[1], seen["holders"][0]["fence"].to_string());
    assert_eq!(lines[2], seen["holders"][0]["owner"].as_str().expect("an owner"));
    let (url, file) = (place.url(), place.store().display().to_string());
    let expected = match home {
        Home::File => [url, file, "none".into()],
        Home::Server(_) => [format!("{url}/0"), "none".into(), place.store_url()],
    };
    assert_eq!(lines[3..6], expected);
}

#[test]
fn a_store_named_on_the_command_line_reaches_a_nested_tenure() {
    let place = Place::new();
    let nested = "cd / && \"$TENURE\" status k --json";
    let ended = place.run(&["run", "--store-file", "other.db", "k", "--", "sh", "-c", nested]);
    assert!(ended.stdout.contains("\"state\":\"held\""), "{ended:?}");
    let ended = place.run(&["run", "--store", "sqlite:third.db", "k", "--", "sh", "-c", nested]);
    assert!(ended.stdout.contains("\"state\":\"held\""), "{ended:?}");
    assert!(!place.store().exists(), "the command line goes before the environment");
}

fn busy_names_the_holder(home: Home) {
    let place = Place::at(home);
    let _holder = hold(&place, "k");
    for words in [&["--try"][..], &["--wait", "0s"], &["--wait", "300ms"], &["--retry", "3"]] {
        let line = [&["run", "--report", "r"], words, &["k", "--", "echo", "ran"]].concat();
        let ended = place.run(&line);
        assert_eq!((ended.code, &*ended.stdout), (Some(75), ""), "{words:?}: {ended:?}");
        assert!(
            ended.stderr.contains("held by sh: echo … ("),
            "the label of the holder: {ended:?}"
        );
        assert!(ended.stderr.contains(&format!("\"k\" at {}", place.url())), "{ended:?}");
        assert_eq!(place.report("r")["outcome"], "busy");
    }
    let ended = place.run(&["run", "--try", "k", "--", "true"]);
    assert!(ended.stderr.ends_with("; tenure status k shows more\n"), "{ended:?}");
    let ended = place.run(&["run", "--try", "-q", "--busy-exit", "0", "k", "--", "echo", "ran"]);
    assert_eq!((ended.code, &*ended.stderr, &*ended.stdout), (Some(0), "", ""), "{ended:?}");
}

fn waiting_tells_for_whom(home: Home) {
    let place = Place::at(home);
    let holder = hold(&place, "k");
    let mut waiter = place.start(&["run", "--label", "second", "k", "--", "echo", "ran"]);
    let line = waiter.stderr_line();
    assert!(line.starts_with("tenure: waiting for \"k\" for "), "{line}");
    assert!(line.contains("s: held by sh: echo … ("), "{line}");
    until("it stands in line", || {
        (place.status("k")["waiters"][0]["label"] == "second").then_some(())
    });
    holder.signal(Signal::TERM);
    let ended = waiter.wait();
    assert_eq!((ended.code, &*ended.stdout), (Some(0), "ran\n"), "{ended:?}");
}

fn a_signal_while_waiting_leaves_the_line(home: Home) {
    let place = Place::at(home);
    let _holder = hold(&place, "k");
    let signals = [(Signal::TERM, 15), (Signal::HUP, 1), (Signal::INT, 2), (Signal::USR1, 10)];
    for (signal, number) in signals {
        let waiter = place.start(&["run", "--report", "r", "k", "--", "echo", "ran"]);
        until("it stands in line", || (place.status("k")["waiters"][0].is_object()).then_some(()));
        waiter.signal(signal);
        let ended = waiter.wait();
        let code = ended.code.or(ended.signal.map(|n| 128 + n));
        assert_eq!((code, &*ended.stdout), (Some(128 + number), ""), "{ended:?}");
        assert_eq!(place.status("k")["waiters"], serde_json::json!([]), "{signal:?}");
        assert_eq!(place.report("r")["outcome"], "interrupted");
    }
}

fn a_signal_while_cmd_runs_is_passed_on(home: Home) {
    let place = Place::at(home);
    for (name, number) in [("TERM", 15), ("HUP", 1), ("USR1", 10), ("INT", 2)] {
        let script = format!("trap 'exit 7' {name}; echo $$ > pid; while :; do sleep 0.01; done");
        let _ = fs::remove_file(place.path("pid"));
        let running = place.start(&["run", "k", "--", "sh", "-c", &script]);
        place.number_in("pid");
        running.signal(Signal::from_named_raw(number).expect("a signal"));
        let ended = running.wait();
        assert_eq!(ended.code, Some(7), "{name}: {ended:?}");
    }
}

fn max_hold_ends_cmd_and_keeps_the_lock_until_then(home: Home) {
    let place = Place::at(home);
    // CMD outlives its ttl, since the lease is renewed while CMD is being ended.
    let script = "trap '' TERM; echo $$ > pid; while :; do sleep 0.01; done";
    let words = ["--ttl", "9s", "--kill-grace", "1s", "--max-hold", "8500ms", "--report", "r"];
    let line = [&["run"], &words[..], &["k", "--", "sh", "-c", script]].concat();
    let running = place.start(&line);
    let cmd = place.number_in("pid");
    let waiter = place.start(&["run", "k", "--", "sh", "-c", &format!("! kill -0 {cmd}")]);
    let ended = running.wait();
    assert_eq!(ended.code, Some(124), "{ended:?}");
    assert!(!is_alive(cmd), "it ignored SIGTERM");
    let report = place.report("r");
    assert_eq!((&report["outcome"], &report["signal"]), (&"max-hold".into(), &9.into()));
    let held = report["held_ms"].as_u64().expect("a number");
    assert!(held >= 9_500, "held for {held} ms");
    assert_eq!(waiter.wait().code, Some(0), "the next one came after CMD was gone");
}

#[test]
fn a_stopped_cmd_hears_the_first_signal() {
    let place = Place::new();
    let script = "trap 'echo bye > said; exit' USR2; kill -STOP $$; while :; do sleep 0.01; done";
    // Time for CMD to set its trap.
    let words = ["run", "--max-hold", "4s", "-s", "USR2", "k", "--", "sh", "-c", script];
    let ended = place.run(&words);
    assert_eq!(ended.code, Some(124), "{ended:?}");
    assert_eq!(place.read("said"), "bye\n");
}

fn min_hold_keeps_the_key_taken(home: Home) {
    let place = Place::at(home);
    let ended = place.run(&["run", "--min-hold", "1h", "k", "--", "true"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(place.run(&["run", "--try", "k", "--", "true"]).code, Some(75));
    let remaining = place.status("k")["holders"][0]["remaining_ms"].as_u64().expect("a number");
    assert!((3_500_000..=3_600_000).contains(&remaining), "{remaining}");
}

#[test]
fn verbose_tells_and_quiet_is_silent() {
    let place = Place::new();
    let ended = place.run(&["run", "-v", "k", "--", "true"]);
    assert!(ended.stderr.contains("\"k\" is held after "), "{ended:?}");
    assert!(ended.stderr.contains("(this host)"), "{ended:?}");
    let mut embedded = place.tenure(&["status", "k"]);
    embedded.env_remove("TENURE_STORE_FILE");
    let stdout = embedded.output().expect("tenure starts").stdout;
    let stdout = String::from_utf8_lossy(&stdout).into_owned();
    assert!(stdout.contains("(this host, this user)"), "{stdout}");
    let quiet = ["run", "-q", "--max-hold", "50ms", "k", "--", "sleep", "600"];
    let ended = place.run(&quiet);
    assert_eq!((ended.code, &*ended.stderr), (Some(124), ""), "{ended:?}");
}

#[test]
fn a_report_that_cannot_be_written_stops_the_run_before_it_begins() {
    let place = Place::new();
    let ended = place.run(&["run", "--report", "no/such/directory", "k", "--", "echo", "ran"]);
    assert_eq!((ended.code, &*ended.stdout), (Some(78), ""), "{ended:?}");
    assert!(!place.store().exists());
}

fn a_background_child_of_cmd_does_not_hold_the_lock(home: Home) {
    let place = Place::at(home);
    let script = "sleep 600 >/dev/null 2>&1 & echo $! > pid";
    let ended = place.run(&["run", "k", "--", "sh", "-c", script]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let left = place.number_in("pid");
    assert!(is_alive(left), "CMD ended by itself, so what it left behind may go on");
    crate::place::signal(left, Signal::KILL);
    assert_eq!(place.status("k")["state"], "free");
}

fn no_descriptor_of_ours_reaches_cmd(home: Home) {
    let place = Place::at(home);
    let list = "ls -l /proc/self/fd | sed 's/.*-> //'";
    let bare = place.sh(list).stdout;
    let ended = place.run(&["run", "k", "--", "sh", "-c", list]);
    let strange = |text: &str| {
        let known = |l: &&str| !l.starts_with("pipe:") && !l.starts_with("/proc/");
        // The tests' own files for what is printed have no name, and another number each time.
        let named =
            |l: &str| if l.ends_with(" (deleted)") { "a nameless file" } else { l }.to_owned();
        text.lines().filter(known).map(named).collect::<Vec<_>>()
    };
    assert_eq!(strange(&ended.stdout), strange(&bare), "{ended:?}");
}

fn a_parent_that_hears_of_no_children_does_not_make_us_deaf(home: Home) {
    let place = Place::at(home);
    // The ttl is so long that no renewal wakes up anybody meanwhile.
    for before in ["pthread_sigmask(signal.SIG_BLOCK, [17])", "signal(17, signal.SIG_IGN)"] {
        let script = format!(
            "import os, signal; signal.{before}; \
             os.execv(os.environ['TENURE'], ['tenure', *'run --ttl 1h k sh -c'.split(), 'exit 7'])"
        );
        let ended = Running::of(place.command("python3").args(["-c", &script])).wait();
        assert_eq!(ended.code, Some(7), "{before}: {ended:?}");
    }
}

fn a_fixed_owner_does_not_wait_for_itself(home: Home) {
    let place = Place::at(home);
    let holder = place.start(&["run", "--owner", "job-1", "k", "--", "sh", "-c", HOLD]);
    place.number_in("pid");
    assert_eq!(place.status("k")["holders"][0]["owner"], "job-1");
    assert_eq!(place.run(&["run", "--owner", "job-1", "--try", "k", "--", "true"]).code, Some(75));
    let ended = place.run(&["run", "--owner", "job-1", "k", "--", "true"]);
    assert_eq!(ended.code, Some(64), "{ended:?}");
    assert!(ended.stderr.contains("waiting for oneself"), "{ended:?}");
    let words = ["run", "--owner", "job-10", "--wait", "50ms", "k", "--", "true"];
    assert_eq!(place.run(&words).code, Some(75), "another value, though it begins the same");
    drop(holder);
}

#[test]
fn a_store_that_fails_says_so_by_its_code() {
    let place = Place::new();
    fs::write(place.path("text"), "This is no database. ".repeat(100)).expect("a file");
    fs::write(place.path("plain"), "").expect("a file");
    for (file, code, part) in [("text", 78, "text"), ("plain/under", 78, "plain"), (".", 78, "")] {
        let words = ["run", "--report", "r", "--store-file", file, "k", "--", "echo", "ran"];
        let ended = place.run(&words);
        assert_eq!((ended.code, &*ended.stdout), (Some(code), ""), "{file}: {ended:?}");
        assert!(ended.stderr.contains(": cannot connect at "), "{ended:?}");
        assert!(ended.stderr.contains(part), "{ended:?}");
        let report = place.report("r");
        assert_eq!((&report["outcome"], &report["exit"]), (&"failed".into(), &code.into()));
    }
    assert!(place.read("text").starts_with("This is no database."), "left as it was");
}

#[test]
fn a_store_that_does_not_answer_is_given_its_time() {
    let place = Place::new();
    place.run(&["run", "k", "--", "true"]);
    let _blocked = place.block_store();
    let ended = place.run(&["run", "--try", "--store-timeout", "300ms", "k", "--", "echo", "ran"]);
    assert_eq!((ended.code, &*ended.stdout), (Some(69), ""), "{ended:?}");
}

#[test]
fn a_store_of_one_process_keeps_nobody_out() {
    let place = Place::new();
    let ended = place.run(&["run", "--store", "memory:", "k", "--", "echo", "ran"]);
    assert_eq!((ended.code, &*ended.stdout), (Some(0), "ran\n"), "{ended:?}");
    assert!(ended.stderr.contains("nobody is kept out"), "{ended:?}");
}

/// Six processes, each 15 times: read a number, wait, write it back with one more. `lock` is
/// what runs each step. Answers the number and how often two were at it together.
fn count_with(home: Home, lock: &str) -> (String, usize) {
    let place = Place::at(home);
    fs::write(place.path("count"), "0\n").expect("a file");
    // mkdir is atomic, so it finds an overlap whatever happens to the number.
    let step = "mkdir busy || echo >> overlaps; n=$(cat count); sleep 0.002; \
                echo $((n + 1)) > count; rmdir busy || :";
    let many = format!("for i in $(seq 15); do {lock} sh -c '{step}' 2>> errors || exit 1; done");
    let start = |_| Running::of(place.command("/bin/sh").args(["-c", &many]));
    let running: Vec<_> = (0..6).map(start).collect();
    for process in running {
        let ended = process.wait();
        assert_eq!(ended.code, Some(0), "{ended:?} {}", place.read("errors"));
    }
    (place.read("count").trim().into(), place.read("overlaps").lines().count())
}

fn six_processes_count_without_a_mistake(home: Home) {
    assert_eq!(count_with(home, "\"$TENURE\" run -q counter --"), ("90".into(), 0));
}

#[test]
fn without_the_lock_they_count_wrong() {
    let (count, overlaps) = count_with(Home::File, "");
    assert!(count != "90" && overlaps > 0, "the test could not fail: {count}, {overlaps}");
}

#[test]
fn a_lock_that_was_taken_away_is_told_though_cmd_has_ended_by_itself() {
    let place = Place::new();
    let script = "\"$TENURE\" force-release --yes k > /dev/null";
    let line = ["run", "-v", "--ttl", "10m", "--report", "r", "k", "--", "sh", "-c", script];
    let ended = place.run(&line);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let told = "\"k\" was taken away before CMD ended: another may have run beside it";
    assert!(ended.stderr.contains(told) && !ended.stderr.contains("released"), "{ended:?}");
    let report = place.report("r");
    assert_eq!((&report["outcome"], &report["reason"]), (&"ended".into(), &told.into()));
}
