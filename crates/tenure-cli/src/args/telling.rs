//! The name for others and the messages, as typed: for every verb that runs CMD under a lock.

use clap::Args;

use super::LogArgs;
use crate::label;

/// The name for others, and the messages.
#[derive(Debug, Args)]
pub(crate) struct TellingArgs {
    /// Name for others
    ///
    /// Others see it in `tenure status`, and while they wait.
    /// [default: NAME (USER@HOST, pid N)]
    #[arg(long, value_name = "TEXT", value_parser = label::typed)]
    pub(crate) label: Option<String>,
    /// Tell errors only
    #[arg(short, long, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Tell each step
    #[arg(short, long)]
    pub(crate) verbose: bool,
    #[command(flatten)]
    pub(crate) log: LogArgs,
}
