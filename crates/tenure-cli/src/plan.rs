//! A run as it will be: the options and their relations are checked, and CMD is found, before
//! anything is touched. All refusals of a run are here.

use std::env;
use std::ffi::OsString;
use std::time::Duration;

use rustix::process::Signal;
use tenure::{Key, Label, Locks, Value};

use crate::args::{ElectArgs, OnLost, RunArgs, StoreArgs};
use crate::command::Cmd;
use crate::contact::Wanted;
use crate::duration::show;
use crate::exit::{Exit, Refusal};
use crate::health::Check;
use crate::keys::{Keys, Named};
use crate::label;
use crate::lock::{Lock, Part};
use crate::log;
use crate::nested;
use crate::output::{Level, Output};
use crate::procs;
use crate::report::ReportTo;
use crate::rest::OnRest;
use crate::run::Unstarted;
use crate::store::{Choice, Located};
use crate::variables;
use crate::wait::Subject;

/// The default of `--kill-grace`, unless a third of the ttl is shorter.
const GRACE: Duration = Duration::from_secs(5);

const NO_PROC: &str = "/proc is not mounted: without it tenure cannot find the processes that CMD \
                       starts, which have to end with the lock; mount /proc \
                       (mount -t proc proc /proc)";

/// A run with nothing left to refuse.
pub(crate) struct Plan {
    pub(crate) store: Located,
    pub(crate) store_timeout: Duration,
    pub(crate) keys: Keys,
    pub(crate) cmd: Cmd,
    pub(crate) part: Part,
    pub(crate) ttl: Duration,
    /// `None`: without limit. Zero: do not wait.
    pub(crate) wait: Option<Duration>,
    pub(crate) min_hold: Duration,
    pub(crate) max_hold: Option<Duration>,
    pub(crate) grace: Duration,
    pub(crate) signal: Signal,
    pub(crate) on_lost: OnLost,
    pub(crate) on_lost_exec: Option<OsString>,
    pub(crate) on_rest: OnRest,
    pub(crate) owner: Option<String>,
    pub(crate) label: Label,
    pub(crate) busy_exit: Exit,
    pub(crate) report: Option<ReportTo>,
    pub(crate) output: Output,
    /// The keys that this run and those around it hold, for CMD.
    pub(crate) held: OsString,
    /// Set for a candidate.
    pub(crate) candidate: Option<Candidate>,
}

/// Why there is no plan.
pub(crate) enum NoPlan {
    Refused(Refusal),
    /// CMD cannot be started, which a report tells as well.
    NoCmd(Box<Unstarted>),
}

impl From<Refusal> for NoPlan {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// The part of a plan that only a candidate has.
pub(crate) struct Candidate {
    pub(crate) value: String,
    pub(crate) check: Option<Check>,
}

impl Candidate {
    fn of(args: &ElectArgs) -> Result<Self, Refusal> {
        Value::new(&args.value).map_err(|e| Refusal::usage(format!("--value: {e}")))?;
        if args.every.is_zero() {
            return Err(Refusal::usage("--every is zero; no check ends that fast"));
        }
        let (every, fails) = (args.every, args.fails);
        let check = args.check.clone().map(|line| Check { line, every, fails });
        Ok(Self { value: args.value.clone(), check })
    }
}

impl Plan {
    pub(crate) fn of(args: RunArgs) -> Result<Self, NoPlan> {
        log::set_format(args.job.telling.log.log_format);
        let Named { keys, words, hint } = Named::of(&args)?;
        let part = part_of(&args, &keys)?;
        check_lock(&keys, part, &args)?;
        let job = args.job;
        let grace = grace_of(job.ending.kill_grace, job.ttl)?;
        check_store_timeout(&job.store)?;
        let choice = Choice::of(&job.store, |name| env::var_os(name))?;
        let label = job.telling.label.as_deref().map_or_else(|| label::of(&words), Label::new);
        let cmd = match Cmd::find(words, env::var_os("PATH").as_deref()) {
            Ok(cmd) => cmd,
            Err(no_cmd) => {
                let unstarted = Unstarted::new(no_cmd, &hint, keys, label, job, choice);
                return Err(NoPlan::NoCmd(Box::new(unstarted)));
            }
        };
        if !procs::is_mounted() {
            return Err(Refusal::config(NO_PROC).into());
        }
        let output = Output(match (job.telling.quiet, job.telling.verbose) {
            (true, _) => Level::Quiet,
            (_, true) => Level::Verbose,
            _ => Level::Normal,
        });
        choice.warn(output, variables::names());
        // It comes last, since it makes the directory of the embedded store.
        let store = choice.located()?;
        let held = held_with(&keys, part, &store.identity())?;
        Ok(Self {
            wait: if args.try_once {
                Some(Duration::ZERO)
            } else {
                args.wait
                    .or(args.wait_seconds)
                    .or(args.retry.map(|n| args.retry_delay.saturating_mul(n)))
            },
            label,
            output,
            store,
            store_timeout: job.store.store_timeout,
            keys,
            cmd,
            part,
            ttl: job.ttl,
            min_hold: args.min_hold,
            max_hold: job.max_hold,
            grace,
            signal: job.ending.signal,
            on_lost: job.on_lost,
            on_lost_exec: job.ending.on_lost_exec,
            on_rest: match (job.wait_all, job.kill_rest) {
                (true, _) => OnRest::Wait,
                (_, true) => OnRest::Kill,
                _ => OnRest::Leave,
            },
            owner: args.owner,
            busy_exit: Exit(args.busy_exit),
            report: ReportTo::of(job.report, job.report_append),
            held,
            candidate: None,
        })
    }

