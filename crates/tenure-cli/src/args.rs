//! The command line as typed: the options and their syntax. It gives them no meaning.

mod control;
mod doctor;
mod elect;
mod ending;
mod help;
mod hold;
mod job;
mod log;
mod look;
#[cfg(feature = "mcp")]
mod mcp;
mod once;
mod permits;
mod run;
mod store;
mod telling;
mod ticket;
#[cfg(feature = "top")]
mod top;
mod want;

use clap::{Parser, Subcommand};

pub(crate) use control::{ChangesArgs, ForceArgs, UntilFreeArgs};
pub(crate) use doctor::{AclArgs, DoctorArgs, Feature};
pub(crate) use elect::ElectArgs;
pub(crate) use ending::EndingArgs;
pub(crate) use help::HelpArgs;
pub(crate) use hold::HoldArgs;
pub(crate) use job::{JobArgs, OnLost};
pub(crate) use log::LogArgs;
pub(crate) use look::{ListArgs, StatusArgs};
#[cfg(feature = "mcp")]
pub(crate) use mcp::McpArgs;
pub(crate) use once::{OnceArgs, OnceRule};
pub(crate) use permits::PermitsArgs;
pub(crate) use run::RunArgs;
pub(crate) use store::StoreArgs;
pub(crate) use telling::TellingArgs;
pub(crate) use ticket::{AcquireArgs, CheckArgs, ExtendArgs, ReleaseArgs, RenewArgs, TicketArgs};
#[cfg(feature = "top")]
pub(crate) use top::TopArgs;
pub(crate) use want::WantArgs;

