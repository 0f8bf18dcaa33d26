//! Programs under a test begin as from a person's shell, wherever the tests were started: in the
//! background of a script, by `nohup`, by cron, in a terminal. The inherited state that a test
//! could see is set here: signals that are ignored or blocked, and the environment.

use std::ffi::OsString;
use std::fs;
use std::process::Command;
use std::sync::Once;
use std::sync::atomic::AtomicBool;

use nix::sys::signal::SigSet;
use signal_hook::consts::FORBIDDEN;

/// The variables that a program keeps. All others are its user's taste, or meant for another
/// program: `TENURE_STORE`, `REDIS_URL`, `NO_COLOR`, `COLUMNS`, `LANG`, `BASH_ENV`, ...
const KEPT: [&str; 7] = [
    "PATH",
    "HOME",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    // For coverage and sanitizers, which watch the program from within.
    "LLVM_PROFILE_FILE",
    "ASAN_OPTIONS",
    "TSAN_OPTIONS",
];

/// Lets `command` begin as from a person's shell. Call it first: it forgets the environment that
/// was set. It also sees to [`clean_signals`].
pub fn clean(command: &mut Command) -> &mut Command {
    clean_signals();
    command.env_clear().envs(clean_environment())
}

/// The environment that a program begins with.
#[must_use]
pub fn clean_environment() -> Vec<(OsString, OsString)> {
    let kept = KEPT.iter().filter_map(|&name| Some((name.into(), std::env::var_os(name)?)));
    // Messages of shells and of the system are compared.
    kept.chain([("LC_ALL".into(), "C.UTF-8".into())]).collect()
}

/// From here on the programs that this thread starts ignore and block no signal.
///
/// A signal that this process ignores would be ignored by all that it starts; one with a handler
/// has its default action there. So each of them gets a handler that does nothing, which leaves
/// this process as deaf as it was.
pub fn clean_signals() {
    static ONCE: Once = Once::new();
    static HEARD: AtomicBool = AtomicBool::new(false);
    ONCE.call_once(|| {
        // Nobody ignores those that end a program for what it has done itself.
        for signal in ignored().filter(|signal| !FORBIDDEN.contains(signal)) {
            // Refused for those that only the C library uses.
            let _ = signal_hook::flag::register(signal, &HEARD);
        }
    });
    SigSet::empty().thread_set_mask().expect("no signal is blocked");
}

/// The signals that this process ignores. SIGPIPE is not among them: Rust ignores it for itself,
/// and gives it back to what it starts.
fn ignored() -> impl Iterator<Item = i32> {
    const SIGPIPE: i32 = 13;
    let status = fs::read_to_string("/proc/self/status").expect("/proc");
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).expect("a mask");
    let mask = u64::from_str_radix(mask.trim(), 16).expect("a number");
    (1..=64).filter(move |signal| mask >> (signal - 1) & 1 == 1 && *signal != SIGPIPE)
}
