//! `--report`: one line of JSON about how a run went. Its fields are a contract; see
//! `schema/report.json`.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

/// What became of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Outcome {
    /// CMD ended by itself.
    Ended,
    /// Others held the key.
    Busy,
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
}

/// The file, opened before anything is locked: a run whose report cannot be written does not
/// begin. Empty means: not over yet.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    File::create(path)
}

/// Writes the line.
pub(crate) fn write(mut file: &File, report: &Report) -> io::Result<()> {
    let mut line = serde_json::to_vec(report)?;
    line.push(b'\n');
    file.write_all(&line)?;
    // A pipe cannot be flushed to a disk, and need not be.
    let _ = file.sync_data();
    Ok(())
}

/// Whole milliseconds.
pub(crate) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
