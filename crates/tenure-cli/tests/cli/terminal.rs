//! `tenure run` at a terminal, behind `nohup`, and with odd descriptors.

use std::fs;

use rustix::process::Signal;

use crate::place::{Place, Running, is_alive, signal, state_of, until};
use crate::screen::Screen;

#[test]
fn cat_reads_the_terminal() {
    let place = Place::new();
    let mut screen = Screen::open(&place);
    screen.keys("$TENURE run k -- cat\n");
    until("cat runs", || (place.status("k")["state"] == "held").then_some(()));
    for line in ["hello", "world"] {
        screen.keys(&format!("{line}\n"));
        // Once as the terminal's echo, once from cat.
        screen.expect(&format!("{line}\r\n{line}\r\n"));
    }
    screen.keys("\x04");
    assert_eq!(screen.status(), "status=0\n");
}

#[test]
fn cmd_is_in_the_foreground_from_its_first_instruction() {
    let place = Place::new();
    let mut screen = Screen::open(&place);
    // A shell with job control stops itself unless it is in the foreground.
    for _ in 0..5 {
        let shown = screen.command("$TENURE run k -- ps -o stat= -p $$ -C ps");
        assert!(shown.contains('+'), "ps is in the foreground: {shown}");
    }
    screen.keys("$TENURE run k -- bash --norc --noprofile -i\n");
    screen.expect("@@ ");
    assert_eq!(screen.command("echo inner=$TENURE_KEY"), "inner=k\n");
    screen.keys("exit 3\n");
    assert_eq!(screen.status(), "status=3\n");
}

#[test]
fn vi_starts_and_quits() {
    let place = Place::new();
    let mut screen = Screen::open(&place);
    if screen.command("command -v vi").is_empty() {
        println!("SKIPPED: this machine has no vi");
        return;
    }
    screen.keys("TERM=xterm $TENURE run k -- vi -c q\n");
    assert_eq!(screen.status(), "status=0\n");
    screen.keys("TERM=xterm $TENURE run k -- vi -u NONE\n");
    until("vi is there", || screen.is_raw().then_some(()));
    screen.expect("~");
    screen.keys(":cq\r");
    assert_eq!(screen.status(), "status=1\n");
}

#[test]
fn ctrl_c_ends_cmd_and_a_loop_around_tenure() {
    let place = Place::new();
    let mut screen = Screen::open(&place);
    let run = "for i in 1 2 3; do $TENURE run k -- sh -c 'echo $$ > pid; exec sleep 600'; done";
    screen.keys(&format!("{run}\n"));
    let cmd = place.number_in("pid");
    screen.keys("\x03");
    assert_eq!(screen.status(), "status=130\n");
    assert!(!is_alive(cmd));
    assert_eq!(place.status("k")["state"], "free");

    let _ = fs::remove_file(place.path("pid"));
    fs::write(place.path("loop"), run).expect("a file");
    screen.keys("sh ./loop\n");
    place.number_in("pid");
    screen.keys("\x03");
    assert_eq!(screen.status(), "status=130\n");
    let _ = fs::remove_file(place.path("pid"));
    screen.keys("bash ./loop\n");
    place.number_in("pid");
    screen.keys("\x03");
    assert_eq!(screen.status(), "status=130\n");
}

#[test]
fn ctrl_c_that_cmd_handles_is_its_own_business() {
    let place = Place::new();
    let mut screen = Screen::open(&place);
    let script = "trap \"echo caught; exit 5\" INT; echo $$ > pid; while :; do sleep 0.01; done";
    screen.keys(&format!("$TENURE run k -- sh -c '{script}'\n"));
    place.number_in("pid");
    screen.keys("\x03");
    screen.expect("caught");
    assert_eq!(screen.status(), "status=5\n");
}

