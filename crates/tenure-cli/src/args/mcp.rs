//! The options of `tenure mcp`.

use clap::Args;

use super::StoreArgs;

#[derive(Debug, Args)]
pub(crate) struct McpArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// Name for others
    ///
    /// Others see it where the agent gives none of its own. [default: that of the agent's client]
    #[arg(long = "as", value_name = "NAME")]
    pub(crate) name: Option<String>,
}
