//! The command line of `tenure elect`, as typed.

use std::ffi::OsString;
use std::time::Duration;

use clap::{Args, ValueHint, value_parser};
use rustix::process::Signal;

use super::{JobArgs, LogArgs, OnLost, RunArgs, StoreArgs};
use crate::{duration, exit, label, signals};

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
    /// Time from the first signal to SIGKILL
    ///
    /// At most a third of the ttl. It is 100ms at most if somebody else may lead already.
    /// [default: 5s, or a third of the ttl if that is shorter]
    #[arg(long, value_name = "DUR", value_parser = duration::parse)]
    pub(crate) kill_grace: Option<Duration>,
    /// First signal to end CMD
    ///
    /// By its name or number: TERM, SIGTERM or 15.
    #[arg(short, long, value_name = "SIG", default_value = "TERM")]
    #[arg(value_parser = signals::parse)]
    pub(crate) signal: Signal,
    /// Line for sh, run after a loss
    ///
    /// It is run when CMD has ended because the leadership was lost, for at most 30s.
    #[arg(long, value_name = "LINE")]
    pub(crate) on_lost_exec: Option<OsString>,
    /// Owner value [default: a random one]
    #[arg(long, value_name = "VALUE")]
    pub(crate) owner: Option<String>,
    /// Name for others
    ///
    /// Others see it in `tenure status`.
    /// [default: NAME (USER@HOST, pid N)]
    #[arg(long, value_name = "TEXT", value_parser = label::typed)]
    pub(crate) label: Option<String>,
    /// Tell errors only
    #[arg(short, long, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Tell each step
    #[arg(short, long)]
    pub(crate) verbose: bool,
    #[command(flatten)]
    pub(crate) log: LogArgs,
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
                kill_grace: args.kill_grace,
                signal: args.signal,
                on_lost: OnLost::Kill,
                on_lost_exec: args.on_lost_exec,
                wait_all: false,
                kill_rest: false,
                label: args.label,
                report: None,
                report_append: None,
                quiet: args.quiet,
                verbose: args.verbose,
                log: args.log,
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
