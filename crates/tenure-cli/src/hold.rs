//! From the lock to CMD's end: CMD runs, the lease is renewed, signals are passed on.

use std::time::Duration;

use rustix::process::Signal;
use tenure::runtime::{Moment, Runtime};
use tenure::{LostReason, MultiLease};

use crate::args::OnLost;
use crate::child::Child;
use crate::command::Environment;
use crate::duration::show;
use crate::exit::Exit;
use crate::health::Health;
use crate::job::{Job, Stop};
use crate::link::Start;
use crate::log;
use crate::output;
use crate::plan::Plan;
use crate::process_tree::Status;
use crate::renewals::{Lost, Renewals};
use crate::sentry_client::{NotStarted, Silence};
use crate::signals::{self, Signals};
use crate::watch::{Cause, End, Event, Lease};

/// Time after the grace for a sentry that was told to end CMD. Then the sentry is killed.
const PATIENCE: Duration = Duration::from_secs(1);
/// Pause between giving CMD the terminal that it was stopped for and continuing its group once
/// more. The pause doubles up to the last one: on a busy machine a program is slow to stop.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_millis(1_600);

/// The end of CMD, and of the lock.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) end: End,
    pub(crate) lost: Option<Lost>,
    /// CMD's group had the terminal until then.
    pub(crate) had_terminal: bool,
    /// The signals that were passed on to CMD.
    passed_on: Vec<Signal>,
}

impl Held {
    /// Whether CMD got a signal that asks for the end. SIGHUP asks many a program to read its
    /// settings again, so it counts if CMD died of it.
    pub(crate) fn is_asked_for(&self) -> bool {
        let died_of = |signal: Signal| self.end.status == Some(Status::Signal(signal.as_raw()));
        self.passed_on.iter().any(|signal| match *signal {
            Signal::INT | Signal::TERM | Signal::QUIT => true,
            Signal::HUP => died_of(Signal::HUP),
            _ => false,
        })
    }
}

/// Why CMD did not run, though the lock was held.
#[derive(Debug)]
pub(crate) enum NotRun {
    Lost(LostReason),
    Signal(Signal),
    NotStarted(NotStarted),
}

/// Runs CMD while `guard` is held. Afterwards CMD has ended; the guard is as it was.
pub(crate) async fn run(
    plan: &Plan,
    env: &Environment,
    guard: &MultiLease,
    store: &str,
    signals: &mut Signals,
    job: &Job,
    runtime: &dyn Runtime,
) -> Result<Held, NotRun> {
    // Our lines come before those of CMD, and the line about the waiting is wiped.
    output::drain();
    let deadline = long_enough(plan, guard, signals, job, runtime).await?;
    let granted = runtime.now();
    let micros = |span: Duration| u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
    let start = Start {
        lease: Lease { deadline_us: deadline.as_micros(), slack_us: micros(plan.slack()) },
        grace_us: micros(plan.grace),
        signal: plan.signal.as_raw(),
        foreground: job.starts_in_foreground(),
        on_rest: plan.on_rest,
        log: log::format(),
    };
    let guarded = plan.on_lost == OnLost::Kill;
    let child = Child::start(&plan.cmd, env, &start, guarded).map_err(NotRun::NotStarted)?;
    plan.output
        .detail("started", || format!("CMD runs as process {}", child.group().as_raw_nonzero()));
    let max_hold = plan.max_hold.map_or(Moment::NEVER, |span| granted + span);
    let check = plan.candidate.as_ref().and_then(|candidate| candidate.check.as_ref());
    let hold = Hold {
        plan,
        guard,
        job,
        runtime,
        child,
        deadline,
        renewals: Renewals::new(plan, guard, store),
        lost: None,
        max_hold,
        overdue: Moment::NEVER,
        continuing: Continuing::NEVER,
        health: check.map(|check| Health::new(check, env, granted)),
        passed_on: Vec::new(),
        had_terminal: None,
    };
    hold.until_end(signals).await
}

/// A grant from the queue is short until it is confirmed, which happens at once: CMD starts
/// when the lease leaves more time than its ending would take.
async fn long_enough(
    plan: &Plan,
    guard: &MultiLease,
    signals: &mut Signals,
    job: &Job,
    runtime: &dyn Runtime,
) -> Result<Moment, NotRun> {
    let confirmed = async {
        loop {
            let deadline = guard.deadline();
            if deadline.since(runtime.now()) > plan.grace + plan.slack() {
                return Ok(deadline);
            }
            tokio::select! {
                biased;
                reason = guard.lost() => return Err(NotRun::Lost(reason)),
                _ = guard.renewed(deadline) => {}
            }
        }
    };
    crate::wait::or_signal(confirmed, signals, job).await.map_err(NotRun::Signal)?
}

