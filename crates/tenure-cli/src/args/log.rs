//! The form of the messages, as typed.

use clap::Args;

use crate::log::Format;

#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct LogArgs {
    /// Messages as text or json
    ///
    /// json: each message on stderr is one line of JSON, with its time, level, event, key and store
    /// (schema/log.json).
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Format::Text)]
    #[arg(hide_possible_values = true)]
    pub(crate) log_format: Format,
}
