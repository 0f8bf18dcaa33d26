//! `tenure run`: the flow from a checked plan to an exit code.

use std::sync::Arc;

use rustix::process::Signal;
use tenure::runtime::{Moment, Runtime};
use tenure::store::Reach;
use tenure::{Guard, Locks, LostReason};

use crate::args::{OnLost, RunArgs};
use crate::command::Environment;
use crate::exit::{Exit, Refusal};
use crate::hold::{self, Held, NotRun};
use crate::job::Job;
use crate::nested;
use crate::on_lost;
use crate::output;
use crate::plan::Plan;
use crate::process_tree::{Status, Survivor};
use crate::report::{Destination, Outcome, Report, millis};
use crate::sentry_client::NotStarted;
use crate::signals::{self, Signals};

use crate::wait::{self, Waited};
use crate::warnings;
use crate::watch::Cause;

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Termination {
    Exit(Exit),
    /// Dies of SIGINT, so that a shell's loop ends; with all of its job, if Ctrl-C was meant
    /// for it and reached CMD alone, since CMD had the terminal.
    Interrupt {
        whole_job: bool,
    },
}

/// Runs CMD under the lock.
pub(crate) fn run(args: RunArgs) -> Result<Termination, Refusal> {
    let plan = Plan::of(args)?;
    let destination = plan.report.as_deref().map(|path| {
        if plan.store.is_made_of(path) {
            let message = format!("--report: {} belongs to the store of the lock", path.display());
            return Err(Refusal::usage(message));
        }
        Destination::open(path)
            .map_err(|e| Refusal::config(format!("--report: cannot write {}: {e}", path.display())))
    });
    let destination = destination.transpose()?;
    if let Some(warning) = &plan.warning {
        plan.output.notice(warning);
    }
    let defect = |what: &str, e: std::io::Error| Refusal {
        exit: Exit::INTERNAL,
        message: format!("{what}: {e}"),
    };
    let runtime = tenure::runtime::machine().map_err(|e| defect("cannot start the timers", e))?;
    let tokio_runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
    let tokio_runtime = tokio_runtime.map_err(|e| defect("cannot start the runtime", e))?;
    tokio_runtime.block_on(async {
        let signals = Signals::listen().map_err(|e| defect("cannot listen to signals", e))?;
        let own = Some(rustix::process::getpid());
        rustix::process::set_child_subreaper(own)
            .map_err(|e| defect("cannot become a subreaper", e.into()))?;
        let job = Job::new(signals.no_jobs());
        Ok(Flow { plan: &plan, runtime, signals, job }.until_end(destination.as_ref()).await)
    })
}

struct Flow<'a> {
    plan: &'a Plan,
    runtime: Arc<dyn Runtime>,
    signals: Signals,
    job: Job,
}

/// What is to be said and reported at the end.
struct Verdict {
    end: Termination,
    outcome: Outcome,
    reason: Option<String>,
    status: Option<Status>,
}

impl Verdict {
    fn new(outcome: Outcome, exit: Exit, reason: impl Into<String>) -> Self {
        Self { end: Termination::Exit(exit), outcome, reason: Some(reason.into()), status: None }
    }

    fn failed(exit: Exit, reason: impl Into<String>) -> Self {
        Self::new(Outcome::Failed, exit, reason)
    }

    fn interrupted(signal: Signal) -> Self {
        let name = signals::name(signal.as_raw());
        let exit = Exit::of_signal(signal.as_raw());
        let verdict = Self::new(Outcome::Interrupted, exit, format!("{name} came while waiting"));
        if signal == Signal::INT {
            Self { end: Termination::Interrupt { whole_job: false }, ..verdict }
        } else {
            verdict
        }
    }

    fn lost(reason: LostReason) -> Self {
        Self::new(Outcome::Lost, Exit::LOST, reason.to_string())
    }
}

/// What a grant adds to the report.
#[derive(Default)]
struct Times {
    fence: Option<u64>,
    waited: Option<u64>,
    held: Option<u64>,
}