struct Hold<'a> {
    plan: &'a Plan,
    guard: &'a MultiLease,
    job: &'a Job,
    runtime: &'a dyn Runtime,
    child: Child,
    /// The last deadline that the sentry was told.
    deadline: Moment,
    renewals: Renewals<'a>,
    lost: Option<Loss>,
    /// The end of `--max-hold`; `NEVER` once CMD was told.
    max_hold: Moment,
    /// When to do the work of a sentry that does not.
    overdue: Moment,
    continuing: Continuing,
    /// `None` once CMD was made to end.
    health: Option<Health<'a>>,
    passed_on: Vec<Signal>,
    /// CMD has ended and left processes: whether its group had the terminal until then.
    had_terminal: Option<bool>,
}

/// The lock is lost.
#[derive(Debug, Clone)]
struct Loss {
    lost: Lost,
    /// When we knew of it.
    known: Moment,
}

/// CMD's group has just got the terminal. It is continued again after a pause: a program that
/// handles SIGTTOU may stop itself after it was continued.
#[derive(Debug, Clone, Copy)]
struct Continuing {
    at: Moment,
    pause: Duration,
}

impl Continuing {
    const NEVER: Self = Self { at: Moment::NEVER, pause: FIRST_PAUSE };

    fn start(now: Moment) -> Self {
        Self { at: now + FIRST_PAUSE, pause: FIRST_PAUSE }
    }

    fn next(self, now: Moment) -> Self {
        let pause = self.pause * 2;
        if pause > LAST_PAUSE { Self::NEVER } else { Self { at: now + pause, pause } }
    }
}

