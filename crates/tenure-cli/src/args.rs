//! The command line as typed: the options and their syntax. It gives them no meaning.

mod control;
mod doctor;
mod hold;
mod log;
mod look;
#[cfg(feature = "mcp")]
mod mcp;
mod ticket;
#[cfg(feature = "top")]
mod top;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint, value_parser};
use rustix::process::Signal;
use tenure::Claim;

use crate::{duration, exit, help, signals};

pub(crate) use control::{ChangesArgs, ForceArgs, UntilFreeArgs};
pub(crate) use doctor::{AclArgs, DoctorArgs, Feature};
pub(crate) use hold::HoldArgs;
pub(crate) use log::LogArgs;
pub(crate) use look::{ListArgs, StatusArgs};
#[cfg(feature = "mcp")]
pub(crate) use mcp::McpArgs;
pub(crate) use ticket::{
    AcquireArgs, CheckArgs, ExtendArgs, FormArgs, ReleaseArgs, RenewArgs, WaitArgs,
};
#[cfg(feature = "top")]
pub(crate) use top::TopArgs;

/// The most permits that a key can have.
const PERMITS_MAX: i64 = Claim::MAX as i64;

/// Run a command under a lock; see who holds what.
#[derive(Debug, Parser)]
#[command(name = "tenure", version, about, disable_help_subcommand = true)]
#[command(after_help = help::EXAMPLE, after_long_help = help::EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Run CMD while this process holds KEY
    ///
    /// Waits for KEY, runs CMD and ends with its exit code. -k names several keys; --shared holds
    /// KEY together with others, --permits as one of N.
    #[command(override_usage = "tenure run [OPTIONS] KEY -- CMD...\n       \
                                tenure run [OPTIONS] -k KEY [-k KEY]... -- CMD...")]
    #[command(after_help = help::RUN, after_long_help = help::RUN_LONG)]
    Run(Box<RunArgs>),
    /// Run CMD once per tick, on one of the hosts that try
    ///
    /// Runs CMD once per tick, on one of the hosts that try. The others skip it, and say who ran
    /// it.
    #[command(override_usage = "tenure once --every DUR [OPTIONS] KEY -- CMD...")]
    #[command(after_help = help::ONCE, after_long_help = help::ONCE_LONG)]
    Once(Box<OnceArgs>),
    /// Keep CMD running exactly while this host leads
    ///
    /// Is a candidate for the leadership of KEY, and keeps CMD running exactly while this host
    /// leads.
    #[command(override_usage = "tenure elect [OPTIONS] KEY -- CMD...")]
    #[command(after_help = help::ELECT, after_long_help = help::ELECT_LONG)]
    Elect(Box<ElectArgs>),
    /// Show who holds KEY and who waits for it
    #[command(after_help = help::STATUS, after_long_help = help::STATUS)]
    Status(StatusArgs),
    /// List the keys in use, all or those that begin with PREFIX
    #[command(after_help = help::LIST, after_long_help = help::LIST)]
    List(ListArgs),
    /// Take KEY, and print a ticket that holds it
    ///
    /// Takes KEY, prints a ticket, and ends. The ticket holds the lock until it is released, or its
    /// time is over.
    #[command(after_help = help::TICKET, after_long_help = help::TICKET_LONG)]
    Acquire(AcquireArgs),
    /// Let the lock of a ticket last for a fresh time from now on
    #[command(after_help = help::TICKET, after_long_help = help::TICKET_LONG)]
    Renew(RenewArgs),
    /// Let the lock of a ticket last longer than now
    #[command(after_help = help::TICKET, after_long_help = help::TICKET_LONG)]
    Extend(ExtendArgs),
    /// Say whether a ticket still holds its lock
    ///
    /// Says whether a ticket still holds its lock: ends with 0, or with 79 and the present holder.
    #[command(after_help = help::TICKET, after_long_help = help::TICKET_LONG)]
    Check(CheckArgs),
    /// Give the lock of a ticket back
    #[command(after_help = help::TICKET, after_long_help = help::TICKET_LONG)]
    Release(ReleaseArgs),
    /// Hold KEY in the background until a process ends
    ///
    /// Takes KEY, leaves it to a process in the background, prints that process's number, and ends.
    /// The lock is renewed until PID ends, or until the --while line does not end with 0.
    #[command(override_usage = "tenure hold [OPTIONS] --pid PID KEY\n       \
                                tenure hold [OPTIONS] --while 'SHELL LINE' KEY")]
    #[command(after_help = help::HOLD, after_long_help = help::HOLD_LONG)]
    Hold(Box<HoldArgs>),
    /// Take KEY away from its holders, and release it
    ///
    /// Shows the holders of KEY, asks on the terminal, and takes it away from them. Nobody who came
    /// since loses it.
    #[command(after_help = help::FORCE, after_long_help = help::FORCE_LONG)]
    ForceRelease(ForceArgs),
    /// Wait until nobody holds KEY
    ///
    /// Waits until nobody holds KEY, and takes nothing: 0 if it is free, 75 if the time is over.
    #[command(after_help = help::WAIT, after_long_help = help::WAIT)]
    Wait(UntilFreeArgs),
    /// Show each change of the keys in use, line by line
    ///
    /// Shows the keys in use, and then a line for each change, until a signal ends it.
    #[command(after_help = help::WATCH, after_long_help = help::WATCH)]
    Watch(ChangesArgs),
    /// Change the number of permits of KEY to N
    ///
    /// Changes the number of permits of KEY to N, while commands hold some or wait for some.
    #[command(after_help = help::PERMITS, after_long_help = help::PERMITS_LONG)]
    Permits(PermitsArgs),
    /// Show the keys in use on a full screen, kept up to date
    ///
    /// Shows the keys in use on a full screen, and keeps it up to date. A key of the keyboard
    /// releases a lock by force, after a question; ? shows all of them.
    #[cfg(feature = "top")]
    #[command(after_help = help::TOP, after_long_help = help::TOP)]
    Top(TopArgs),
    /// Serve the locks to a coding agent, by MCP
    ///
    /// Serves the locks as tools to a coding agent, by the Model Context Protocol on stdin and
    /// stdout. The agent's client starts it.
    #[cfg(feature = "mcp")]
    #[command(after_help = help::MCP, after_long_help = help::MCP_LONG)]
    Mcp(McpArgs),
    /// Examine the store: what endangers locks there
    ///
    /// Examines the store: what endangers locks there, what follows from it, and what to do. It
    /// changes nothing.
    #[command(after_help = help::DOCTOR, after_long_help = help::DOCTOR)]
    Doctor(DoctorArgs),
    /// Print the ACL rule with the least rights for Tenure
    ///
    /// Prints the ACL rule with the least rights that Tenure needs at a Redis or Valkey server.
    #[command(after_help = help::ACL, after_long_help = help::ACL)]
    Acl(AclArgs),
    /// Show the help of a verb, or a topic
    #[command(after_help = help::HELP, after_long_help = help::HELP)]
    Help(HelpArgs),
}

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
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub(crate) store_file: Option<PathBuf>,
    /// Time limit for the store
    ///
    /// The first contact with the store may take so long, and so may giving the lock back.
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

