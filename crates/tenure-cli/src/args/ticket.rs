//! `tenure acquire`, `renew`, `extend`, `release` and `check`: a lock between two commands.

use std::time::Duration;

use clap::Args;

use super::StoreArgs;
use crate::duration;

/// How long to wait for the lock, under which name, and how much to tell.
#[derive(Debug, Args)]
pub(crate) struct WaitArgs {
    /// Longest wait for the lock [default: none]
    ///
    /// Without it, and without --try, the wait has no limit.
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
    /// The default names the script that calls, its user, its host and its process.
    #[arg(long = "as", value_name = "NAME", alias = "label")]
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

#[derive(Debug, Args)]
pub(crate) struct AcquireArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(flatten)]
    pub(crate) waiting: WaitArgs,
    #[command(flatten)]
    pub(crate) form: FormArgs,
    /// How long the ticket is good: 10ms to 30d
    ///
    /// After this time the key is free for others, unless the ticket was renewed.
    #[arg(long, value_name = "DUR", default_value = "30m", value_parser = duration::parse)]
    pub(crate) ttl: Duration,
    /// The key to lock: 1 to 512 bytes of UTF-8 without control characters
    #[arg(value_name = "KEY")]
    pub(crate) key: String,
}

/// A ticket, and what is printed about it.
#[derive(Debug, Args)]
pub(crate) struct TicketArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// Print nothing but errors
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// The ticket; "-" reads it from stdin [default: TENURE_TICKET]
    ///
    /// The line that tenure acquire has printed. The list of processes shows words to all users;
    /// it shows neither stdin nor variables.
    #[arg(value_name = "TICKET")]
    pub(crate) ticket: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct RenewArgs {
    #[command(flatten)]
    pub(crate) of: TicketArgs,
    /// The state afterwards, as one JSON object
    #[arg(long, conflicts_with = "quiet")]
    pub(crate) json: bool,
    /// Its time from now on [default: as acquired]
    ///
    /// A longer rest is never shortened. Without it, the ticket gets the ttl with which it was
    /// acquired; that of an older version, which does not know it, gets 30m.
    #[arg(long, value_name = "DUR", value_parser = duration::parse)]
    pub(crate) ttl: Option<Duration>,
}

#[derive(Debug, Args)]
pub(crate) struct ExtendArgs {
    #[command(flatten)]
    pub(crate) of: TicketArgs,
    /// The state afterwards, as one JSON object
    #[arg(long, conflicts_with = "quiet")]
    pub(crate) json: bool,
    /// Add this to the time that is left
    #[arg(long, value_name = "DUR", value_parser = duration::parse)]
    #[arg(required_unless_present = "to", conflicts_with = "to")]
    pub(crate) by: Option<Duration>,
    /// Make it last at least so long from now on
    #[arg(long, value_name = "DUR", value_parser = duration::parse)]
    pub(crate) to: Option<Duration>,
}

#[derive(Debug, Args)]
pub(crate) struct ReleaseArgs {
    #[command(flatten)]
    pub(crate) of: TicketArgs,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    pub(crate) of: TicketArgs,
    /// One JSON object
    #[arg(long, conflicts_with = "quiet")]
    pub(crate) json: bool,
}