impl Hold<'_> {
    async fn until_end(mut self, signals: &mut Signals) -> Result<Held, NotRun> {
        loop {
            for event in self.child.look(self.runtime.now()) {
                match event {
                    Event::Ended(end) => return Ok(self.ended(end)),
                    Event::Stopped { signal } => self.stopped(signal),
                    Event::Ending { cause } => self.ending(cause),
                    Event::Left(rest) => {
                        let is_run = self.plan.candidate.is_none();
                        let told = rest.told(self.plan.on_rest, is_run);
                        self.plan.output.notice_of("left", told);
                        self.had_terminal = Some(self.job.cmd_ended(self.child.group(), false));
                    }
                    Event::HeldBack { signal } => {
                        let name = signals::name(signal);
                        self.plan.output.notice(format!(
                            "{name} came to all our processes, so CMD has it; not passed on \
                             (once: repeat it if CMD does not follow)"
                        ));
                    }
                    Event::Untold { signal, cmd } => {
                        let name = signals::name(signal);
                        self.plan.output.error(format!("CMD did not get {name}: {cmd}"));
                    }
                }
            }
            self.check_health();
            let next_check = self.health.as_ref().map_or(Moment::NEVER, Health::next_look);
            tokio::select! {
                biased;
                signal = signals.next() => self.heard(signal),
                reason = self.guard.lost(), if self.lost.is_none() => self.lose(reason),
                deadline = self.guard.renewed(self.deadline) => {
                    self.deadline = deadline;
                    self.child.extend(deadline);
                    self.renewals.renewed(self.runtime.now());
                }
                () = self.renewals.failing(self.runtime), if self.lost.is_none() => {
                    self.renewals.tell_failing(self.runtime.now());
                }
                () = self.runtime.sleep_until(self.max_hold), if self.max_hold != Moment::NEVER => {
                    self.max_hold = Moment::NEVER;
                    self.make_end(Cause::MaxHold, Moment::NEVER);
                }
                () = self.runtime.sleep_until(self.overdue), if self.overdue != Moment::NEVER => {
                    self.overdue = self.end_sentry();
                }
                () = self.runtime.sleep_until(self.child.check_at()),
                    if self.child.check_at() != Moment::NEVER => self.check_sentry(),
                () = self.runtime.sleep_until(self.continuing.at),
                    if self.continuing.at != Moment::NEVER => {
                    self.job.continue_again(&self.child);
                    self.continuing = self.continuing.next(self.runtime.now());
                }
                () = self.runtime.sleep_until(next_check), if next_check != Moment::NEVER => {}
                () = self.child.ready(self.runtime) => {}
            }
        }
    }

    fn heard(&mut self, signal: Signal) {
        match signal {
            Signal::TSTP => self.job.stop(Some(&self.child)),
            Signal::TTIN | Signal::TTOU => self.job.others_want_terminal(&self.child),
            // The terminal is not CMD's any more.
            Signal::CONT if self.had_terminal.is_some() => self.child.signal(Signal::CONT),
            Signal::CONT => self.job.go_on(&self.child),
            signal if signals::is_passed_on(signal) => {
                self.passed_on.push(signal);
                self.child.pass_on(signal);
            }
            // A child has changed: the next look shows which.
            _ => {}
        }
    }

    fn stopped(&mut self, signal: i32) {
        match self.job.cmd_stopped(&self.child, signal) {
            Stop::Served => self.continuing = Continuing::start(self.runtime.now()),
            Stop::Stuck => {
                let name = signals::name(signal);
                self.plan.output.notice(format!(
                    "CMD was stopped by {name}: it wants a terminal, and tenure has none"
                ));
            }
            Stop::Theirs | Stop::Job => {}
        }
    }

    fn lose(&mut self, reason: LostReason) {
        let known = self.runtime.now();
        if self.plan.on_lost == OnLost::Kill {
            self.make_end(Cause::Lost, self.guard.deadline());
        }
        let lost = Lost::of(reason, self.guard, known);
        let (key, why) = (key_at_risk(self.guard), &lost.why);
        if self.plan.on_lost == OnLost::Ignore {
            self.plan.output.decline(Exit::LOST, format!("{key:?}: {why}; CMD goes on"));
        } else {
            self.plan.output.fail(Exit::LOST, format!("{key:?}: {why}; ending CMD"));
        }
        self.lost = Some(Loss { lost, known });
    }

    fn check_health(&mut self) {
        let Some(health) = &mut self.health else { return };
        if let Some(failure) = health.look(self.runtime.now()) {
            self.plan.output.notice(failure);
        }
        if health.is_over() {
            self.make_end(Cause::Unhealthy, Moment::NEVER);
        }
    }

    fn check_sentry(&mut self) {
        let output = self.plan.output;
        match self.child.check_sentry(self.runtime.now()) {
            Some(Silence::Continued(pid)) => output.notice(format!(
                "the sentry (process {}) does not answer, as if it were stopped; continuing it",
                pid.as_raw_nonzero()
            )),
            Some(Silence::Killed(pid)) => output.error(format!(
                "the sentry (process {}) does not answer; killing it",
                pid.as_raw_nonzero()
            )),
            None => {}
        }
    }

    /// Kills a sentry that does not end CMD, so that it is ended here. Answers when to look again.
    /// After a loss nothing excuses it: CMD must not outlive the lock. Otherwise the lock is kept,
    /// and one that a busy machine does not let run has more time.
    fn end_sentry(&self) -> Moment {
        if self.lost.is_some() {
            self.child.kill_sentry();
        } else if !self.child.kill_stopped_sentry() {
            return self.runtime.now() + PATIENCE;
        }
        Moment::NEVER
    }

    fn make_end(&mut self, cause: Cause, at_the_latest: Moment) {
        let now = self.runtime.now();
        self.health = None;
        let grace = cause.grace(self.plan.grace);
        self.overdue = (now + grace + PATIENCE).min(at_the_latest);
        self.child.end(cause, now);
    }

    fn ending(&self, cause: Cause) {
        let output = self.plan.output;
        match cause {
            Cause::MaxHold => {
                let limit = self.plan.max_hold.map(show).unwrap_or_default();
                let message = format!("--max-hold {limit} is over; ending CMD");
                output.decline(Exit::MAX_HOLD, message);
            }
            Cause::Unhealthy => output.error("CMD is not healthy; ending CMD"),
            Cause::SentryDied => {
                let message = "the sentry was killed; ending CMD, unguarded now";
                output.fail(Exit::INTERNAL, message);
            }
            Cause::Deadline if self.lost.is_none() => {
                let key = key_at_risk(self.guard);
                output.error(format!("the lease on {key:?} was not renewed in time; ending CMD"));
            }
            Cause::Deadline | Cause::Lost | Cause::TenureDied | Cause::Rest => {}
        }
    }

    /// The lock counts as lost if it was lost before CMD had ended. The clock decides, since we may
    /// have been stopped: the time of CMD's end is of the same clock as the deadline.
    fn ended(&mut self, end: End) -> Held {
        let had_terminal = self.job.cmd_ended(self.child.group(), end.cause.is_some())
            || self.had_terminal == Some(true);
        for survivor in &end.left {
            self.plan.output.error(survivor.left_behind());
        }
        let by_deadline = matches!(end.cause, Some(Cause::Deadline | Cause::TenureDied));
        let in_time = end.at_us < self.deadline.as_micros() && !by_deadline;
        let lost = match self.lost.take() {
            Some(Loss { lost: Lost { reason: LostReason::Expired, .. }, known })
                if in_time && end.at_us < known.as_micros() =>
            {
                None
            }
            None if !in_time => Some(self.lost_by_the_clock()),
            lost => lost.map(|loss| loss.lost),
        };
        let passed_on = std::mem::take(&mut self.passed_on);
        Held { end, lost, had_terminal, passed_on }
    }

    /// The deadline has passed, and nobody was told so far.
    fn lost_by_the_clock(&self) -> Lost {
        let lost = Lost::of(LostReason::Expired, self.guard, self.runtime.now());
        let (key, why) = (key_at_risk(self.guard), &lost.why);
        self.plan.output.fail(Exit::LOST, format!("{key:?}: {why}"));
        lost
    }
}

/// The key that is lost, or that is lost next.
fn key_at_risk(guard: &MultiLease) -> &str {
    let lost = guard.leases().iter().find(|lease| !lease.held());
    let next = || guard.leases().iter().min_by_key(|lease| lease.deadline());
    lost.or_else(next).map_or("", |lease| lease.key().as_str())
}
