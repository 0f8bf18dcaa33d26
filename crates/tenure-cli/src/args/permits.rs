//! The command line of `tenure permits`, as typed.

use clap::{Args, value_parser};
use tenure::Claim;

use super::StoreArgs;

/// The most permits that a key can have.
pub(super) const PERMITS_MAX: i64 = Claim::MAX as i64;

#[derive(Debug, Args)]
pub(crate) struct PermitsArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// Print KEY after the change, as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// The key
    pub(crate) key: String,
    /// The number of permits from now on
    #[arg(value_name = "N", value_parser = value_parser!(u32).range(1..=PERMITS_MAX))]
    pub(crate) permits: u32,
}