impl Flow<'_> {
    async fn until_end(mut self, destination: Option<&Destination>) -> Termination {
        let mut times = Times::default();
        let plan = self.plan;
        let runtime = Arc::clone(&self.runtime);
        warnings::tell(plan.output);
        let opening = plan.store.open(plan.store_timeout, &*runtime);
        let verdict = match wait::or_signal(opening, &mut self.signals, &self.job).await {
            Err(signal) => Verdict::interrupted(signal),
            Ok(Err(e)) => {
                plan.output.error(e.to_string());
                Verdict::failed(Exit::of_error(&e), e.to_string())
            }
            Ok(Ok(locks)) => {
                let verdict = self.with_store(&locks, &mut times).await;
                self.close(&locks).await;
                verdict
            }
        };
        if let Some(destination) = destination {
            let report = report_of(plan, &verdict, &times);
            // It may go to stderr as well.
            output::drain();
            if let Err(e) = destination.write(&report) {
                plan.output.error(format!("--report: {e}"));
            }
        }
        verdict.end
    }

    async fn with_store(&mut self, locks: &Locks, times: &mut Times) -> Verdict {
        let plan = self.plan;
        if locks.capabilities().reach == Reach::Process {
            plan.output.notice("this store is seen by this process only: nobody is kept out");
        }
        let began = self.runtime.now();
        let mut mutex = locks
            .mutex(plan.key.as_str())
            .with_ttl(plan.ttl)
            .with_min_hold(plan.min_hold)
            .with_label(plan.label.as_str());
        if let Some(value) = &plan.owner {
            mutex = mutex.with_owner(value);
        }
        if let Some(limit) = plan.wait {
            mutex = mutex.with_wait(limit);
        }
        let waited =
            wait::for_lock(plan, &mutex, &mut self.signals, &self.job, &*self.runtime).await;
        let granted = self.runtime.now();
        times.waited = Some(millis(granted.since(began)));
        match waited {
            Waited::Signal(signal) => Verdict::interrupted(signal),
            Waited::Busy(message) => {
                plan.output.notice(&message);
                Verdict::new(Outcome::Busy, plan.busy_exit, message)
            }
            Waited::Failed(e) => {
                plan.output.error(e.to_string());
                Verdict::failed(Exit::of_error(&e), e.to_string())
            }
            Waited::Held(guard) => {
                times.fence = Some(guard.fence().get());
                plan.output.detail(|| {
                    let (key, fence) = (plan.key.as_str(), guard.fence());
                    let waited = crate::duration::show(granted.since(began));
                    let store = plan.store.describe(locks);
                    format!("{key:?} is held, fence {fence}, after {waited}, at {store}")
                });
                self.with_lock(locks, guard, granted, times).await
            }
        }
    }

    async fn with_lock(
        &mut self,
        locks: &Locks,
        guard: Guard,
        granted: Moment,
        times: &mut Times,
    ) -> Verdict {
        let plan = self.plan;
        let env = environment(plan, locks, &guard);
        let runtime = Arc::clone(&self.runtime);
        let ran = hold::run(plan, &env, &guard, &mut self.signals, &self.job, &*runtime).await;
        let (verdict, lost) = match ran {
            Ok(held) => {
                let end = Moment::from_micros(held.end.at_us);
                times.held = Some(millis(end.since(granted)));
                (verdict_of(plan, &held), held.lost)
            }
            Err(NotRun::Lost(reason)) => {
                let key = plan.key.as_str();
                plan.output.error(format!("lost {key:?} before CMD was started: {reason}"));
                (Verdict::lost(reason), Some(reason))
            }
            Err(NotRun::Signal(signal)) => (Verdict::interrupted(signal), None),
            Err(NotRun::NotStarted(not_started)) => (self.not_started(&not_started), None),
        };
        let Some(reason) = lost else {
            self.release(guard).await;
            return verdict;
        };
        // What may be left of the lease is given back beside what follows, and nobody waits.
        drop(guard);
        if let Some(line) = &plan.on_lost_exec {
            on_lost::run(line, reason, &env, &mut self.signals, &*runtime, plan.output).await;
        }
        verdict
    }

    fn not_started(&self, not_started: &NotStarted) -> Verdict {
        let (exit, message) = match not_started {
            NotStarted::Cmd(e) if e.kind() == std::io::ErrorKind::NotFound => {
                (Exit::NOT_FOUND, self.plan.cmd.not_started(e))
            }
            NotStarted::Cmd(e) => (Exit::NOT_EXECUTABLE, self.plan.cmd.not_started(e)),
            NotStarted::Sentry(e) => (Exit::INTERNAL, format!("cannot start the sentry: {e}")),
        };
        self.plan.output.error(&message);
        Verdict::failed(exit, message)
    }

    /// Gives the lock back. Whatever happens here does not hide how CMD ended.
    async fn release(&mut self, guard: Guard) {
        let limit = self.runtime.now() + self.plan.store_timeout;
        let runtime = Arc::clone(&self.runtime);
        let releasing = async {
            tokio::select! {
                biased;
                released = guard.release() => released.err().map(|e| e.to_string()),
                () = runtime.sleep_until(limit) => {
                    Some("the store did not answer the release".into())
                }
            }
        };
        let failed = wait::or_signal(releasing, &mut self.signals, &self.job).await;
        if let Ok(Some(message)) = failed {
            let ttl = crate::duration::show(self.plan.ttl);
            self.plan.output.notice(format!("{message}; the key is free in {ttl} at the latest"));
        }
    }

    /// Lets withdrawals and releases end; a second signal cuts that short.
    async fn close(&mut self, locks: &Locks) {
        let closing = locks.close(self.plan.store_timeout);
        if let Ok(Err(e)) = wait::or_signal(closing, &mut self.signals, &self.job).await {
            self.plan.output.notice(e.to_string());
        }
    }
}

