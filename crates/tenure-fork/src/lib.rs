//! Real forks, for the tests of what Tenure does in a child. It is never published; it has lints
//! of its own, since to fork is unsafe.
//!
//! The child runs a closure and ends, without going back into the test that forked it. It reports
//! to its parent through a pipe, also a panic. An alarm ends a child that hangs, and its parent
//! sees that.
//!
//! ```
//! let child = tenure_fork::fork(|| format!("I am {}", std::process::id()));
//! assert_eq!(child.id(), child.says().strip_prefix("I am ").unwrap().parse::<i32>().unwrap());
//! ```

use std::any::Any;
use std::fs::File;
use std::io::{Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};

use nix::fcntl::OFlag;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, alarm, pipe2};

/// After so many seconds a child is ended: far longer than a busy machine takes.
const LIMIT: u32 = 120;
/// How a child ends that has panicked.
const PANICKED: i32 = 101;

/// How a child ends when its work is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// As a program that returns from `main`: what is registered for the exit runs.
    Exit,
    /// At once (`_exit`).
    AtOnce,
}

/// A child that runs, or has ended.
#[derive(Debug)]
#[must_use = "nobody sees how it ends"]
pub struct Child {
    pid: Pid,
    report: File,
    is_over: bool,
}

/// Forks. The child runs `work` and ends at once; what `work` answers is the child's report.
///
/// # Panics
/// If the system gives no process.
pub fn fork<T: AsRef<str>>(work: impl FnOnce() -> T) -> Child {
    fork_to(Ending::AtOnce, work)
}

/// [`fork`], with a child that ends in this way.
///
/// # Panics
/// If the system gives no process.
#[allow(unsafe_code, reason = "to fork is unsafe, and what this crate is for")]
pub fn fork_to<T: AsRef<str>>(ending: Ending, work: impl FnOnce() -> T) -> Child {
    let (report, mut write) = pipe2(OFlag::O_CLOEXEC)
        .map(|(read, write)| (File::from(read), File::from(write)))
        .expect("a pipe");
    // SAFETY: a child of a process with many threads may do little that is certain to work. That
    // it works all the same is what the tests are about, and one that hangs is ended.
    match unsafe { nix::unistd::fork() }.expect("a process") {
        ForkResult::Parent { child: pid } => Child { pid, report, is_over: false },
        ForkResult::Child => {
            alarm::set(LIMIT);
            let done = catch_unwind(AssertUnwindSafe(work));
            let code = if done.is_ok() { 0 } else { PANICKED };
            let told = match &done {
                Ok(answer) => write.write_all(answer.as_ref().as_bytes()),
                Err(panic) => write.write_all(message(&**panic).as_bytes()),
            };
            std::mem::forget(done);
            if told.is_ok() && ending == Ending::Exit {
                std::process::exit(code);
            }
            // SAFETY: it ends the process.
            unsafe { nix::libc::_exit(code) }
        }
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it panicked")
}

impl Child {
    /// Its number.
    #[must_use]
    pub fn id(&self) -> i32 {
        self.pid.as_raw()
    }

    /// Waits until it has ended, and answers its report.
    ///
    /// # Panics
    /// If it panicked, with its message, or was ended because it hung.
    #[track_caller]
    pub fn says(mut self) -> String {
        let mut report = String::new();
        self.report.read_to_string(&mut report).expect("the child writes text");
        let status = waitpid(self.pid, None).expect("it is a child of ours");
        self.is_over = true;
        let id = self.id();
        assert!(matches!(status, WaitStatus::Exited(_, 0)), "child {id}: {status:?}: {report}");
        report
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.is_over {
            let _gone = nix::sys::signal::kill(self.pid, nix::sys::signal::Signal::SIGKILL);
            let _gone = waitpid(self.pid, None);
        }
    }
}
