//! The command line of `tenure once`, as typed.

use std::ffi::OsString;
use std::time::Duration;

use clap::{Args, ValueHint};

use super::{JobArgs, RunArgs};
use crate::{duration, exit};

#[derive(Debug, Args)]
pub(crate) struct OnceArgs {
    #[command(flatten)]
    pub(crate) rule: OnceRule,
    #[command(flatten)]
    pub(crate) job: JobArgs,
    /// Exit code for "busy"
    ///
    /// A lock of another kind held the key.
    #[arg(long, value_name = "N", default_value_t = exit::Exit::BUSY.0)]
    pub(crate) busy_exit: u8,
    /// The key of the job
    ///
    /// 1 to 512 bytes of UTF-8 without control characters.
    #[arg(required = true, value_name = "KEY")]
    pub(crate) key: OsString,
    /// The command and its arguments
    ///
    /// No shell is involved; for one: sh -c LINE.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    #[arg(value_name = "CMD", value_hint = ValueHint::CommandWithArguments)]
    pub(crate) cmd: Vec<OsString>,
}

/// When a run of a job is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Args)]
pub(crate) struct OnceRule {
    /// Length of a tick
    ///
    /// CMD runs once in each tick, on one of the hosts. Ticks are the multiples of this time since
    /// 1970 (UTC), by the store's clock.
    #[arg(long, value_name = "DUR", value_parser = duration::parse)]
    pub(crate) every: Duration,
    /// Count a tick from the last run
    ///
    /// Counts a tick from the begin of the last run, and not from 1970.
    #[arg(long)]
    pub(crate) since_last_run: bool,
    /// Run CMD again if the last run failed
    ///
    /// Runs CMD also in the tick of a run that failed: its exit code was not 0, or its host died.
    #[arg(long)]
    pub(crate) retry_failed: bool,
    /// Exit code for "skipped"
    ///
    /// No run is due.
    #[arg(long, value_name = "N", default_value_t = exit::Exit::SUCCESS.0)]
    pub(crate) skip_exit: u8,
}

impl From<OnceArgs> for RunArgs {
    /// A run that does not wait.
    fn from(args: OnceArgs) -> Self {
        let OnceArgs { rule, job, busy_exit, key, cmd } = args;
        Self {
            job,
            shared: false,
            permits: None,
            units: None,
            steal: false,
            wait: None,
            wait_seconds: None,
            try_once: true,
            retry: None,
            retry_delay: Duration::ZERO,
            min_hold: Duration::ZERO,
            owner: None,
            busy_exit,
            keys: Vec::new(),
            once: Some(rule),
            key: Some(key),
            cmd,
        }
    }
}
