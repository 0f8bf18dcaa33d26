//! How a run ended: its exit code, and what the report says. It asks nobody and tells nobody.

use std::io;
use std::time::SystemTime;

use rustix::process::Signal;
use tenure::{Error, Label, Outcome as JobOutcome};

use crate::args::OnLost;
use crate::clock;
use crate::exit::Exit;
use crate::hold::Held;
use crate::keys::Keys;
use crate::plan::Plan;
use crate::process_tree::{Status, Survivor};
use crate::report::{Outcome, Report};
use crate::sentry_client::NotStarted;
use crate::signals;
use crate::watch::Cause;

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Termination {
    Exit(Exit),
    /// Dies of SIGINT, so that a shell's loop ends; with all of its job, if Ctrl-C was meant
    /// for it and reached CMD alone, since CMD had the terminal.
    Interrupt {
        whole_job: bool,
    },
}

/// How a run ended.
#[derive(Debug)]
pub(super) struct Verdict {
    pub(super) end: Termination,
    pub(super) outcome: Outcome,
    pub(super) reason: Option<String>,
    /// How CMD ended.
    pub(super) status: Option<Status>,
    /// Why CMD was made to end.
    pub(super) cause: Option<Cause>,
    /// CMD got a signal that asks for the end of all of it.
    pub(super) is_asked_for: bool,
}

impl Verdict {
    pub(super) fn new(outcome: Outcome, exit: Exit, reason: impl Into<String>) -> Self {
        let (end, reason) = (Termination::Exit(exit), Some(reason.into()));
        Self { end, outcome, reason, status: None, cause: None, is_asked_for: false }
    }

    /// CMD has ended by itself.
    pub(super) fn ended(status: Status) -> Self {
        let exit = match status {
            Status::Code(code) => Exit(u8::try_from(code).unwrap_or(u8::MAX)),
            Status::Signal(number) => Exit::of_signal(number),
        };
        let ended = Self::new(Outcome::Ended, exit, "");
        Self { reason: None, status: Some(status), ..ended }
    }

    pub(super) fn failed(exit: Exit, reason: impl Into<String>) -> Self {
        Self::new(Outcome::Failed, exit, reason)
    }

    /// The lock was not acquired, or the store not opened.
    pub(super) fn of_error(error: &Error) -> Self {
        Self::failed(Exit::of_error(error), error.to_string())
    }

    pub(super) fn interrupted(signal: Signal) -> Self {
        let name = signals::name(signal.as_raw());
        let exit = Exit::of_signal(signal.as_raw());
        let verdict = Self::new(Outcome::Interrupted, exit, format!("{name} came while waiting"));
        if signal == Signal::INT {
            Self { end: Termination::Interrupt { whole_job: false }, ..verdict }
        } else {
            verdict
        }
    }

    pub(super) fn lost(why: impl Into<String>) -> Self {
        Self::new(Outcome::Lost, Exit::LOST, why)
    }

    pub(super) fn not_started(plan: &Plan, not_started: &NotStarted) -> Self {
        match not_started {
            NotStarted::Cmd(e) if e.kind() == io::ErrorKind::NotFound => {
                Self::failed(Exit::NOT_FOUND, plan.cmd.not_started(e))
            }
            NotStarted::Cmd(e) => Self::failed(Exit::NOT_EXECUTABLE, plan.cmd.not_started(e)),
            NotStarted::Sentry { error, left } => {
                Self::failed(Exit::INTERNAL, format!("cannot start the sentry: {error}"))
                    .with_reasons(left.iter().map(Survivor::left_behind))
            }
        }
    }