#[test]
fn ctrl_c_while_waiting_leaves_the_line() {
    let place = Place::new();
    let _holder = place.start(&["run", "k", "--", "sleep", "600"]);
    until("it holds", || (place.status("k")["state"] == "held").then_some(()));
    let mut screen = Screen::open(&place);
    screen.keys("for i in 1 2 3; do $TENURE run k -- true; done\n");
    screen.expect("waiting for \"k\" for ");
    // The next line, with more seconds, replaces it.
    screen.expect("\r\x1b[Ktenure: waiting for \"k\" for ");
    screen.keys("\x03");
    assert_eq!(screen.status(), "status=130\n");
    assert_eq!(place.status("k")["waiters"], serde_json::json!([]));
}

#[test]
fn ctrl_z_stops_both_and_fg_continues_both() {
    let place = Place::new();
    let mut screen = Screen::open(&place);
    screen.keys("$TENURE run k -- sh -c 'echo $$ > pid; exec cat'\n");
    let cmd = place.number_in("pid");
    for round in ["one", "two"] {
        until("cat has the terminal", || (screen.foreground() == cmd).then_some(()));
        screen.keys("\x1a");
        screen.expect("Stopped");
        screen.expect("@@ ");
        let tenure = screen.command("jobs -p").trim().parse().expect("a number");
        assert_eq!((state_of(tenure), state_of(cmd)), (Some('T'), Some('T')));
        screen.keys("fg\n");
        until("cat has the terminal", || (screen.foreground() == cmd).then_some(()));
        screen.keys(&format!("{round}\n"));
        screen.expect(&format!("{round}\r\n{round}\r\n"));
    }
    screen.keys("\x04");
    assert_eq!(screen.status(), "status=0\n");
}

#[test]
fn keys_that_reach_tenure_instead_of_cmd_are_passed_on() {
    let place = Place::new();
    let mut screen = Screen::open(&place);
    // Stdin is not the terminal, so CMD does not get it.
    screen.keys("$TENURE run k -- sh -c 'echo $$ > pid; exec sleep 600' < /dev/null\n");
    let cmd = place.number_in("pid");
    screen.keys("\x1a");
    screen.expect("Stopped");
    screen.expect("@@ ");
    until("CMD is stopped too", || (state_of(cmd) == Some('T')).then_some(()));
    screen.keys("fg\n");
    until("CMD goes on", || (state_of(cmd) == Some('S')).then_some(()));
    screen.keys("\x03");
    assert_eq!(screen.status(), "status=130\n");
    assert!(!is_alive(cmd));
}

#[test]
fn ctrl_z_for_longer_than_the_lease_loses_it() {
    let place = Place::new();
    let mut screen = Screen::open(&place);
    screen.keys("$TENURE run --ttl 6s k -- sh -c 'echo $$ > pid; exec cat'\n");
    let cmd = place.number_in("pid");
    until("cat has the terminal", || (screen.foreground() == cmd).then_some(()));
    screen.keys("\x1a");
    screen.expect("Stopped");
    until("CMD is gone", || (!is_alive(cmd)).then_some(()));
    screen.expect("@@ ");
    screen.keys("fg\n");
    // The sentry says so, or tenure itself, whichever is heard first.
    screen.expect("; ending CMD");
    assert_eq!(screen.status(), "status=79\n");
}

#[test]
fn a_background_job_stops_when_it_reads_and_fg_gives_it_the_terminal() {
    let place = Place::new();
    let mut screen = Screen::open(&place);
    screen.command("$TENURE run k -- sh -c 'echo $$ > pid; exec cat' &");
    let cmd = place.number_in("pid");
    until("CMD is stopped", || (state_of(cmd) == Some('T')).then_some(()));
    until("tenure too", || {
        let jobs = screen.command("jobs");
        jobs.contains("Stopped").then_some(())
    });
    screen.keys("fg\n");
    until("cat has the terminal", || (screen.foreground() == cmd).then_some(()));
    screen.keys("now\n");
    screen.expect("now\r\nnow\r\n");
    screen.keys("\x04");
    assert_eq!(screen.status(), "status=0\n");
}