/// The options of every verb that runs CMD under a lock.
#[derive(Debug, Args)]
pub(crate) struct JobArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// Length of the lease
    ///
    /// The lease lasts so long without renewal: 10ms to 30d.
    #[arg(long, value_name = "DUR", default_value = "30s", value_parser = duration::parse)]
    pub(crate) ttl: Duration,
    /// End CMD this time after the grant
    #[arg(long, value_name = "DUR", value_parser = duration::parse)]
    pub(crate) max_hold: Option<Duration>,
    /// Time from the first signal to SIGKILL
    ///
    /// At most a third of the ttl. It is 100ms at most if somebody else may hold the lock already.
    /// [default: 5s, or a third of the ttl if that is shorter]
    #[arg(long, value_name = "DUR", value_parser = duration::parse)]
    pub(crate) kill_grace: Option<Duration>,
    /// First signal to end CMD
    ///
    /// By its name or number: TERM, SIGTERM or 15.
    #[arg(short, long, value_name = "SIG", default_value = "TERM")]
    #[arg(value_parser = signals::parse)]
    pub(crate) signal: Signal,
    /// After a loss: kill or ignore CMD
    ///
    /// kill: CMD and all it started are ended by the deadline. ignore: CMD goes on, without a
    /// sentry, and its exit code is passed on.
    #[arg(long, value_name = "WHAT", value_enum, default_value_t = OnLost::Kill)]
    #[arg(hide_possible_values = true)]
    pub(crate) on_lost: OnLost,
    /// Line for sh, run after a loss
    ///
    /// It is run when CMD has ended because the lock was lost, for at most 30s.
    #[arg(long, value_name = "LINE")]
    pub(crate) on_lost_exec: Option<OsString>,
    /// Keep the lock until all that CMD left has ended
    ///
    /// CMD may leave processes running when it ends. The lock is kept and renewed until they have
    /// ended too, and signals are passed on to them. The exit code is CMD's.
    #[arg(long, conflicts_with = "kill_rest")]
    pub(crate) wait_all: bool,
    /// When CMD has ended, end all that it left
    ///
    /// By --signal, and by SIGKILL after --kill-grace, before the lock is given back. The exit code
    /// is CMD's. Without this and --wait-all they go on, without the lock, and that is told.
    #[arg(long)]
    pub(crate) kill_rest: bool,
    /// Name for others
    ///
    /// Others see it in `tenure status`, and while they wait.
    /// [default: NAME (USER@HOST, pid N)]
    #[arg(long, value_name = "TEXT")]
    pub(crate) label: Option<String>,
    /// Write the result into FILE, as JSON
    ///
    /// One line. A file is replaced as a whole; to a device, a FIFO, a descriptor (/dev/stderr,
    /// /dev/fd/N) and stdout (-) the line is added.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) report: Option<PathBuf>,
    /// Add the result to FILE, as one line of JSON
    ///
    /// The lines that are there stay. Else as --report.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    #[arg(conflicts_with = "report")]
    pub(crate) report_append: Option<PathBuf>,
    /// Tell errors only
    #[arg(short, long, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Tell each step
    #[arg(short, long)]
    pub(crate) verbose: bool,
    #[command(flatten)]
    pub(crate) log: LogArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) job: JobArgs,
    /// Be one of many readers
    ///
    /// KEY is held together with others that name --shared. A run without it is a writer, and
    /// alone.
    #[arg(long, conflicts_with = "permits")]
    pub(crate) shared: bool,
    /// Be one of N at a time
    ///
    /// KEY is a semaphore of N permits. All who use KEY name one N.
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=PERMITS_MAX))]
    pub(crate) permits: Option<u32>,
    /// Take K of the permits [default: 1]
    #[arg(long, value_name = "K", requires = "permits")]
    #[arg(value_parser = value_parser!(u32).range(1..=PERMITS_MAX))]
    pub(crate) units: Option<u32>,
    /// Take KEY from its holder, ahead of the line
    ///
    /// Says who held KEY. The old holder learns of the loss at its next renewal, and may go on with
    /// its work until then.
    #[arg(long, conflicts_with_all = ["shared", "permits"])]
    #[arg(conflicts_with_all = ["wait", "wait_seconds", "try_once", "retry"])]
    pub(crate) steal: bool,
    /// Longest wait for the lock [default: none]
    ///
    /// Without it, and without --try and --retry, the wait has no limit. A store that cannot be
    /// reached, or does not answer, is waited for as well, within the same limit (then: exit code
    /// 69); --try makes one attempt. Each attempt has --store-timeout.
    #[arg(long, value_name = "DUR", value_parser = duration::parse)]
    #[arg(conflicts_with_all = ["try_once", "retry", "wait_seconds"])]
    pub(crate) wait: Option<Duration>,
    /// --wait by a number of seconds, as flock -w
    ///
    /// Decimals are allowed: -w 0.5 is --wait 500ms.
    #[arg(short = 'w', value_name = "SECONDS", value_parser = duration::parse_seconds)]
    #[arg(conflicts_with_all = ["try_once", "retry"])]
    pub(crate) wait_seconds: Option<Duration>,
    /// Do not wait at all, as flock -n
    #[arg(short = 'n', long = "try", conflicts_with = "retry")]
    pub(crate) try_once: bool,
    /// Wait N times the retry delay, in line
    #[arg(long, value_name = "N")]
    pub(crate) retry: Option<u32>,
    /// Delay of --retry
    #[arg(long, value_name = "DUR", default_value = "100ms", value_parser = duration::parse)]
    #[arg(requires = "retry")]
    pub(crate) retry_delay: Duration,
    /// Keep KEY at least so long
    ///
    /// KEY stays taken for at least this time after the grant, even if CMD ends earlier.
    #[arg(long, value_name = "DUR", default_value = "0s", value_parser = duration::parse)]
    pub(crate) min_hold: Duration,
    /// Owner value [default: a random one]
    #[arg(long, value_name = "VALUE")]
    pub(crate) owner: Option<String>,
    /// Exit code for "busy"
    #[arg(long, value_name = "N", default_value_t = exit::Exit::BUSY.0)]
    pub(crate) busy_exit: u8,
    /// A key in place of KEY; may be repeated
    ///
    /// Repeated, all of these keys are held or none of them (64 at most). The limit of the wait
    /// counts for all together. CMD stands behind "--".
    #[arg(short, long = "key", value_name = "KEY")]
    pub(crate) keys: Vec<String>,
    /// Set by `once`.
    #[arg(skip)]
    pub(crate) once: Option<OnceRule>,
    /// The key to lock
    ///
    /// 1 to 512 bytes of UTF-8 without control characters.
    // With -k, this is the first word of CMD.
    #[arg(required_unless_present = "keys", value_name = "KEY")]
    pub(crate) key: Option<OsString>,
    /// The command and its arguments
    ///
    /// No shell is involved; for one: sh -c LINE.
    #[arg(required_unless_present = "keys", trailing_var_arg = true, allow_hyphen_values = true)]
    #[arg(value_name = "CMD", value_hint = ValueHint::CommandWithArguments)]
    pub(crate) cmd: Vec<OsString>,
}

