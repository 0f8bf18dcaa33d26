//! The terminal: CMD's group gets the foreground and gives it back. It is touched only if our
//! stdin is the controlling terminal and we are in its foreground.

use std::ffi::OsString;
use std::io;

use rustix::io::Errno;
use rustix::process::Pid;
use rustix::stdio::stdin;
use rustix::termios::{OptionalActions, Termios};

use crate::command::Cmd;
use crate::signals::without_ttou;

/// The word that makes `tenure` the step that takes the terminal and then becomes CMD.
pub(crate) const WORD: &str = "__foreground";

/// Takes the terminal for this process's group and becomes CMD. Returns only if that fails.
pub(crate) fn main(arguments: Vec<OsString>) -> Result<std::convert::Infallible, io::Error> {
    let cmd = Cmd::from_arguments(arguments).ok_or(io::ErrorKind::InvalidInput)?;
    // Without the terminal CMD runs as well, as a background job.
    let _ = without_ttou(|| rustix::termios::tcsetpgrp(stdin(), rustix::process::getpgrp()));
    Err(cmd.exec())
}

/// Our controlling terminal on stdin.
#[derive(Debug)]
pub(crate) struct Terminal {
    /// Its modes before CMD could change them.
    modes: Option<Termios>,
}

impl Terminal {
    /// `None` if stdin is not the terminal that controls us.
    pub(crate) fn on_stdin() -> Option<Self> {
        let session = rustix::termios::tcgetsid(stdin()).ok()?;
        (session == rustix::process::getsid(None).ok()?)
            .then(|| Self { modes: rustix::termios::tcgetattr(stdin()).ok() })
    }

    /// Whether our own group is in the foreground.
    pub(crate) fn is_ours(&self) -> bool {
        self.is_of(rustix::process::getpgrp())
    }

    /// Whether that group is in the foreground.
    pub(crate) fn is_of(&self, group: Pid) -> bool {
        rustix::termios::tcgetpgrp(stdin()).is_ok_and(|now| now == group)
    }

    /// Gives the foreground to CMD's group.
    pub(crate) fn give(&self, group: Pid) {
        // A group that has just ended cannot have it, and does not need it.
        let _ = without_ttou(|| rustix::termios::tcsetpgrp(stdin(), group));
    }

    /// Takes the foreground back from CMD's group, or from a group that has ended, and from
    /// nobody else: meanwhile a shell may have given it to another job.
    pub(crate) fn take_back(&self, cmd: Pid) {
        let Ok(now) = rustix::termios::tcgetpgrp(stdin()) else { return };
        let ended = rustix::process::test_kill_process_group(now) == Err(Errno::SRCH);
        if now == cmd || ended {
            let own = rustix::process::getpgrp();
            let _ = without_ttou(|| rustix::termios::tcsetpgrp(stdin(), own));
        }
    }

    /// Undoes what CMD did to the modes: for a CMD that had no chance to do it.
    pub(crate) fn restore(&self) {
        if let Some(modes) = &self.modes {
            let when = OptionalActions::Now;
            let _ = without_ttou(|| rustix::termios::tcsetattr(stdin(), when, modes));
        }
    }
}
