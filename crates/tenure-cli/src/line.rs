//! A line for the shell, in a process group of its own: what `tenure` runs beside CMD. It waits for
//! nothing, and decides nothing.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, WaitOptions, WaitStatus};

use crate::command::Environment;

thread_local! {
    /// The lines that run, and how those have ended that were collected with all other children.
    static LINES: RefCell<HashMap<Pid, Option<WaitStatus>>> = RefCell::default();
}

/// A child has ended, and was collected by one that collects all of them.
pub(crate) fn collected(child: Pid, status: WaitStatus) {
    LINES.with_borrow_mut(|lines| {
        if let Some(end) = lines.get_mut(&child) {
            *end = Some(status);
        }
    });
}

/// A line that was started. If it is dropped before its end, it is killed with all of its group.
#[derive(Debug)]
pub(crate) struct Line {
    shell: Pid,
}

impl Line {
    /// Starts it, with the environment of CMD and one more variable.
    pub(crate) fn start(
        line: &OsStr,
        env: &Environment,
        more: Option<(&str, &str)>,
        stdout: Stdio,
    ) -> io::Result<Self> {
        let mut command = Command::new("/bin/sh");
        env.put_into(&mut command);
        command.arg("-c").arg(line).envs(more.map(|(name, value)| (name, OsString::from(value))));
        let shell = command.stdin(Stdio::null()).stdout(stdout).process_group(0).spawn()?;
        let shell = Pid::from_child(&shell);
        LINES.with_borrow_mut(|lines| lines.insert(shell, None));
        Ok(Self { shell })
    }

    /// How it has ended; `None` while it runs. A SIGCHLD is a reason to ask.
    pub(crate) fn end(&self) -> Option<WaitStatus> {
        let seen = || rustix::process::waitpid(Some(self.shell), WaitOptions::NOHANG).ok()?;
        LINES.with_borrow_mut(|lines| {
            let end = lines.get_mut(&self.shell)?;
            *end = end.or_else(|| seen().map(|(_, status)| status));
            *end
        })
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        // Once it was collected, its number may be that of somebody else.
        if self.end().is_none() {
            let _ = rustix::process::kill_process_group(self.shell, Signal::KILL);
            let _ = rustix::process::waitpid(Some(self.shell), WaitOptions::empty());
        }
        LINES.with_borrow_mut(|lines| lines.remove(&self.shell));
    }
}
