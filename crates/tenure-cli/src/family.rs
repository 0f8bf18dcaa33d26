//! CMD's whole family: CMD, its process group, and every process that descends from it, also
//! those that left the group or the session. It is whatever descends from the process that
//! calls, which must be a child subreaper: then no orphan escapes to init.

use rustix::process::{Pid, Signal, WaitOptions};
use serde::{Deserialize, Serialize};

use crate::procs::Table;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    /// It exited with this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
}

/// What happened to CMD.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Stopped(i32),
    Ended(Status),
}

/// The processes that have to be gone before the lock is.
#[derive(Debug)]
pub(crate) struct Family {
    /// CMD, and the number of its group. Valid until it is reaped.
    cmd: Option<Pid>,
}

impl Family {
    /// `None` if nobody knows which of the descendants is CMD.
    pub(crate) fn of(cmd: Option<Pid>) -> Self {
        Self { cmd }
    }

    /// Collects every child that changed, orphans that came to us included.
    pub(crate) fn reap(&mut self) -> Vec<Change> {
        let mut changes = vec![];
        let options = WaitOptions::NOHANG | WaitOptions::UNTRACED;
        while let Ok(Some((pid, status))) = rustix::process::wait(options) {
            if Some(pid) != self.cmd {
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

    /// Sends a signal to CMD's group. After CMD was reaped its number may be another's, and
    /// nothing is sent.
    pub(crate) fn signal_group(&self, signal: Signal) {
        if let Some(group) = self.cmd {
            // A group that is gone needs no signal; one that changed its user cannot be helped.
            let _ = rustix::process::kill_process_group(group, signal);
        }
    }

    /// Sends a signal to the group, then to every other descendant.
    pub(crate) fn signal_all(&self, signal: Signal) {
        self.signal_group(signal);
        let Ok(table) = Table::read() else { return };
        let descendants = table.descendants();
        let group = self.cmd.map(|cmd| cmd.as_raw_nonzero().get());
        // KILL may be sent twice; a second TERM could cut a clean ending short.
        let has_it = |member: i32| Some(member) == group && signal != Signal::KILL;
        for process in descendants.iter().filter(|process| !has_it(process.group)) {
            // Whoever is gone needs none, and the next look finds whoever is not.
            let _ = table.signal(process, signal);
        }
    }

    /// How many processes of the family are alive.
    pub(crate) fn count(&self) -> usize {
        Table::read().map_or(usize::from(self.cmd.is_some()), |table| table.descendants().len())
    }
}
