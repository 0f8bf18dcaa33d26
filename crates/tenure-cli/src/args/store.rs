//! The store of every verb, as typed.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Args, ValueHint};

use crate::duration;

/// The store.
#[derive(Debug, Args)]
pub(crate) struct StoreArgs {
    /// The store's URL; given three times: a quorum
    ///
    /// Repeated, an odd number of times and at least 3, it names a quorum of these stores. Without
    /// it the environment names the store, or it is a file of this user on this host.
    #[arg(long, value_name = "URL", conflicts_with = "store_file", value_hint = ValueHint::Url)]
    pub(crate) store: Vec<String>,
    /// The embedded store in this file
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath, value_parser = path())]
    pub(crate) store_file: Option<PathBuf>,
    /// Time limit for the store
    ///
    /// The first contact with the store may take so long, and so may giving the lock back. Within
    /// that, the login at a server and each call have 2 s, or what its URL says:
    /// redis://HOST:6379?connect_timeout=10s&call_timeout=10s
    #[arg(long, value_name = "DUR", default_value = "5s", value_parser = duration::parse)]
    pub(crate) store_timeout: Duration,
    /// Refuse a store of this host alone
    ///
    /// Refuses every store that other hosts cannot reach (exit code 78): memory, a file, a server
    /// under an address of this host alone, a quorum with such a node. TENURE_REQUIRE_NETWORK=1
    /// does the same.
    #[arg(long)]
    pub(crate) require_network: bool,
}

/// A path, or nothing, which is refused as any other wrong store is.
fn path() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(PathBuf::from)
}
