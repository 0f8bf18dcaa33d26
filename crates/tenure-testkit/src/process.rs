//! A program that never outlives the test: not its panic, and not a SIGKILL of its process.
//!
//! Its parent is a shell that reads from a pipe whose other end only the test's process holds. The
//! pipe ends with that process, whatever ended it; then the shell kills the program. While the
//! shell is there, the program's number is its own and of no one else.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::clean::clean;
use crate::condition::wait_until;

/// `$0` is the log, `$@` the program. It says the program's number and then watches the pipe. At
/// the end it kills its group, and so itself: the program may have children. It ignores SIGHUP,
/// which the system sends to a group that is left by its parent while one of it is stopped.
const WATCH: &str = r#"
trap "" HUP
"$@" >>"$0" 2>&1 & program=$!
echo $program
read -r _
kill -9 $program
wait
kill -9 0
"#;

/// A running program.
#[derive(Debug)]
pub struct Process {
    pid: Pid,
    shell: Child,
}

impl Process {
    /// Starts `program` with arguments; what it says goes to the end of the file `log`.
    ///
    /// # Panics
    /// If the shell cannot be started. A program that cannot be is one that has ended.
    pub fn start(log: &Path, configure: impl FnOnce(&mut Command)) -> Self {
        let mut command = Command::new("sh");
        clean(&mut command).arg("-c").arg(WATCH).arg(log);
        configure(&mut command);
        // A group of its own: a terminal's Ctrl-C is for the test alone.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut shell = command.spawn().expect("sh starts");
        let mut said = String::new();
        let stdout = shell.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut said).expect("the shell speaks");
        let pid = said.trim().parse().ok().and_then(Pid::from_raw);
        Self { pid: pid.expect("the shell says the program's number"), shell }
    }

    /// Its number.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// Whether it has not ended.
    #[must_use]
    pub fn is_running(&self) -> bool {
        is_running(self.id())
    }

    /// Whether it is stopped (SIGSTOP).
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        state(self.id()) == Some('T')
    }

    /// Sends a signal to it alone.
    pub fn signal(&self, signal: Signal) {
        // One that has ended takes no signal, which is what its end is for.
        let _ = kill_process(self.pid, signal);
    }

    /// Stops it (SIGSTOP) and waits until it is stopped.
    pub fn stop(&self) {
        self.signal(Signal::STOP);
        wait_until("a process has stopped", || self.is_stopped());
    }

    /// Lets it run on (SIGCONT) and waits until it does.
    pub fn cont(&self) {
        self.signal(Signal::CONT);
        wait_until("a process runs on", || !self.is_stopped());
    }

    /// Waits until it has ended by itself.
    pub fn ended(&self) {
        wait_until("a process has ended", || !self.is_running());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}

/// Whether there is a process of this number that has not ended.
#[must_use]
pub fn is_running(id: u32) -> bool {
    state(id).is_some_and(|state| state != 'Z')
}

/// The letter of a process's state in `/proc`, such as `R`, `S`, `T` or `Z`.
fn state(id: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name stands in parentheses and may contain any of them.
    stat.rsplit_once(") ")?.1.chars().next()
}
