//! `tenure run`: the flow from a checked plan to an exit code.

mod closing;
mod elect;
mod no_cmd;
mod verdict;

use std::sync::Arc;
use std::time::Duration;

use tenure::runtime::{Moment, Runtime};
use tenure::store::Reach;
use tenure::{LastRun, Lease, Locks, LostReason};

use crate::args::{ElectArgs, RunArgs};
use crate::command::Environment;
use crate::contact::Contact;
use crate::duration::show;
use crate::exit::{Exit, Refusal};
use crate::hold::{self, NotRun};
use crate::job::Job;
use crate::lock::{Grip, Part};
use crate::log;
use crate::nested;
use crate::on_lost;
use crate::output;
use crate::plan::{NoPlan, Plan};
use crate::report::{Destination, Outcome, ReportTo, millis};
use crate::signals::Signals;
use crate::store::Located;
use crate::wait::{self, Waited};
use crate::warnings;

pub(crate) use no_cmd::Unstarted;
pub(crate) use verdict::Termination;
use verdict::{Times, Verdict};

/// The longest time of a grant from the queue that is not confirmed yet.
const LONGEST_GRANT: Duration = Duration::from_secs(3);

/// Runs CMD under the lock.
pub(crate) fn run(args: RunArgs) -> Result<Termination, Refusal> {
    follow(Plan::of(args))
}

/// Runs CMD whenever this host leads.
pub(crate) fn elect(args: ElectArgs) -> Result<Termination, Refusal> {
    follow(Plan::of_candidate(args))
}

fn follow(plan: Result<Plan, NoPlan>) -> Result<Termination, Refusal> {
    let plan = &match plan {
        Ok(plan) => plan,
        Err(NoPlan::Refused(refusal)) => return Err(refusal),
        Err(NoPlan::NoCmd(unstarted)) => return Ok(unstarted.end()),
    };
    let destination = plan.report.as_ref().map(|to| destination(to, &plan.store)).transpose()?;
    let keys = plan.keys.iter().map(|key| key.as_str().to_owned()).collect();
    log::about(keys, plan.store.identity(), plan.label.as_str().to_owned());
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
        let (times, release_until, unreleased) = (Times::now(), None, None);
        let flow = Flow { plan, runtime, signals, job, times, release_until, unreleased };
        Ok(flow.until_end(destination.as_ref()).await)
    })
}

/// Opens the place of the report, which is no file of the store.
fn destination(to: &ReportTo, store: &Located) -> Result<Destination, Refusal> {
    let (path, option) = (&to.path, to.option());
    if store.is_made_of(path) {
        let message = format!("{option}: {} belongs to the store of the lock", path.display());
        return Err(Refusal::usage(message));
    }
    Destination::open(to)
        .map_err(|e| Refusal::config(format!("{option}: cannot write {}: {e}", path.display())))
}

struct Flow<'a> {
    plan: &'a Plan,
    runtime: Arc<dyn Runtime>,
    signals: Signals,
    job: Job,
    times: Times,
    /// Until when the store has time for the release, and for all that is left after it.
    release_until: Option<Moment>,
    /// The store has not answered the release: what there is to say of that.
    unreleased: Option<String>,
}