#[derive(Debug, Args)]
pub(crate) struct OnceArgs {
    #[command(flatten)]
    pub(crate) rule: OnceRule,
    #[command(flatten)]
    pub(crate) job: JobArgs,
    /// Exit code for "busy"
    ///
    /// A lock of another kind held the key.
    #[arg(long, value_name = "N", default_value_t = exit::Exit::BUSY.0)]
    pub(crate) busy_exit: u8,
    /// The key of the job
    ///
    /// 1 to 512 bytes of UTF-8 without control characters.
    #[arg(required = true, value_name = "KEY")]
    pub(crate) key: OsString,
    /// The command and its arguments
    ///
    /// No shell is involved; for one: sh -c LINE.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    #[arg(value_name = "CMD", value_hint = ValueHint::CommandWithArguments)]
    pub(crate) cmd: Vec<OsString>,
}

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
    #[arg(long, value_name = "TEXT")]
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

/// When a run of a job is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Args)]
pub(crate) struct OnceRule {
    /// Length of a tick
    ///
    /// CMD runs once in each tick, on one of the hosts. Ticks are the multiples of this time since
    /// 1970 (UTC), by the store's clock.
    #[arg(long, value_name = "DUR", value_parser = duration::parse)]
    pub(crate) every: Duration,
    /// Count a tick from the last run
    ///
    /// Counts a tick from the begin of the last run, and not from 1970.
    #[arg(long)]
    pub(crate) since_last_run: bool,
    /// Run CMD again if the last run failed
    ///
    /// Runs CMD also in the tick of a run that failed: its exit code was not 0, or its host died.
    #[arg(long)]
    pub(crate) retry_failed: bool,
    /// Exit code for "skipped"
    ///
    /// No run is due.
    #[arg(long, value_name = "N", default_value_t = exit::Exit::SUCCESS.0)]
    pub(crate) skip_exit: u8,
}

