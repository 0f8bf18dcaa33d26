//! The options of every verb that runs CMD under a lock.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum, ValueHint};

use super::{EndingArgs, StoreArgs, TellingArgs};
use crate::duration;

/// The options of every verb that runs CMD under a lock.
#[derive(Debug, Args)]
pub(crate) struct JobArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// Length of the lease
    ///
    /// The lease lasts so long without renewal: 10ms to 30d.
    #[arg(long, value_name = "DUR", default_value = "30s", value_parser = duration::parse)]
    pub(crate) ttl: Duration,
    /// End CMD this time after the grant
    #[arg(long, value_name = "DUR", value_parser = duration::parse)]
    pub(crate) max_hold: Option<Duration>,
    #[command(flatten)]
    pub(crate) ending: EndingArgs,
    /// After a loss: kill or ignore CMD
    ///
    /// kill: CMD and all it started are ended by the deadline. ignore: CMD goes on, without a
    /// sentry, and its exit code is passed on.
    #[arg(long, value_name = "WHAT", value_enum, default_value_t = OnLost::Kill)]
    #[arg(hide_possible_values = true)]
    pub(crate) on_lost: OnLost,
    /// Keep the lock until all that CMD left has ended
    ///
    /// CMD may leave processes running when it ends. The lock is kept and renewed until they have
    /// ended too, and signals are passed on to them. The exit code is CMD's.
    #[arg(long, conflicts_with = "kill_rest")]
    pub(crate) wait_all: bool,
    /// When CMD has ended, end all that it left
    ///
    /// By --signal, and by SIGKILL after --kill-grace, before the lock is given back. The exit code
    /// is CMD's. Without this and --wait-all they go on, without the lock, and that is told.
    #[arg(long)]
    pub(crate) kill_rest: bool,
    /// Write the result into FILE, as JSON
    ///
    /// One line. A file is replaced as a whole; to a device, a FIFO, a descriptor (/dev/stderr,
    /// /dev/fd/N) and stdout (-) the line is added.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) report: Option<PathBuf>,
    /// Add the result to FILE, as one line of JSON
    ///
    /// The lines that are there stay. Else as --report.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    #[arg(conflicts_with = "report")]
    pub(crate) report_append: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) telling: TellingArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnLost {
    /// CMD and all it started are ended by the deadline
    Kill,
    /// CMD goes on, without a sentry; its code is ours
    Ignore,
}
