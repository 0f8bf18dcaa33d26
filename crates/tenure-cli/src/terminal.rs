//! The terminal that controls us: CMD's group gets the foreground and gives it back. It is changed
//! only while the foreground is ours, or CMD's.

use std::ffi::OsString;
use std::io;

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::Pid;
use rustix::stdio::{stderr, stdin, stdout};
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

/// Our controlling terminal.
#[derive(Debug)]
pub(crate) struct Terminal {
    line: OwnedFd,
    /// Stdin and stdout both are this terminal.
    is_all: bool,
    /// Its modes before CMD could change them.
    modes: Option<Termios>,
}

impl Terminal {
    /// `None` if no terminal controls us.
    pub(crate) fn controlling() -> Option<Self> {
        let line = [stdin(), stdout(), stderr()]
            .into_iter()
            .find(|line| controls_us(line))
            .and_then(|line| line.try_clone_to_owned().ok())
            .or_else(|| {
                let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
                rustix::fs::open("/dev/tty", flags, Mode::empty()).ok()
            })?;
        let is_all = controls_us(stdin()) && controls_us(stdout());
        Some(Self { modes: rustix::termios::tcgetattr(&line).ok(), is_all, line })
    }

    /// Whether stdin and stdout both are this terminal: CMD is then alone with the user. In a
    /// pipeline other members of our job may want the terminal too.
    pub(crate) fn is_all(&self) -> bool {
        self.is_all
    }

    /// Whether our own group is in the foreground.
    pub(crate) fn is_ours(&self) -> bool {
        self.is_of(rustix::process::getpgrp())
    }

    /// Whether that group is in the foreground.
    pub(crate) fn is_of(&self, group: Pid) -> bool {
        rustix::termios::tcgetpgrp(&self.line).is_ok_and(|now| now == group)
    }

    /// Gives the foreground to CMD's group.
    pub(crate) fn give(&self, group: Pid) {
        // A group that has just ended cannot have it, and does not need it.
        let _ = without_ttou(|| rustix::termios::tcsetpgrp(&self.line, group));
    }

    /// Takes the foreground back from CMD's group, or from a group that has ended, and from
    /// nobody else: meanwhile a shell may have given it to another job.
    pub(crate) fn take_back(&self, cmd: Pid) {
        let Ok(now) = rustix::termios::tcgetpgrp(&self.line) else { return };
        let ended = rustix::process::test_kill_process_group(now) == Err(Errno::SRCH);
        if now == cmd || ended {
            self.give(rustix::process::getpgrp());
        }
    }

    /// Restores the modes that CMD has changed, and had no chance to restore.
    pub(crate) fn restore(&self) {
        if let Some(modes) = &self.modes {
            let when = OptionalActions::Now;
            let _ = without_ttou(|| rustix::termios::tcsetattr(&self.line, when, modes));
        }
    }
}

/// Whether that descriptor is the terminal that controls us.
fn controls_us(descriptor: impl AsFd) -> bool {
    let session = rustix::termios::tcgetsid(descriptor);
    session.is_ok_and(|session| rustix::process::getsid(None) == Ok(session))
}
