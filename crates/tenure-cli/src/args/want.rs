//! A lock that outlasts the command which takes it: the options that `tenure acquire` and `hold`
//! have in common.

use std::time::Duration;

use clap::Args;

use super::StoreArgs;
use crate::{duration, label};

#[derive(Debug, Args)]
pub(crate) struct WantArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(flatten)]
    pub(crate) waiting: WaitArgs,
    #[command(flatten)]
    pub(crate) form: FormArgs,
    /// The key to lock: 1 to 512 bytes of UTF-8 without control characters
    #[arg(value_name = "KEY")]
    pub(crate) key: String,
}

/// How long to wait for the lock, under which name, and how much to tell.
#[derive(Debug, Args)]
pub(crate) struct WaitArgs {
    /// Longest wait for the lock [default: none]
    ///
    /// Without it, and without --try, the wait has no limit. A store that cannot be reached, or
    /// does not answer, is waited for as well, within the same limit (then: exit code 69); --try
    /// makes one attempt. Each attempt has --store-timeout.
    #[arg(long, value_name = "DUR", value_parser = duration::parse)]
    #[arg(conflicts_with_all = ["try_once", "wait_seconds"])]
    pub(crate) wait: Option<Duration>,
    /// --wait by a number of seconds, as flock -w
    #[arg(short = 'w', value_name = "SECONDS", value_parser = duration::parse_seconds)]
    #[arg(conflicts_with = "try_once")]
    pub(crate) wait_seconds: Option<Duration>,
    /// Do not wait at all, as flock -n
    #[arg(short = 'n', long = "try")]
    pub(crate) try_once: bool,
    /// The holder's name for others [default: the calling script]
    ///
    /// The default names the script that calls, its user and its host.
    #[arg(long = "as", value_name = "NAME", alias = "label", value_parser = label::typed)]
    pub(crate) label: Option<String>,
    /// Tell errors only
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

/// How the outcome is printed.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct FormArgs {
    /// One JSON object
    #[arg(long, conflicts_with = "shell")]
    pub(crate) json: bool,
    /// Lines for a shell, which export the outcome as variables
    ///
    /// For eval "$(...)" || exit: a failure is a line that fails.
    #[arg(long)]
    pub(crate) shell: bool,
}