#[test]
fn ctrl_z_where_nobody_could_continue_it() {
    let place = Place::new();
    let mut screen = Screen::open(&place);
    // In place of the shell: tenure leads the session, and its group is orphaned.
    screen.keys("exec $TENURE run k -- sh -c 'echo $$ > pid; exec cat'\n");
    let cmd = place.number_in("pid");
    until("cat has the terminal", || (screen.foreground() == cmd).then_some(()));
    screen.keys("\x1a");
    screen.keys("still here\n");
    screen.expect("still here\r\nstill here\r\n");
    screen.keys("\x04");
    until("it ends", || (place.status("k")["state"] == "free").then_some(()));
}

#[test]
fn the_terminal_comes_back_from_a_killed_cmd_as_it_was() {
    let place = Place::new();
    let mut screen = Screen::open(&place);
    let script = "trap \"\" TERM; stty raw -echo; echo $$ > pid; while :; do sleep 0.01; done";
    let run = "$TENURE run -q --ttl 12s --kill-grace 100ms k -- ";
    screen.keys(&format!("{run} sh -c '{script}'; stty -a > modes\n"));
    let cmd = place.number_in("pid");
    assert!(screen.foreground() == cmd && screen.is_raw() && !screen.echoes());
    // It learns of it at its next renewal.
    assert_eq!(place.run(&["force-release", "--yes", "k"]).code, Some(0));
    assert_eq!(screen.status(), "status=0\n");
    let modes = place.read("modes");
    assert!(modes.contains(" icanon") && modes.contains(" echo "), "{modes}");
}

#[test]
fn what_we_say_never_stops_us() {
    let place = Place::new();
    let mut screen = Screen::open(&place);
    // With tostop the terminal stops background writers; while CMD runs, that is us.
    screen.command("stty tostop");
    screen.keys("$TENURE run -v --max-hold 300ms k -- sleep 600\n");
    screen.expect("CMD runs as process");
    screen.expect("--max-hold 300ms is over");
    assert_eq!(screen.status(), "status=124\n");
}

#[test]
fn ten_megabytes_of_output() {
    let place = Place::new();
    let ended = place.sh("\"$TENURE\" run k -- head -c 10485760 /dev/zero | wc -c");
    assert_eq!(ended.stdout.trim(), "10485760", "{ended:?}");
    let mut screen = Screen::open(&place);
    let shown = screen.command("$TENURE run k -- sh -c 'yes 123456789 | head -c 10485760'");
    assert!(shown.len() == 10_485_760, "{} bytes", shown.len());
}

/// The signals that a process ignores; bit 0 is signal 1. Left out are SIGPIPE, which Rust ignores
/// for itself, and 32 and 33, with which the C library does as it likes.
fn ignored_by(process: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).expect("a mask");
    let ours = 1 << 12 | 1 << 31 | 1 << 32;
    u64::from_str_radix(mask.trim(), 16).expect("a number") & !ours
}

#[test]
fn nohup_reaches_cmd() {
    let place = Place::new();
    let script = "echo $$ > pid; exec sleep 600";
    let mut command = place.command("nohup");
    let running =
        Running::of(command.arg(crate::place::TENURE).args(["run", "k", "sh", "-c", script]));
    let cmd = place.number_in("pid");
    assert_eq!(ignored_by(&cmd.to_string()), 1, "SIGHUP alone");
    running.signal(Signal::HUP);
    signal(cmd, Signal::HUP);
    running.signal(Signal::TERM);
    assert_eq!(running.wait().code, Some(143), "it was SIGTERM that ended it");
}

/// As the help says: what Rust's start-up does to SIGPIPE hides how `tenure` was started, and
/// `tenure` has to hear of its children.
#[test]
fn sigpipe_and_sigchld_have_their_default_action_in_cmd() {
    let place = Place::new();
    let script = "import os, signal, sys\n\
        for number in [signal.SIGPIPE, signal.SIGCHLD]: signal.signal(number, signal.SIG_IGN)\n\
        os.execv(os.environ['TENURE'], ['tenure', 'run', 'k', '--', *sys.argv[1:]])";
    let run = |cmd: &[&str]| {
        let ended = Running::of(place.command("python3").args(["-c", script]).args(cmd)).wait();
        let mask = ended.stdout.trim().strip_prefix("SigIgn:").expect("a mask").trim().to_owned();
        let mask = u64::from_str_radix(&mask, 16).expect("a number");
        [Signal::PIPE, Signal::CHILD].map(|signal| mask & (1 << (signal.as_raw() - 1)) != 0)
    };
    assert_eq!(run(&["grep", "SigIgn", "/proc/self/status"]), [false, false]);
    // The line that the help names.
    let line = "trap \"\" PIPE; exec grep SigIgn /proc/self/status";
    assert_eq!(run(&["sh", "-c", line]), [true, false]);
    let help = place.run(&["help", "signals"]).stdout;
    assert!(help.contains("sh -c 'trap \"\" PIPE; exec CMD'"), "{help}");
}