impl Flow<'_> {
    async fn until_end(mut self, destination: Option<&Destination>) -> Termination {
        let plan = self.plan;
        let runtime = Arc::clone(&self.runtime);
        warnings::tell(plan.output);
        let began = runtime.now();
        let contact = Contact::new(plan.wanted(), &*runtime, began);
        let opened = wait::or_signal(contact.open(), &mut self.signals, &self.job).await;
        self.times.waited = Some(millis(runtime.now().since(began)));
        let verdict = match opened {
            Err(signal) => Verdict::interrupted(signal),
            Ok(Err(e)) => {
                plan.output.fail(Exit::of_error(&e), e.to_string());
                Verdict::of_error(&e)
            }
            Ok(Ok(locks)) => {
                self.times.store = Some(locks.store_name().to_string());
                let verdict = match plan.candidate {
                    Some(_) => self.elect(&locks).await,
                    None => self.with_store(&locks, began).await,
                };
                self.close(&locks, verdict).await
            }
        };
        if let (Some(destination), Some(to)) = (destination, &plan.report) {
            let report = verdict.report(&plan.keys, &plan.label, &self.times);
            // It may go to stderr as well.
            output::drain();
            if let Err(e) = destination.write(&report) {
                let path = to.path.display();
                plan.output.error(format!("the report is not written to {path}: {e}"));
            }
        }
        verdict.end
    }

    /// Waits for the lock, and runs CMD. The wait counts from `began`.
    async fn with_store(&mut self, locks: &Locks, began: Moment) -> Verdict {
        let plan = self.plan;
        if locks.capabilities().reach == Reach::Process {
            plan.output.notice("this store is seen by this process only: nobody is kept out");
        }
        loop {
            if let Some(verdict) = self.in_turn(locks, began).await {
                return verdict;
            }
        }
    }

    /// Waits for the lock once. `None` if it came, and was lost before CMD was started.
    async fn in_turn(&mut self, locks: &Locks, began: Moment) -> Option<Verdict> {
        let plan = self.plan;
        let store = plan.store.describe(locks);
        plan.output.detail("waiting", || format!("waiting for {} at {store}", plan.keys));
        let waited = self.wait(locks, began).await;
        let granted = self.runtime.now();
        self.times.waited = Some(millis(granted.since(began)));
        Some(match waited {
            Waited::Signal(signal) => Verdict::interrupted(signal),
            // Told once the store has confirmed it.
            Waited::Busy(message) => Verdict::new(Outcome::Busy, plan.busy_exit, message),
            Waited::Failed(e) => {
                plan.output.fail(Exit::of_error(&e), e.to_string());
                Verdict::of_error(&e)
            }
            Waited::Skipped(last) => self.skipped(&last),
            Waited::Held(grip) => {
                let fences = grip.leases().iter().map(|lease| lease.fence().get());
                self.times.fences = Some(fences.collect());
                for lease in grip.leases() {
                    if plan.candidate.is_some() {
                        let (key, term) = (lease.key().as_str(), lease.fence());
                        plan.output.notice_of("leads", format!("leads {key:?} in term {term}"));
                    }
                    plan.output.detail("held", || {
                        let waited = show(granted.since(began));
                        let key = lease.key().as_str();
                        let fence = lease.fence();
                        format!("{key:?} is held after {waited}, fence {fence}, at {store}")
                    });
                }
                return self.with_lock(locks, grip, began).await;
            }
        })
    }

    /// Waits for the lock, and for a store that fails before it gives it.
    async fn wait(&mut self, locks: &Locks, began: Moment) -> Waited {
        let plan = self.plan;
        let runtime = Arc::clone(&self.runtime);
        let contact = Contact::new(plan.wanted(), &*runtime, began);
        let mut lock = plan
            .lock(locks)
            .with_ttl(plan.ttl)
            .with_min_hold(plan.min_hold)
            .with_label(plan.label.as_str());
        if let Some(value) = &plan.owner {
            lock = lock.with_owner(value);
        }
        loop {
            if let Some(left) = contact.left() {
                lock = lock.with_wait(left);
            }
            let (signals, job) = (&mut self.signals, &self.job);
            let error = match wait::for_lock(plan, locks, &lock, signals, job, &*runtime).await {
                Waited::Failed(error) if contact.goes_on_after(&error) => error,
                waited => return waited,
            };
            match wait::or_signal(contact.again(locks, error), signals, job).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return Waited::Failed(error),
                Err(signal) => return Waited::Signal(signal),
            }
        }
    }

    /// No run of the job is due: who ran it, when, and how it ended.
    fn skipped(&self, last: &LastRun) -> Verdict {
        let plan = self.plan;
        let message = format!("{} is skipped: {last}", plan.keys);
        plan.output.notice(&message);
        let exit = match plan.part {
            Part::Once(rule) => Exit(rule.skip_exit),
            _ => Exit::INTERNAL,
        };
        Verdict::new(Outcome::Skipped, exit, message)
    }

    /// `None` if the lock is waited for again.
    async fn with_lock(&mut self, locks: &Locks, grip: Grip, began: Moment) -> Option<Verdict> {
        let plan = self.plan;
        let env = environment(plan, locks, grip.leases());
        let runtime = Arc::clone(&self.runtime);
        let granted = runtime.now();
        let lease = grip.lease();
        let store = locks.store_name();
        let ran = hold::run(plan, &env, &lease, &store, &mut self.signals, &self.job, &*runtime);
        let ran = ran.await;
        let (verdict, lost) = match ran {
            Ok(held) => {
                let end = Moment::from_micros(held.end.at_us);
                self.times.held = Some(millis(end.since(granted)));
                let lost = held.lost.as_ref().map(|lost| lost.reason);
                (Verdict::of_cmd(plan, &held), lost)
            }
            Err(NotRun::Lost(reason)) if self.waits_again(reason, began) => {
                let message = format!("{}: lost before CMD was started: {reason}", plan.keys);
                plan.output.notice(format!("{message}; waiting again"));
                self.times.fences = None;
                return None;
            }
            Err(NotRun::Lost(reason)) => {
                let message = format!("{}, before CMD was started: {reason}", plan.keys);
                plan.output.fail(Exit::LOST, message);
                (Verdict::lost(reason.to_string()), Some(reason))
            }
            Err(NotRun::Signal(signal)) => (Verdict::interrupted(signal), None),
            Err(NotRun::NotStarted(not_started)) => {
                let verdict = Verdict::not_started(plan, &not_started);
                if let (Some(message), Termination::Exit(exit)) = (&verdict.reason, verdict.end) {
                    plan.output.fail(exit, message);
                }
                (verdict, None)
            }
        };
        let Some(reason) = lost else {
            self.tell_end(&verdict);
            let taken = self.release(grip, verdict.of_job()).await;
            return Some(verdict.with_reasons(taken));
        };
        // The rest of the lease is given back in the background: nobody waits for it here.
        drop(grip);
        if let Some(line) = &plan.on_lost_exec {
            on_lost::run(line, reason, &env, &mut self.signals, &*runtime, plan.output).await;
        }
        Some(verdict)
    }
}