fn environment(plan: &Plan, locks: &Locks, guard: &Guard) -> Environment {
    let mut env = Environment(plan.store.environment().into());
    for (name, value) in [
        ("TENURE_KEY", guard.key().as_str().into()),
        ("TENURE_FENCE", guard.fence().to_string().into()),
        ("TENURE_OWNER", guard.owner().value().into()),
        ("TENURE_STORE_NAME", (&*locks.store_name()).into()),
        (nested::VARIABLE, plan.held.clone()),
    ] {
        env.0.push((name, Some(value)));
    }
    env
}

fn verdict_of(plan: &Plan, held: &Held) -> Verdict {
    let status = held.end.status;
    let (end, reason) = match status {
        Some(Status::Code(code)) => (Exit(u8::try_from(code).unwrap_or(u8::MAX)), None),
        Some(Status::Signal(number)) => (Exit::of_signal(number), None),
        None => (Exit::INTERNAL, Some("nobody saw how CMD ended".to_owned())),
    };
    let by_itself = held.end.cause.is_none();
    let interrupted = status == Some(Status::Signal(Signal::INT.as_raw())) && by_itself;
    let whole_job = held.had_terminal;
    let end =
        if interrupted { Termination::Interrupt { whole_job } } else { Termination::Exit(end) };
    let verdict = match (held.lost, held.end.cause) {
        (Some(reason), _) => {
            let lost = Verdict::lost(reason);
            if plan.on_lost == OnLost::Kill { lost } else { Verdict { end, ..lost } }
        }
        (None, Some(Cause::MaxHold)) => {
            Verdict::new(Outcome::MaxHold, Exit::MAX_HOLD, "--max-hold was over")
        }
        (None, Some(_)) => Verdict::failed(Exit::INTERNAL, "the sentry was killed"),
        (None, None) => Verdict { end, outcome: Outcome::Ended, reason, status },
    };
    let left = held.end.left.iter().map(Survivor::left_behind);
    let reason = verdict.reason.into_iter().chain(left).collect::<Vec<_>>().join("; ");
    let reason = (!reason.is_empty()).then_some(reason);
    Verdict { status, reason, ..verdict }
}

fn report_of(plan: &Plan, verdict: &Verdict, times: &Times) -> Report {
    let exit = match verdict.end {
        Termination::Exit(exit) => exit,
        Termination::Interrupt { .. } => Exit::of_signal(Signal::INT.as_raw()),
    };
    let (code, signal) = match verdict.status {
        Some(Status::Code(code)) => (Some(code), None),
        Some(Status::Signal(number)) => (None, Some(number)),
        None => (None, None),
    };
    Report {
        key: plan.key.as_str().into(),
        outcome: verdict.outcome,
        exit: exit.0,
        code,
        signal,
        fence: times.fence,
        waited_ms: times.waited,
        held_ms: times.held,
        reason: verdict.reason.clone(),
    }
}
