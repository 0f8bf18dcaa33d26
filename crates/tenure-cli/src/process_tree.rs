//! CMD, its process group, and every process that descends from it, also those that left the group
//! or the session. They are all descendants of the calling process, which must be a child
//! subreaper: then no orphan escapes to init.

use std::fmt::{self, Display, Formatter};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, WaitOptions};
use serde::{Deserialize, Serialize};

use crate::line;
use crate::procs::{Process, Table};
use crate::rest::Rest;
use crate::{signals, users};

/// At most so many of the processes that cannot be ended are named.
const NAMED: usize = 8;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    /// It exited with this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
}

impl Display for Status {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "ended with {code}"),
            Self::Signal(number) => write!(f, "was ended by {}", signals::name(*number)),
        }
    }
}

/// A change of CMD.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Stopped(i32),
    Ended(Status),
}

/// A process that we cannot end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Survivor {
    number: i32,
    name: String,
    because: Because,
}

/// The reason why a process cannot be ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Because {
    /// It hangs in the kernel.
    Hangs,
    /// It runs as this user, whose processes we may not signal.
    OfUser(u32),
    /// It runs as such a user, and /proc hides which (hidepid=2).
    OfHiddenUser,
}

impl Survivor {
    fn of(process: &Process, table: &Table) -> Self {
        let number = process.number;
        let name = std::fs::read_to_string(format!("/proc/{number}/comm")).unwrap_or_default();
        let user = (!table.may_signal(process)).then(|| table.user_of(process)).flatten();
        let because = user.map_or(Because::Hangs, Because::OfUser);
        Self { number, name: name.trim_end().into(), because }
    }

    /// CMD itself. It has not ended, though /proc may not show it.
    fn of_cmd(cmd: Pid, table: Option<&Table>) -> Self {
        if let Some((table, process)) = table.and_then(|table| Some((table, table.find(cmd)?))) {
            return Self::of(process, table);
        }
        let hidden = rustix::process::test_kill_process(cmd) == Err(Errno::PERM);
        let number = cmd.as_raw_nonzero().get();
        let because = if hidden { Because::OfHiddenUser } else { Because::Hangs };
        Self { number, name: "CMD".into(), because }
    }

    /// The message about a process that did not end with CMD.
    pub(crate) fn left_behind(&self) -> String {
        let cure = match self.because {
            Because::Hangs => String::new(),
            _ => format!("; end it with more rights: kill -KILL {}", self.number),
        };
        format!("{self}; it goes on without the lock{cure}")
    }
}

impl Display for Survivor {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { number, name, because } = self;
        let user = match because {
            Because::OfUser(user) => users::name(*user),
            Because::OfHiddenUser => "a user that /proc hides".into(),
            Because::Hangs => return write!(f, "process {number} ({name}) hangs in the kernel"),
        };
        let own = rustix::process::getuid().as_raw();
        write!(
            f,
            "process {number} ({name}) runs as {}, to whose processes {} may send no signal",
            user,
            users::name(own)
        )
    }
}

/// The processes that have to be gone before the lock is.
#[derive(Debug)]
pub(crate) struct ProcessTree {
    /// CMD, and the number of its group. Valid until it is reaped.
    cmd: Option<Pid>,
}

impl ProcessTree {
    /// `None` if it is not known which of the descendants is CMD.
    pub(crate) fn of(cmd: Option<Pid>) -> Self {
        Self { cmd }
    }

    /// Collects every child that changed, orphans that came to us included.
    pub(crate) fn reap(&mut self) -> Vec<Change> {
        let mut changes = vec![];
        let options = WaitOptions::NOHANG | WaitOptions::UNTRACED;
        while let Ok(Some((pid, status))) = rustix::process::wait(options) {
            if Some(pid) != self.cmd {
                if status.stopping_signal().is_none() {
                    line::collected(pid, status);
                }
                continue;
            }
            if let Some(signal) = status.stopping_signal() {
                changes.push(Change::Stopped(signal));
            } else if let Some(code) = status.exit_status() {
                self.cmd = None;
                changes.push(Change::Ended(Status::Code(code)));
            } else if let Some(signal) = status.terminating_signal() {
                self.cmd = None;
                changes.push(Change::Ended(Status::Signal(signal)));
            }
        }
        changes
    }

    /// Sends a signal to CMD's group. Once CMD was reaped its number may be another's, and nothing
    /// is sent. Answers CMD if we may not signal a single process of the group.
    pub(crate) fn signal_group(&self, signal: Signal) -> Option<Survivor> {
        let group = self.cmd?;
        // A group that is gone needs no signal.
        if rustix::process::kill_process_group(group, signal) != Err(Errno::PERM) {
            return None;
        }
        Some(Survivor::of_cmd(group, Table::read().ok().as_ref()))
    }

    /// Sends a signal to the group, then to every other descendant.
    pub(crate) fn signal_all(&self, signal: Signal) {
        // Processes that we may not signal are named at the end, if they are left.
        let _ = self.signal_group(signal);
        let Ok(table) = Table::read() else { return };
        let descendants = table.descendants();
        let group = self.cmd.map(|cmd| cmd.as_raw_nonzero().get());
        // KILL may be sent twice; a second TERM could cut a clean ending short.
        let has_it = |member: i32| Some(member) == group && signal != Signal::KILL;
        for process in descendants.iter().filter(|process| !has_it(process.group)) {
            // A process that is gone needs no signal, and the next look finds new ones.
            let _ = table.signal(process, signal);
        }
    }

    /// Whether we have a child, a zombie included: descendants without a living parent are ours.
    /// The kernel answers this without a look at /proc.
    pub(crate) fn has_children() -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        !matches!(rustix::process::waitid(WaitId::All, options), Err(Errno::CHILD))
    }

    /// The living descendants; `None` if there are none.
    pub(crate) fn rest() -> Option<Rest> {
        if Self::has_children() { Rest::of(&Table::read().ok()?) } else { None }
    }

    /// Whether no process is alive.
    pub(crate) fn is_gone(&self) -> bool {
        Table::read().map_or(self.cmd.is_none(), |table| table.descendants().is_empty())
    }

    /// The first few processes that are alive.
    pub(crate) fn survivors(&self) -> Vec<Survivor> {
        let table = Table::read().ok();
        let shown = table.as_ref().map(Table::descendants).unwrap_or_default();
        let named = shown.iter().zip(table.iter().cycle()).take(NAMED);
        let mut all: Vec<_> = named.map(|(process, table)| Survivor::of(process, table)).collect();
        // CMD's number is known, whatever /proc shows.
        if let Some(cmd) = self.cmd
            && table.as_ref().is_none_or(|table| table.find(cmd).is_none())
        {
            all.insert(0, Survivor::of_cmd(cmd, None));
        }
        all
    }
}