    /// CMD has ended.
    pub(super) fn of_cmd(plan: &Plan, held: &Held) -> Self {
        let status = held.end.status;
        let unseen = || Self::new(Outcome::Ended, Exit::INTERNAL, "nobody saw how CMD ended");
        let ended = status.map_or_else(unseen, Self::ended);
        let by_itself = held.end.cause.is_none();
        let interrupted = status == Some(Status::Signal(Signal::INT.as_raw())) && by_itself;
        let whole_job = held.had_terminal;
        let end = if interrupted { Termination::Interrupt { whole_job } } else { ended.end };
        let verdict = match (&held.lost, held.end.cause) {
            (Some(lost), _) => {
                let lost = Self::lost(&*lost.why);
                if plan.on_lost == OnLost::Kill { lost } else { Self { end, ..lost } }
            }
            (None, Some(Cause::MaxHold)) => {
                Self::new(Outcome::MaxHold, Exit::MAX_HOLD, "--max-hold was over")
            }
            (None, Some(Cause::Unhealthy)) => {
                Self::failed(Exit::INTERNAL, "CMD was ended since it is not healthy")
            }
            (None, Some(_)) => Self::failed(Exit::INTERNAL, "the sentry was killed"),
            (None, None) => Self { end, ..ended },
        };
        let left = held.end.left.iter().map(Survivor::left_behind);
        let (cause, is_asked_for) = (held.end.cause, held.is_asked_for());
        Self { status, cause, is_asked_for, ..verdict }.with_reasons(left)
    }

    /// How a job went, for the record of its last run.
    pub(super) fn of_job(&self) -> JobOutcome {
        match (&self.reason, self.status) {
            (None, Some(Status::Code(0))) => JobOutcome::Ok,
            (Some(reason), _) if self.outcome != Outcome::Ended => JobOutcome::failed(reason),
            (_, Some(Status::Code(0))) => JobOutcome::Ok,
            (_, Some(Status::Code(code))) => JobOutcome::failed(format!("exit code {code}")),
            (_, Some(Status::Signal(number))) => {
                JobOutcome::failed(format!("ended by {}", signals::name(number)))
            }
            (_, None) => JobOutcome::failed("nobody saw how it ended"),
        }
    }

    /// More that the report has to say.
    pub(super) fn with_reasons(self, more: impl IntoIterator<Item = String>) -> Self {
        let reasons: Vec<_> = self.reason.into_iter().chain(more).collect();
        let reason = (!reasons.is_empty()).then(|| reasons.join("; "));
        Self { reason, ..self }
    }

    pub(super) fn report(&self, keys: &Keys, label: &Label, times: &Times) -> Report {
        let exit = match self.end {
            Termination::Exit(exit) => exit,
            Termination::Interrupt { .. } => Exit::of_signal(Signal::INT.as_raw()),
        };
        let (code, signal) = match self.status {
            Some(Status::Code(code)) => (Some(code), None),
            Some(Status::Signal(number)) => (None, Some(number)),
            None => (None, None),
        };
        Report {
            key: keys.first().as_str().into(),
            outcome: self.outcome,
            exit: exit.0,
            code,
            signal,
            fence: times.fences.as_ref().and_then(|fences| fences.first().copied()),
            waited_ms: times.waited,
            held_ms: times.held,
            reason: self.reason.clone(),
            keys: keys.iter().map(|key| key.as_str().to_owned()).collect(),
            fences: times.fences.clone(),
            begin: clock::timestamp(times.begin),
            end: clock::timestamp(clock::wall()),
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            store: times.store.clone(),
            label: label.as_str().into(),
        }
    }
}

/// The part of the report that comes from the run and its lock.
#[derive(Debug)]
pub(super) struct Times {
    /// When the run began.
    pub(super) begin: SystemTime,
    /// The store's name, once it is open.
    pub(super) store: Option<String>,
    /// In the order of the keys.
    pub(super) fences: Option<Vec<u64>>,
    pub(super) waited: Option<u64>,
    pub(super) held: Option<u64>,
}

impl Times {
    /// Those of a run that begins now.
    pub(super) fn now() -> Self {
        Self { begin: clock::wall(), store: None, fences: None, waited: None, held: None }
    }
}
