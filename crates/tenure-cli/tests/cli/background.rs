//! These tests find the same when they are started by a script in the background, by `nohup`, or
//! by a person whose environment has a taste of its own.

use std::process::{Command, Stdio};

/// Starts the rest of its arguments with what a hostile parent hands down.
const HOSTILE: &str = "\
import os, signal, sys
theirs = {signal.SIGKILL, signal.SIGSTOP, signal.SIGILL, signal.SIGFPE, signal.SIGSEGV}
for number in set(signal.valid_signals()) - theirs:
    signal.signal(number, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
os.close(0)
hostile = {'TENURE_STORE': 'nosql:x', 'TENURE_KEY': 'x', 'TENURE_HELD': 'x', 'COLUMNS': '300',
    'NO_COLOR': '1', 'LC_ALL': 'C', 'LANG': 'de_DE.UTF-8', 'XDG_STATE_HOME': '/dev/null',
    'REDIS_URL': 'redis://nowhere', 'BASH_ENV': '/dev/null/none', 'RUST_LOG': 'trace',
    'RUST_BACKTRACE': 'full', 'TMOUT': '1'}
os.execve(sys.argv[1], sys.argv[1:], {**os.environ, **hostile})
";

/// Tests that look at signals, at the terminal and at what is said.
const TESTS: [&str; 9] = [
    "help::help_is_short_by_h_and_long_by_help",
    "run::sqlite::a_signal_while_cmd_runs_is_passed_on",
    "run::sqlite::a_signal_while_waiting_leaves_the_line",
    "run::tenure_dies_of_the_sigint_that_ended_cmd",
    "run::verbose_tells_and_quiet_is_silent",
    "terminal::ctrl_c_ends_cmd_and_a_loop_around_tenure",
    "terminal::ctrl_z_stops_both_and_fg_continues_both",
    "terminal::nohup_reaches_cmd",
    "terminal::output_into_a_closed_pipe",
];

#[test]
fn tests_do_not_depend_on_what_they_inherit() {
    let test = std::env::current_exe().expect("this program");
    let mut command = Command::new("python3");
    command.args(["-c", HOSTILE]).arg(test).arg("--exact").args(TESTS);
    let output = command.stdin(Stdio::null()).output().expect("python3 starts");
    let said = String::from_utf8_lossy(&output.stdout);
    let passed = format!("test result: ok. {} passed", TESTS.len());
    assert!(said.contains(&passed), "{said}{}", String::from_utf8_lossy(&output.stderr));
}
