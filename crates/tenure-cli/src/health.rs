//! `--check`: a line for the shell that says at intervals whether CMD is healthy. It decides when
//! CMD is not, and ends nothing.

use std::ffi::OsString;
use std::process::Stdio;
use std::time::Duration;

use tenure::runtime::Moment;

use crate::command::Environment;
use crate::duration::show;
use crate::line::Line;
use crate::signals;

/// The check, as planned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Check {
    pub(crate) line: OsString,
    /// Time between two checks, and the limit of each.
    pub(crate) every: Duration,
    /// So many failures in a row mean that CMD is not healthy.
    pub(crate) fails: u32,
}

/// The health of one CMD.
#[derive(Debug)]
pub(crate) struct Health<'a> {
    check: &'a Check,
    env: &'a Environment,
    running: Option<Line>,
    /// When the next check begins, or the one that runs has to be over.
    at: Moment,
    /// In a row.
    failures: u32,
}

impl<'a> Health<'a> {
    /// That of a CMD that starts now: it gets its first check one interval later.
    pub(crate) fn new(check: &'a Check, env: &'a Environment, now: Moment) -> Self {
        Self { check, env, running: None, at: now + check.every, failures: 0 }
    }

    /// When to look again, if no child changes before.
    pub(crate) fn next_look(&self) -> Moment {
        self.at
    }

    /// Takes the outcome of a check, and begins the next one. Answers how a check has failed.
    pub(crate) fn look(&mut self, now: Moment) -> Option<String> {
        let Some(running) = &self.running else {
            return (now >= self.at).then(|| self.begin(now)).flatten();
        };
        let failure = match running.end() {
            Some(status) if status.exit_status() == Some(0) => None,
            Some(status) => Some(match status.terminating_signal() {
                Some(signal) => format!("killed by {}", signals::name(signal)),
                None => format!("exit code {}", status.exit_status().unwrap_or_default()),
            }),
            None if now >= self.at => Some(format!("not ready within {}", show(self.check.every))),
            None => return None,
        };
        // If it still runs, this kills it.
        self.running = None;
        self.at = self.at.max(now);
        self.outcome(failure)
    }

    /// Whether so many checks in a row have failed.
    pub(crate) fn is_over(&self) -> bool {
        self.failures >= self.check.fails
    }

    fn begin(&mut self, now: Moment) -> Option<String> {
        self.at = now + self.check.every;
        match Line::start(&self.check.line, self.env, None, Stdio::null()) {
            Ok(line) => {
                self.running = Some(line);
                None
            }
            Err(e) => self.outcome(Some(format!("sh cannot be started: {e}"))),
        }
    }

    fn outcome(&mut self, failure: Option<String>) -> Option<String> {
        self.failures = if failure.is_some() { self.failures + 1 } else { 0 };
        let (failures, fails) = (self.failures, self.check.fails);
        failure.map(|why| format!("--check failed ({failures} of {fails} in a row): {why}"))
    }
}