impl Flow<'_> {
    /// Whether a lock that was lost before CMD was started is waited for once more: nothing was
    /// done under it. A grant from the queue is short until it is confirmed, so a pause of this
    /// process or of its store takes it away.
    fn waits_again(&self, reason: LostReason, began: Moment) -> bool {
        let plan = self.plan;
        let is_taken = matches!(reason, LostReason::Expired | LostReason::Gone);
        let in_line = match plan.part {
            Part::Whole | Part::Shared | Part::Permits { .. } => plan.candidate.is_none(),
            Part::Stolen | Part::Once(_) => false,
        };
        let is_over = plan.wait.is_some_and(|wait| self.runtime.now() >= began + wait);
        // A shorter lease is no longer than such a grant, and may be too short for this machine.
        is_taken && in_line && !is_over && plan.ttl > LONGEST_GRANT
    }

    /// CMD has ended, and the lock is still held.
    fn tell_end(&self, verdict: &Verdict) {
        let Some(status) = verdict.status else { return };
        let held = show(Duration::from_millis(self.times.held.unwrap_or_default()));
        self.plan.output.detail("ended", || format!("CMD {status} after {held}"));
    }
}

/// Of several keys, the variables have a line for each, in one order.
fn environment(plan: &Plan, locks: &Locks, leases: &[Lease]) -> Environment {
    let lines = |text: fn(&Lease) -> String| {
        let lines: Vec<_> = leases.iter().map(text).collect();
        lines.join("\n").into()
    };
    let mut env = Environment(plan.store.environment().into());
    for (name, value) in [
        ("TENURE_KEY", lines(|lease| lease.key().to_string())),
        ("TENURE_FENCE", lines(|lease| lease.fence().to_string())),
        ("TENURE_OWNER", lines(|lease| lease.owner().value().to_owned())),
        ("TENURE_STORE_NAME", (&*locks.store_name()).into()),
        (nested::VARIABLE, plan.held.clone()),
    ] {
        env.0.push((name, Some(value)));
    }
    env
}
