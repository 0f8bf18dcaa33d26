//! The command line of `tenure elect`, as typed.

use std::ffi::OsString;
use std::time::Duration;

use clap::{Args, ValueHint, value_parser};

use super::{EndingArgs, JobArgs, OnLost, RunArgs, StoreArgs, TellingArgs};
use crate::{duration, exit};

#[derive(Debug, Args)]
pub(crate) struct ElectArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// Length of the leadership
    ///
    /// The leadership lasts so long without renewal: 10ms to 30d. After the death of this host
    /// nobody leads for so long.
    #[arg(long, value_name = "DUR", default_value = "30s", value_parser = duration::parse)]
    pub(crate) ttl: Duration,
    /// Text for others, such as an address
    ///
    /// Others see it while this host leads: at most 4096 bytes.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub(crate) value: String,
    /// Line for sh; 0: CMD is healthy
    #[arg(long, value_name = "LINE")]
    pub(crate) check: Option<OsString>,
    /// Time between two checks
    ///
    /// Each check must end within this time too.
    #[arg(long, value_name = "DUR", default_value = "10s", value_parser = duration::parse)]
    #[arg(requires = "check")]
    pub(crate) every: Duration,
    /// Failed checks that end the leadership
    ///
    /// The leadership is given up when so many checks in a row have failed.
    #[arg(long, value_name = "N", default_value_t = 3, requires = "check")]
    #[arg(value_parser = value_parser!(u32).range(1..))]
    pub(crate) fails: u32,
    #[command(flatten)]
    pub(crate) ending: EndingArgs,
    /// Owner value [default: a random one]
    #[arg(long, value_name = "VALUE")]
    pub(crate) owner: Option<String>,
    #[command(flatten)]
    pub(crate) telling: TellingArgs,
    /// The key of the role
    ///
    /// 1 to 512 bytes of UTF-8 without control characters.
    #[arg(value_name = "KEY")]
    pub(crate) key: OsString,
    /// The command and its arguments
    ///
    /// No shell is involved; for one: sh -c LINE.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    #[arg(value_name = "CMD", value_hint = ValueHint::CommandWithArguments)]
    pub(crate) cmd: Vec<OsString>,
}

/// A candidate's run: without limits, for one key, of which it wants all.
impl From<ElectArgs> for RunArgs {
    fn from(args: ElectArgs) -> Self {
        Self {
            job: JobArgs {
                store: args.store,
                ttl: args.ttl,
                max_hold: None,
                ending: args.ending,
                on_lost: OnLost::Kill,
                wait_all: false,
                kill_rest: false,
                report: None,
                report_append: None,
                telling: args.telling,
            },
            shared: false,
            permits: None,
            units: None,
            steal: false,
            wait: None,
            wait_seconds: None,
            try_once: false,
            retry: None,
            retry_delay: Duration::ZERO,
            min_hold: Duration::ZERO,
            owner: args.owner,
            busy_exit: exit::Exit::BUSY.0,
            keys: Vec::new(),
            once: None,
            key: Some(args.key),
            cmd: args.cmd,
        }
    }
}