    /// The plan of a candidate.
    pub(crate) fn of_candidate(args: ElectArgs) -> Result<Self, NoPlan> {
        let candidate = Some(Candidate::of(&args)?);
        Ok(Self { candidate, ..Self::of(args.into())? })
    }

    /// The store that this run wants its lock at.
    pub(crate) fn wanted(&self) -> Wanted<'_> {
        let Self { store, store_timeout, wait, output, .. } = self;
        let key = self.keys.first();
        Wanted { store, store_timeout: *store_timeout, key, wait: *wait, output: *output }
    }

    /// The subject of this run's wait.
    pub(crate) fn subject(&self) -> Subject<'_> {
        let is_candidacy = self.candidate.is_some();
        let store = self.store.option();
        Subject { keys: &self.keys, label: &self.label, store, is_candidacy }
    }

    /// The lock at the store, without options.
    pub(crate) fn lock(&self, locks: &Locks) -> Lock {
        match &self.candidate {
            Some(candidate) => {
                Lock::Leader(locks.election(self.keys.first()), candidate.value.clone())
            }
            None => Lock::new(Some(locks), &self.keys, self.part),
        }
    }

    /// How much earlier than the deadline SIGKILL is sent: as early as the library tells of a loss.
    pub(crate) fn slack(&self) -> Duration {
        tenure::protocol::slack(self.ttl)
    }
}

/// The key, checked.
pub(crate) fn key_of(text: &str) -> Result<Key, Refusal> {
    Key::new(text).map_err(|e| Refusal::usage(e.to_string()))
}

/// Checks `--store-timeout`.
pub(crate) fn check_store_timeout(args: &StoreArgs) -> Result<(), Refusal> {
    if args.store_timeout.is_zero() {
        return Err(Refusal::usage("--store-timeout is zero; no store answers that fast"));
    }
    Ok(())
}

/// The library's own check of the lock's options. Its messages name the option and the limit.
fn check_lock(keys: &Keys, part: Part, args: &RunArgs) -> Result<(), Refusal> {
    let lock = Lock::new(None, keys, part).with_ttl(args.job.ttl).with_min_hold(args.min_hold);
    let lock = args.job.max_hold.into_iter().fold(lock, Lock::with_max_hold);
    let lock = args.owner.iter().fold(lock, |lock, value| lock.with_owner(value));
    lock.validate().map_err(|e| Refusal::usage(e.message()))
}

fn part_of(args: &RunArgs, keys: &Keys) -> Result<Part, Refusal> {
    let many = keys.iter().count();
    let one_key = |option: &str, part: Part| {
        if many == 1 {
            return Ok(part);
        }
        let why = match part {
            Part::Stolen => "several are never taken by force together",
            _ => "several keys are held as mutexes",
        };
        Err(Refusal::usage(format!("{option} is for one KEY, and {many} are given: {why}")))
    };
    if let Some(rule) = args.once {
        return Ok(Part::Once(rule));
    }
    if args.steal {
        return one_key("--steal", Part::Stolen);
    }
    let Some(limit) = args.permits else {
        return if args.shared { one_key("--shared", Part::Shared) } else { Ok(Part::Whole) };
    };
    let units = args.units.unwrap_or(1);
    if units > limit {
        return Err(Refusal::usage(format!(
            "--units {units} is above --permits {limit}: so many are never free"
        )));
    }
    one_key("--permits", Part::Permits { units, limit })
}

fn grace_of(wanted: Option<Duration>, ttl: Duration) -> Result<Duration, Refusal> {
    let limit = ttl / 3;
    match wanted {
        None => Ok(GRACE.min(limit)),
        Some(grace) if grace <= limit => Ok(grace),
        Some(grace) => {
            let (grace, limit, ttl) = (show(grace), show(limit), show(ttl));
            Err(Refusal::usage(format!(
                "--kill-grace {grace} is above {limit}, a third of --ttl {ttl}: CMD would be \
                 told to end before the first renewal; shorten it, or raise --ttl"
            )))
        }
    }
}

/// The text of the keys that this run and those around it hold.
pub(crate) fn held_with(keys: &Keys, part: Part, store: &str) -> Result<OsString, Refusal> {
    let around = env::var_os(nested::VARIABLE);
    let is_held = |key: &&Key| nested::is_held_around(around.as_deref(), store, key.as_str());
    if let Some(key) = keys.iter().find(is_held) {
        return Err(Refusal::usage(nested(key, part)));
    }
    let held = keys
        .iter()
        .fold(around, |held, key| Some(nested::held_with(held.as_deref(), store, key.as_str())));
    Ok(held.unwrap_or_default())
}

fn nested(key: &Key, part: Part) -> String {
    let end = match part {
        Part::Whole => "waiting would never end",
        Part::Stolen => "without the key it would be ended, and this one with it",
        Part::Shared => "if another waited to write, waiting would never end",
        Part::Permits { .. } => {
            "if all permits were held by such commands, waiting would never end"
        }
        Part::Once(_) => "no run of a job can begin before that",
    };
    format!(
        "{:?} is held by a command around this one, which ends only after it: {end}. If that \
         command has ended, unset {}",
        key.as_str(),
        nested::VARIABLE
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grace_is_at_most_a_third_of_the_ttl() {
        let (s, ms) = (Duration::from_secs, Duration::from_millis);
        assert_eq!(grace_of(None, s(30)), Ok(s(5)));
        assert_eq!(grace_of(None, s(3)), Ok(s(1)));
        assert_eq!(grace_of(Some(s(10)), s(30)), Ok(s(10)));
        let refusal = grace_of(Some(ms(10_001)), s(30)).expect_err("too long");
        assert!(refusal.message.contains("10s") && refusal.message.contains("30s"), "{refusal:?}");
    }
}
