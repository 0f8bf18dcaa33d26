//! A run that does not begin, since its CMD cannot be started: its message and its report. It asks
//! no store, and makes nothing there.

use tenure::Label;

use super::verdict::{Times, Verdict};
use super::{Termination, destination};
use crate::args::JobArgs;
use crate::command::NoCmd;
use crate::exit::{Exit, Refusal};
use crate::keys::Keys;
use crate::log;
use crate::output::{self, Level, Output};
use crate::report::ReportTo;
use crate::store::{Choice, Located};

/// A run without a CMD to start.
pub(crate) struct Unstarted {
    exit: Exit,
    message: String,
    keys: Keys,
    label: Label,
    report: Option<ReportTo>,
    /// `None` if there is no place for the embedded store.
    store: Option<Located>,
    times: Times,
}

impl Unstarted {
    /// `hint` is added to the message about a CMD that was not found.
    pub(crate) fn new(
        no_cmd: NoCmd,
        hint: &str,
        keys: Keys,
        label: Label,
        job: JobArgs,
        choice: Choice,
    ) -> Self {
        let (exit, message) = match no_cmd {
            NoCmd::NotFound(message) if !hint.is_empty() => (Exit::NOT_FOUND, message + hint),
            NoCmd::NotFound(message) => (Exit::NOT_FOUND, untouched(&message, &keys)),
            NoCmd::NotExecutable(message) => (Exit::NOT_EXECUTABLE, untouched(&message, &keys)),
        };
        let report = ReportTo::of(job.report, job.report_append);
        let store = choice.located_to_look().ok();
        Self { exit, message, keys, label, report, store, times: Times::now() }
    }

    /// Tells of it, and writes the report.
    pub(super) fn end(self) -> Termination {
        let output = Output(Level::Quiet);
        let Self { exit, message, keys, label, report, store, times } = self;
        if let Some(store) = &store {
            let keys = keys.iter().map(|key| key.as_str().to_owned()).collect();
            log::about(keys, store.identity(), label.as_str().to_owned());
        }
        output.fail(exit, &message);
        if let (Some(to), Some(store)) = (&report, &store) {
            let line = Verdict::failed(exit, message).report(&keys, &label, &times);
            // It may go to stderr as well.
            output::drain();
            let written = destination(to, store).and_then(|destination| {
                destination.write(&line).map_err(|e| {
                    let path = to.path.display();
                    Refusal::config(format!("the report is not written to {path}: {e}"))
                })
            });
            if let Err(refusal) = written {
                output.error(refusal.message);
            }
        }
        Termination::Exit(exit)
    }
}

/// The message with the keys, which nobody was asked for.
fn untouched(message: &str, keys: &Keys) -> String {
    format!("{message}; {keys} was not asked for")
}
