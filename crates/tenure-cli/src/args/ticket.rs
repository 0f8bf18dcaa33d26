//! `tenure acquire`, `renew`, `extend`, `release` and `check`: a lock between two commands.

use std::time::Duration;

use clap::{ArgGroup, Args};

use super::{StoreArgs, WantArgs};
use crate::duration;

#[derive(Debug, Args)]
pub(crate) struct AcquireArgs {
    #[command(flatten)]
    pub(crate) want: WantArgs,
    /// How long the ticket is good: 10ms to 30d [default: 30m]
    ///
    /// The default is shorter with a store that grants no 30m (restart_guard, max_ttl). After this
    /// time, and 1 % of it for clocks that differ, the key is free for others, unless the ticket
    /// was renewed. check and status show that later end.
    #[arg(long, value_name = "DUR", value_parser = duration::parse)]
    pub(crate) ttl: Option<Duration>,
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
#[command(group = ArgGroup::new("length").args(["by", "to"]).required(true))]
pub(crate) struct ExtendArgs {
    #[command(flatten)]
    pub(crate) of: TicketArgs,
    /// The state afterwards, as one JSON object
    #[arg(long, conflicts_with = "quiet")]
    pub(crate) json: bool,
    /// Add this to the time that is left
    #[arg(long, value_name = "DUR", value_parser = duration::parse, conflicts_with = "to")]
    pub(crate) by: Option<Duration>,
    /// Make it last at least so long from now on
    #[arg(long, value_name = "DUR", value_parser = duration::parse)]
    pub(crate) to: Option<Duration>,
}

#[derive(Debug, Args)]
pub(crate) struct ReleaseArgs {
    #[command(flatten)]
    pub(crate) of: TicketArgs,
    /// The state afterwards, as one JSON object
    #[arg(long, conflicts_with = "quiet")]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    pub(crate) of: TicketArgs,
    /// One JSON object
    #[arg(long, conflicts_with = "quiet")]
    pub(crate) json: bool,
}
