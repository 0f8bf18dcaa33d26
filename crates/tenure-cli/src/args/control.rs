//! `tenure force-release`, `wait` and `watch`: keys that others hold.

use std::time::Duration;

use clap::Args;

use super::StoreArgs;
use crate::duration;

#[derive(Debug, Args)]
pub(crate) struct ForceArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// Do not ask
    #[arg(short, long)]
    pub(crate) yes: bool,
    /// Only from a holder with this fence or an older one
    ///
    /// Fences only grow: nobody who came later loses the key. Without it, the holders that are
    /// shown are meant, and nobody who comes after them.
    #[arg(long, value_name = "N")]
    pub(crate) fence: Option<u64>,
    /// The key
    #[arg(value_name = "KEY")]
    pub(crate) key: String,
}

#[derive(Debug, Args)]
pub(crate) struct UntilFreeArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// Longest wait [default: none]
    #[arg(long, value_name = "DUR", value_parser = duration::parse)]
    pub(crate) timeout: Option<Duration>,
    /// Tell errors only
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// The key
    #[arg(value_name = "KEY")]
    pub(crate) key: String,
}

#[derive(Debug, Args)]
pub(crate) struct ChangesArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// One JSON object per line
    #[arg(long)]
    pub(crate) json: bool,
    /// Time between two looks at the store: 10ms at least
    #[arg(long, value_name = "DUR", default_value = "500ms", value_parser = duration::parse)]
    pub(crate) interval: Duration,
    /// Only keys that begin with this text
    #[arg(default_value = "")]
    pub(crate) prefix: String,
}