/// Run a command under a lock; see who holds what.
#[derive(Debug, Parser)]
#[command(name = "tenure", version, about, disable_help_subcommand = true)]
#[command(after_help = crate::help::EXAMPLE, after_long_help = crate::help::EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Run CMD while this process holds KEY
    ///
    /// Waits for KEY, runs CMD and ends with its exit code. -k names several keys; --shared holds
    /// KEY together with others, --permits as one of N.
    #[command(override_usage = "tenure run [OPTIONS] KEY -- CMD...\n       \
                                tenure run [OPTIONS] -k KEY [-k KEY]... -- CMD...")]
    #[command(after_help = crate::help::RUN, after_long_help = crate::help::RUN_LONG)]
    Run(Box<RunArgs>),
    /// Run CMD once per tick, on one of the hosts that try
    ///
    /// Runs CMD once per tick, on one of the hosts that try. The others skip it, and say who ran
    /// it.
    #[command(override_usage = "tenure once --every DUR [OPTIONS] KEY -- CMD...")]
    #[command(after_help = crate::help::ONCE, after_long_help = crate::help::ONCE_LONG)]
    Once(Box<OnceArgs>),
    /// Keep CMD running exactly while this host leads
    ///
    /// Is a candidate for the leadership of KEY, and keeps CMD running exactly while this host
    /// leads.
    #[command(override_usage = "tenure elect [OPTIONS] KEY -- CMD...")]
    #[command(after_help = crate::help::ELECT, after_long_help = crate::help::ELECT_LONG)]
    Elect(Box<ElectArgs>),
    /// Show who holds KEY and who waits for it
    #[command(after_help = crate::help::STATUS, after_long_help = crate::help::STATUS)]
    Status(StatusArgs),
    /// List the keys in use, all or those that begin with PREFIX
    #[command(after_help = crate::help::LIST, after_long_help = crate::help::LIST)]
    List(ListArgs),
    /// Take KEY, and print a ticket that holds it
    ///
    /// Takes KEY, prints a ticket, and ends. The ticket holds the lock until it is released, or its
    /// time is over.
    #[command(after_help = crate::help::TICKET, after_long_help = crate::help::TICKET_LONG)]
    Acquire(AcquireArgs),
    /// Let the lock of a ticket last for a fresh time from now on
    #[command(after_help = crate::help::TICKET, after_long_help = crate::help::TICKET_LONG)]
    Renew(RenewArgs),
    /// Let the lock of a ticket last longer than now
    #[command(after_help = crate::help::TICKET, after_long_help = crate::help::TICKET_LONG)]
    Extend(ExtendArgs),
    /// Say whether a ticket still holds its lock
    ///
    /// Says whether a ticket still holds its lock: ends with 0, or with 79 and the present holder.
    #[command(after_help = crate::help::TICKET, after_long_help = crate::help::TICKET_LONG)]
    Check(CheckArgs),
    /// Give the lock of a ticket back
    #[command(after_help = crate::help::TICKET, after_long_help = crate::help::TICKET_LONG)]
    Release(ReleaseArgs),
    /// Hold KEY in the background until a process ends
    ///
    /// Takes KEY, leaves it to a process in the background, prints that process's number, and ends.
    /// The lock is renewed until PID ends, or until the --while line does not end with 0.
    #[command(override_usage = "tenure hold [OPTIONS] --pid PID KEY\n       \
                                tenure hold [OPTIONS] --while 'SHELL LINE' KEY")]
    #[command(after_help = crate::help::HOLD, after_long_help = crate::help::HOLD_LONG)]
    Hold(Box<HoldArgs>),
    /// Take KEY away from its holders, and release it
    ///
    /// Shows the holders of KEY, asks on the terminal, and takes it away from them. Nobody who came
    /// since loses it.
    #[command(after_help = crate::help::FORCE, after_long_help = crate::help::FORCE_LONG)]
    ForceRelease(ForceArgs),
    /// Wait until nobody holds KEY
    ///
    /// Waits until nobody holds KEY, and takes nothing: 0 if it is free, 75 if the time is over.
    #[command(after_help = crate::help::WAIT, after_long_help = crate::help::WAIT)]
    Wait(UntilFreeArgs),
    /// Show each change of the keys in use, line by line
    ///
    /// Shows the keys in use, and then a line for each change, until a signal ends it.
    #[command(after_help = crate::help::WATCH, after_long_help = crate::help::WATCH)]
    Watch(ChangesArgs),
    /// Change the number of permits of KEY to N
    ///
    /// Changes the number of permits of KEY to N, while commands hold some or wait for some.
    #[command(after_help = crate::help::PERMITS, after_long_help = crate::help::PERMITS_LONG)]
    Permits(PermitsArgs),
    /// Show the keys in use on a full screen, kept up to date
    ///
    /// Shows the keys in use on a full screen, and keeps it up to date. A key of the keyboard
    /// releases a lock by force, after a question; ? shows all of them.
    #[cfg(feature = "top")]
    #[command(after_help = crate::help::TOP, after_long_help = crate::help::TOP)]
    Top(TopArgs),
    /// Serve the locks to a coding agent, by MCP
    ///
    /// Serves the locks as tools to a coding agent, by the Model Context Protocol on stdin and
    /// stdout. The agent's client starts it.
    #[cfg(feature = "mcp")]
    #[command(after_help = crate::help::MCP, after_long_help = crate::help::MCP_LONG)]
    Mcp(McpArgs),
    /// Examine the store: what endangers locks there
    ///
    /// Examines the store: what endangers locks there, what follows from it, and what to do. It
    /// changes nothing.
    #[command(after_help = crate::help::DOCTOR, after_long_help = crate::help::DOCTOR)]
    Doctor(DoctorArgs),
    /// Print the ACL rule with the least rights for Tenure
    ///
    /// Prints the ACL rule with the least rights that Tenure needs at a Redis or Valkey server.
    #[command(after_help = crate::help::ACL, after_long_help = crate::help::ACL)]
    Acl(AclArgs),
    /// Show the help of a verb, or a topic
    #[command(after_help = crate::help::HELP, after_long_help = crate::help::HELP)]
    Help(HelpArgs),
}
