//! `tenure` and CMD are one job of the shell in two process groups: the terminal goes to CMD and
//! comes back, Ctrl-Z stops both, and `fg` continues both.
//!
//! A job may have more members, such as the pager in `tenure run k -- seq 999 | less`. They are in
//! our group and share the foreground with us. So CMD has the foreground from its start only if
//! stdin and stdout are the terminal. Otherwise it gets it when the kernel stops it for using the
//! terminal (SIGTTIN, SIGTTOU), and keeps it until another member is stopped for the same reason.

use std::cell::Cell;

use rustix::process::{Pid, Signal};

use crate::child::Child;
use crate::procs::Table;
use crate::signals;
use crate::terminal::Terminal;

/// The job.
#[derive(Debug)]
pub(crate) struct Job {
    terminal: Option<Terminal>,
    /// CMD has the foreground from its start.
    at_once: Cell<bool>,
    /// We have stopped CMD ourselves: the stop that we hear of later is no news.
    stopped_cmd: Cell<bool>,
    /// SIGTSTP was ignored when we started.
    no_jobs: bool,
}

/// The meaning of a stop of CMD.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Somebody else stopped CMD and will continue it.
    Theirs,
    /// CMD wants a terminal that it cannot have.
    Stuck,
    /// CMD wanted the terminal and got it.
    Served,
    /// The whole job stops, or cannot.
    Job,
}

impl Job {
    pub(crate) fn new(no_jobs: bool) -> Self {
        let terminal = Terminal::controlling();
        let at_once = Cell::new(terminal.as_ref().is_some_and(Terminal::is_all));
        Self { terminal, at_once, stopped_cmd: Cell::new(false), no_jobs }
    }

    /// Whether CMD is to start in the foreground.
    pub(crate) fn starts_in_foreground(&self) -> bool {
        self.at_once.get() && self.terminal.as_ref().is_some_and(Terminal::is_ours)
    }

    /// CMD's group was stopped by `signal`.
    pub(crate) fn cmd_stopped(&self, child: &Child, signal: i32) -> Stop {
        let wants_terminal = [Signal::TTIN, Signal::TTOU].iter().any(|s| s.as_raw() == signal);
        let Some(terminal) = &self.terminal else {
            return if wants_terminal { Stop::Stuck } else { Stop::Theirs };
        };
        let in_foreground = terminal.is_of(child.group());
        if wants_terminal && (in_foreground || terminal.is_ours()) {
            terminal.give(child.group());
            child.signal(Signal::CONT);
            return Stop::Served;
        }
        if self.stopped_cmd.take() {
            return Stop::Theirs;
        }
        // Ctrl-Z reached CMD alone, and the terminal was taken back since.
        let by_key = signal == Signal::TSTP.as_raw() && self.at_once.get();
        if !(in_foreground || wants_terminal || by_key) {
            return Stop::Theirs;
        }
        if self.can_stop() {
            terminal.take_back(child.group());
            // All of our group, as Ctrl-Z would have done; we hear of it in `stop`.
            let _ = rustix::process::kill_current_process_group(Signal::TSTP);
        } else {
            // The kernel treats a stopped group like this that nobody will ever continue.
            if wants_terminal {
                child.signal(Signal::HUP);
            }
            child.signal(Signal::CONT);
        }
        Stop::Job
    }

    /// SIGTSTP came: stops CMD, then us. Returns when we are continued.
    pub(crate) fn stop(&self, child: Option<&Child>) {
        if !self.can_stop() {
            return;
        }
        if let Some(child) = child {
            self.stopped_cmd.set(true);
            child.signal(Signal::TSTP);
            self.take_back(child.group());
        }
        signals::stop_self();
    }

    /// SIGTTIN or SIGTTOU came: a member of our group was stopped for using the terminal while
    /// CMD has it, or while the whole job is in the background.
    pub(crate) fn others_want_terminal(&self, child: &Child) {
        let group = child.group();
        match &self.terminal {
            Some(terminal) if terminal.is_of(group) || terminal.is_ours() => {
                // From here on both wait to be stopped, or the terminal would go to and fro.
                self.at_once.set(false);
                terminal.take_back(group);
                let _ = rustix::process::kill_current_process_group(Signal::CONT);
            }
            _ => self.stop(Some(child)),
        }
    }

    /// Continues the processes of CMD's group that are stopped though the group has the terminal.
    pub(crate) fn continue_again(&self, child: &Child) {
        if self.terminal.as_ref().is_some_and(|terminal| terminal.is_of(child.group())) {
            child.signal(Signal::CONT);
        }
    }

    /// SIGCONT came.
    pub(crate) fn go_on(&self, child: &Child) {
        if let Some(terminal) = self.terminal.as_ref().filter(|_| self.starts_in_foreground()) {
            terminal.give(child.group());
        }
        self.stopped_cmd.set(false);
        child.signal(Signal::CONT);
    }

    /// CMD has ended; `restore` if it was made to, and could not tidy up the terminal. Answers
    /// whether CMD had the terminal: a Ctrl-C was then meant for all of our job.
    pub(crate) fn cmd_ended(&self, cmd: Pid, restore: bool) -> bool {
        let had_it = self.terminal.as_ref().is_some_and(|terminal| terminal.is_of(cmd));
        self.take_back(cmd);
        if let Some(terminal) = self.terminal.as_ref().filter(|t| restore && had_it && t.is_ours())
        {
            terminal.restore();
        }
        had_it
    }

    fn take_back(&self, cmd: Pid) {
        if let Some(terminal) = &self.terminal {
            terminal.take_back(cmd);
        }
    }

    /// Whether somebody is there to continue us.
    fn can_stop(&self) -> bool {
        !self.no_jobs && Table::read().is_ok_and(|table| !table.own_group_is_orphaned())
    }
}
