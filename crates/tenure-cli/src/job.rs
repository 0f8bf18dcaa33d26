//! The shell's job that `tenure` and CMD are together, though in two process groups: the
//! terminal goes to CMD and comes back, Ctrl-Z stops both, and continuing continues both.

use rustix::process::{Pid, Signal};

use crate::child::Child;
use crate::procs::Table;
use crate::signals;
use crate::terminal::Terminal;

/// The job.
#[derive(Debug)]
pub(crate) struct Job {
    terminal: Option<Terminal>,
    /// SIGTSTP was ignored when we started.
    no_jobs: bool,
}

/// What CMD being stopped means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Nothing to us: somebody stopped CMD and will continue it.
    Theirs,
    /// CMD wants a terminal that it cannot have.
    Stuck,
    /// The whole job stops, or cannot.
    Job,
}

impl Job {
    pub(crate) fn on_stdin(no_jobs: bool) -> Self {
        Self { terminal: Terminal::on_stdin(), no_jobs }
    }

    /// Whether CMD is to start in the foreground.
    pub(crate) fn is_in_foreground(&self) -> bool {
        self.terminal.as_ref().is_some_and(Terminal::is_ours)
    }

    /// CMD's group was stopped by `signal`.
    pub(crate) fn cmd_stopped(&self, child: &Child, signal: i32) -> Stop {
        let wants_terminal = [Signal::TTIN, Signal::TTOU].iter().any(|s| s.as_raw() == signal);
        let Some(terminal) = &self.terminal else {
            return if wants_terminal { Stop::Stuck } else { Stop::Theirs };
        };
        let in_foreground = terminal.is_of(child.group());
        if !(in_foreground || wants_terminal || signal == Signal::TSTP.as_raw()) {
            return Stop::Theirs;
        }
        if self.can_stop() {
            terminal.take_back(child.group());
            // All of our group, as Ctrl-Z would have done; we hear of it in `stop`.
            let _ = rustix::process::kill_current_process_group(Signal::TSTP);
        } else {
            // As the kernel treats a stopped group that nobody will ever continue.
            if wants_terminal && !in_foreground {
                child.pass_on(Signal::HUP);
            }
            child.pass_on(Signal::CONT);
        }
        Stop::Job
    }

    /// SIGTSTP came: stops CMD, then us. Returns when we are continued.
    pub(crate) fn stop(&self, child: Option<&Child>) {
        if !self.can_stop() {
            return;
        }
        if let Some(child) = child {
            child.pass_on(Signal::TSTP);
            self.take_back(child.group());
        }
        signals::stop_self();
    }

    /// SIGCONT came.
    pub(crate) fn go_on(&self, child: &Child) {
        if let Some(terminal) = self.terminal.as_ref().filter(|terminal| terminal.is_ours()) {
            terminal.give(child.group());
        }
        child.pass_on(Signal::CONT);
    }

    /// CMD has ended; `restore` for one that could not tidy up the terminal itself. Answers
    /// whether CMD had the terminal: its Ctrl-C was then meant for all of our job.
    pub(crate) fn cmd_ended(&self, cmd: Pid, restore: bool) -> bool {
        let had_it = self.terminal.as_ref().is_some_and(|terminal| terminal.is_of(cmd));
        self.take_back(cmd);
        if let Some(terminal) = self.terminal.as_ref().filter(|t| restore && t.is_ours()) {
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
