//! `--report`: one line of JSON about how a run went. Its fields are a contract; see
//! `schema/report.json`.

mod destination;
mod symlink;

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

pub(crate) use destination::Destination;

/// The file that a run's report goes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReportTo {
    pub(crate) path: PathBuf,
    /// The line is added to those that are there.
    pub(crate) is_added: bool,
}

impl ReportTo {
    /// The file that `--report` or `--report-append` names.
    pub(crate) fn of(replaced: Option<PathBuf>, added: Option<PathBuf>) -> Option<Self> {
        let is_added = added.is_some();
        Some(Self { path: added.or(replaced)?, is_added })
    }

    /// The option, for messages.
    pub(crate) fn option(&self) -> &'static str {
        if self.is_added { "--report-append" } else { "--report" }
    }
}

/// How a run went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Outcome {
    /// CMD ended by itself.
    Ended,
    /// Others held the key.
    Busy,
    /// No run of the job was due.
    Skipped,
    /// The lease could not be kept.
    Lost,
    /// `--max-hold` was over.
    MaxHold,
    /// A signal came while waiting.
    Interrupted,
    /// Something failed; the reason says what.
    Failed,
}

/// The line. A field that does not apply is null.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Report {
    pub(crate) key: String,
    pub(crate) outcome: Outcome,
    /// Our own exit code.
    pub(crate) exit: u8,
    /// CMD's exit code, if it exited.
    pub(crate) code: Option<i32>,
    /// The signal that ended CMD, if one did.
    pub(crate) signal: Option<i32>,
    pub(crate) fence: Option<u64>,
    pub(crate) waited_ms: Option<u64>,
    pub(crate) held_ms: Option<u64>,
    /// Why, in words; null if CMD ended by itself.
    pub(crate) reason: Option<String>,
    /// All keys, of which `key` is the first.
    pub(crate) keys: Vec<String>,
    /// Their fences in the same order, of which `fence` is the first.
    pub(crate) fences: Option<Vec<u64>>,
    /// When the run began and ended.
    pub(crate) begin: String,
    pub(crate) end: String,
    pub(crate) host: String,
    /// The store's name, without secrets; null if it did not open.
    pub(crate) store: Option<String>,
    /// The holder's name for others.
    pub(crate) label: String,
}

/// Whole milliseconds.
pub(crate) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
