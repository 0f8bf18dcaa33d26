//! `tenure top` as typed.

use std::time::Duration;

use clap::Args;

use super::StoreArgs;
use crate::duration;

#[derive(Debug, Args)]
pub(crate) struct TopArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// Time between looks
    ///
    /// From one look at the store to the next: 100ms to 1h. Looks that take long are made less
    /// often, so that the store rests for as long as it works.
    #[arg(long, value_name = "DUR", default_value = "1s", value_parser = duration::parse)]
    pub(crate) interval: Duration,
    /// No colours
    ///
    /// As with the environment variable NO_COLOR.
    #[arg(long)]
    pub(crate) no_color: bool,
    /// Only keys that begin with this text
    #[arg(default_value = "")]
    pub(crate) prefix: String,
}
