//! `tenure hold`: a process in the background keeps a lock for another process.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueHint};
use rustix::process::Signal;

use super::WantArgs;
use crate::{duration, signals};

#[derive(Debug, Args)]
pub(crate) struct HoldArgs {
    #[command(flatten)]
    pub(crate) want: WantArgs,
    /// How long the lease lasts without renewal: 10ms to 30d [default: 30s]
    ///
    /// The default is shorter with a store that grants no 30s (restart_guard, max_ttl).
    #[arg(long, value_name = "DUR", value_parser = duration::parse)]
    pub(crate) ttl: Option<Duration>,
    /// Hold the lock until this process ends
    #[arg(long, value_name = "PID", required_unless_present = "line", conflicts_with = "line")]
    #[arg(value_parser = clap::value_parser!(i32).range(1..))]
    pub(crate) pid: Option<i32>,
    /// Hold the lock until this line for sh does not end with 0
    #[arg(long = "while", id = "line", value_name = "SHELL LINE")]
    pub(crate) line: Option<OsString>,
    /// Time between two runs of the --while line, and its limit
    #[arg(long, value_name = "DUR", default_value = "5s", value_parser = duration::parse)]
    #[arg(requires = "line")]
    pub(crate) every: Duration,
    /// Send this signal to PID if the lock is lost [default: none]
    #[arg(short, long, value_name = "SIG", requires = "pid", value_parser = signals::parse)]
    pub(crate) signal: Option<Signal>,
    /// Append what the background process has to tell to this file
    ///
    /// It has no terminal. Without this option a loss is told by --signal only.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) log: Option<PathBuf>,
}
