//! The command lines of `tenure doctor` and `tenure acl`, as typed.

use std::time::Duration;

use clap::{Args, ValueEnum};

use super::StoreArgs;
use crate::duration;

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// The longest ttl that a program uses there
    #[arg(long, value_name = "DUR", default_value = "30s", value_parser = duration::parse)]
    pub(crate) ttl: Duration,
    /// One JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct AclArgs {
    /// The user at the server
    #[arg(long, value_name = "NAME", default_value = "tenure")]
    pub(crate) user: String,
    /// Only for the keys that begin with this text [default: all keys]
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub(crate) prefix: String,
    /// For the nodes of a cluster
    #[arg(long, conflicts_with = "sentinel")]
    pub(crate) cluster: bool,
    /// With the rule of a user at the Sentinels
    #[arg(long)]
    pub(crate) sentinel: bool,
    /// For status and list alone: nothing can be locked
    #[arg(long)]
    pub(crate) read_only: bool,
    /// Leave out ack, restart-guard or database
    ///
    /// Leaves out the rights of `ack` (grants that replicas acknowledge), of `restart-guard` (and
    /// so for a quorum's nodes) or of `database` (another one than 0). Repeated.
    #[arg(long, value_name = "FEATURE", value_enum, hide_possible_values = true)]
    pub(crate) without: Vec<Feature>,
}

/// A part of Tenure with rights of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Feature {
    /// Grants that replicas acknowledge (?ack=N)
    Ack,
    /// The restart guard (?restart_guard=DUR), and quorums
    RestartGuard,
    /// A database other than 0
    Database,
}
