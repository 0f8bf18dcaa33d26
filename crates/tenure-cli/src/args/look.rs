//! The options of the verbs that look at keys and change nothing.

use clap::Args;

use super::StoreArgs;

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// One JSON object
    #[arg(long)]
    pub(crate) json: bool,
    /// End with 1 if somebody holds KEY
    ///
    /// Ends with 0 if KEY is free, with 1 if Tenure or somebody else holds it, and with another
    /// code if that could not be found out. Without this option the end is 0 in both cases.
    #[arg(long)]
    pub(crate) exit_code: bool,
    /// The key
    pub(crate) key: String,
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// One JSON object per line
    #[arg(long)]
    pub(crate) json: bool,
    /// Locks of other programs as well
    ///
    /// Lists also the strings of a server that have a ttl and that Tenure did not write: locks of
    /// other libraries, and everything that looks like one, such as entries of a cache.
    #[arg(long)]
    pub(crate) all: bool,
    /// Only keys that begin with this text
    #[arg(default_value = "")]
    pub(crate) prefix: String,
}
