//! The command line of `tenure run`, as typed.

use std::ffi::OsString;
use std::time::Duration;

use clap::{Args, ValueHint, value_parser};

use super::permits::PERMITS_MAX;
use super::{JobArgs, OnceRule};
use crate::{duration, exit};

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) job: JobArgs,
    /// Be one of many readers
    ///
    /// KEY is held together with others that name --shared. A run without it is a writer, and
    /// alone.
    #[arg(long, conflicts_with = "permits")]
    pub(crate) shared: bool,
    /// Be one of N at a time
    ///
    /// KEY is a semaphore of N permits. All who use KEY name one N.
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=PERMITS_MAX))]
    pub(crate) permits: Option<u32>,
    /// Take K of the permits [default: 1]
    #[arg(long, value_name = "K", requires = "permits")]
    #[arg(value_parser = value_parser!(u32).range(1..=PERMITS_MAX))]
    pub(crate) units: Option<u32>,
    /// Take KEY from its holder, ahead of the line
    ///
    /// Says who held KEY. The old holder learns of the loss at its next renewal, and may go on with
    /// its work until then.
    #[arg(long, conflicts_with_all = ["shared", "permits"])]
    #[arg(conflicts_with_all = ["wait", "wait_seconds", "try_once", "retry"])]
    pub(crate) steal: bool,
    /// Longest wait for the lock [default: none]
    ///
    /// Without it, and without --try and --retry, the wait has no limit. A store that cannot be
    /// reached, or does not answer, is waited for as well, within the same limit (then: exit code
    /// 69); --try makes one attempt. Each attempt has --store-timeout.
    #[arg(long, value_name = "DUR", value_parser = duration::parse)]
    #[arg(conflicts_with_all = ["try_once", "retry", "wait_seconds"])]
    pub(crate) wait: Option<Duration>,
    /// --wait by a number of seconds, as flock -w
    ///
    /// Decimals are allowed: -w 0.5 is --wait 500ms.
    #[arg(short = 'w', value_name = "SECONDS", value_parser = duration::parse_seconds)]
    #[arg(conflicts_with_all = ["try_once", "retry"])]
    pub(crate) wait_seconds: Option<Duration>,
    /// Do not wait at all, as flock -n
    #[arg(short = 'n', long = "try", conflicts_with = "retry")]
    pub(crate) try_once: bool,
    /// Wait N times the retry delay, in line
    #[arg(long, value_name = "N")]
    pub(crate) retry: Option<u32>,
    /// Delay of --retry
    #[arg(long, value_name = "DUR", default_value = "100ms", value_parser = duration::parse)]
    #[arg(requires = "retry")]
    pub(crate) retry_delay: Duration,
    /// Keep KEY at least so long
    ///
    /// KEY stays taken for at least this time after the grant, even if CMD ends earlier.
    #[arg(long, value_name = "DUR", default_value = "0s", value_parser = duration::parse)]
    pub(crate) min_hold: Duration,
    /// Owner value [default: a random one]
    #[arg(long, value_name = "VALUE")]
    pub(crate) owner: Option<String>,
    /// Exit code for "busy"
    #[arg(long, value_name = "N", default_value_t = exit::Exit::BUSY.0)]
    pub(crate) busy_exit: u8,
    /// A key in place of KEY; may be repeated
    ///
    /// Repeated, all of these keys are held or none of them (64 at most). The limit of the wait
    /// counts for all together. CMD stands behind "--".
    #[arg(short, long = "key", value_name = "KEY")]
    pub(crate) keys: Vec<String>,
    /// Set by `once`.
    #[arg(skip)]
    pub(crate) once: Option<OnceRule>,
    /// The key to lock
    ///
    /// 1 to 512 bytes of UTF-8 without control characters.
    // With -k, this is the first word of CMD.
    #[arg(required_unless_present = "keys", value_name = "KEY")]
    pub(crate) key: Option<OsString>,
    /// The command and its arguments
    ///
    /// No shell is involved; for one: sh -c LINE.
    #[arg(required_unless_present = "keys", trailing_var_arg = true, allow_hyphen_values = true)]
    #[arg(value_name = "CMD", value_hint = ValueHint::CommandWithArguments)]
    pub(crate) cmd: Vec<OsString>,
}
