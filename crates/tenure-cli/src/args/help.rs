//! The command line of `tenure help`, as typed.

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct HelpArgs {
    /// A verb or a topic
    ///
    /// The topics are stores, environment, exit-codes, kinds, durations and signals.
    // The definition adds the words that it can be.
    #[arg(value_name = "VERB|TOPIC")]
    pub(crate) about: Option<String>,
}
