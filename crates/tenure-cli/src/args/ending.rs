//! How CMD is ended, as typed: for every verb that runs CMD under a lock.

use std::ffi::OsString;
use std::time::Duration;

use clap::Args;
use rustix::process::Signal;

use crate::{duration, signals};

/// How CMD is ended, and what is run after a loss.
#[derive(Debug, Args)]
pub(crate) struct EndingArgs {
    /// Time from the first signal to SIGKILL
    ///
    /// At most a third of the ttl. It is 100ms at most if somebody else may hold KEY already.
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
    /// It is run when CMD has ended because KEY was lost, for at most 30s.
    #[arg(long, value_name = "LINE")]
    pub(crate) on_lost_exec: Option<OsString>,
}