impl From<OnceArgs> for RunArgs {
    /// A run that does not wait.
    fn from(args: OnceArgs) -> Self {
        let OnceArgs { rule, job, busy_exit, key, cmd } = args;
        Self {
            job,
            shared: false,
            permits: None,
            units: None,
            steal: false,
            wait: None,
            wait_seconds: None,
            try_once: true,
            retry: None,
            retry_delay: Duration::ZERO,
            min_hold: Duration::ZERO,
            owner: None,
            busy_exit,
            keys: Vec::new(),
            once: Some(rule),
            key: Some(key),
            cmd,
        }
    }
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

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnLost {
    /// CMD and all it started are ended by the deadline
    Kill,
    /// CMD goes on, without a sentry; its code is ours
    Ignore,
}

#[derive(Debug, Args)]
pub(crate) struct PermitsArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// Print KEY after the change, as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// The key
    pub(crate) key: String,
    /// The number of permits from now on
    #[arg(value_name = "N", value_parser = value_parser!(u32).range(1..=PERMITS_MAX))]
    pub(crate) permits: u32,
}

#[derive(Debug, Args)]
pub(crate) struct HelpArgs {
    /// A verb or a topic
    ///
    /// The topics are stores, environment, exit-codes, kinds, durations and signals.
    // The definition adds the words that it can be.
    #[arg(value_name = "VERB|TOPIC")]
    pub(crate) about: Option<String>,
}