#[test]
fn descriptors_that_are_closed() {
    let place = Place::new();
    let ended = place.sh("\"$TENURE\" run k -- sh -c 'read x; echo read=$?' <&-");
    assert_eq!(ended.stdout, "read=1\n", "{ended:?}");
    let ended = place.sh("\"$TENURE\" run -v k -- sh -c 'exit 3' >&- 2>&-");
    assert_eq!(ended.code, Some(3), "{ended:?}");
    let ended = place.sh("\"$TENURE\" run k -- sh -c 'exit 3' <&- >&- 2>&-");
    assert_eq!(ended.code, Some(3), "{ended:?}");
    let ended = place.sh("\"$TENURE\" status k >&-; \"$TENURE\" help >&-; echo $?");
    assert_eq!((&*ended.stdout, &*ended.stderr), ("0\n", ""));
}

#[test]
fn output_into_a_closed_pipe() {
    let place = Place::new();
    let ended = place.sh("{ \"$TENURE\" run -q k -- yes; echo $? >&2; } | head -n 1");
    assert_eq!((&*ended.stdout, ended.stderr.trim()), ("y\n", "141"), "CMD died of SIGPIPE");
    // Our own words into a pipe that nobody reads: we go on.
    let script =
        "{ \"$TENURE\" run -v --max-hold 300ms k -- sleep 600 2>&1; echo $? > code; } | true";
    place.sh(script);
    assert_eq!(place.read("code"), "124\n");
    let script = "{ sleep 0.2; \"$TENURE\" status --json k; echo $? > code; } | true";
    let ended = place.sh(script);
    assert_eq!((&*place.read("code"), &*ended.stderr), ("0\n", ""), "not a panic");
}

#[test]
fn a_signal_to_tenure_reaches_a_cmd_in_the_foreground_of_a_script() {
    let place = Place::new();
    let mut screen = Screen::open(&place);
    let script = "trap \"exit 9\" TERM; echo $$ > pid; while :; do sleep 0.01; done";
    screen.keys(&format!("$TENURE run k -- sh -c '{script}'\n"));
    let cmd = place.number_in("pid");
    let sentry = crate::place::parent_of(cmd);
    signal(crate::place::parent_of(sentry), Signal::TERM);
    assert_eq!(screen.status(), "status=9\n");
}

/// CMD has ended, so its group does not keep the terminal.
#[test]
fn keys_reach_what_cmd_left_and_is_waited_for() {
    let place = Place::new();
    let mut screen = Screen::open(&place);
    // It starts no process of its own: a shell that is stopped between vfork and exec is in
    // another state.
    let script = "sleep 600 & echo $! > pid; exit 3";
    fs::write(place.path("script"), script).expect("a file");
    screen.keys("$TENURE run --wait-all k -- bash -m ./script\n");
    let rest = place.number_in("pid");
    screen.expect("the lock is kept until");
    screen.keys("\x1a");
    screen.expect("Stopped");
    screen.expect("@@ ");
    until("the rest is stopped too", || (state_of(rest) == Some('T')).then_some(()));
    screen.keys("fg\n");
    until("the rest goes on", || (state_of(rest) != Some('T')).then_some(()));
    screen.keys("\x03");
    assert_eq!(screen.status(), "status=3\n");
    assert!(!is_alive(rest));
    assert_eq!(place.status("k")["state"], "free");
}
