//! From the start of `tenure run` to the lock: waiting in line, until a signal ends it.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use rustix::process::Signal;
use tenure::protocol::{Inspection, State};
use tenure::runtime::Runtime;
use tenure::{Error, ErrorKind, Key, Label, LastRun, Locks};

use crate::job::Job;
use crate::keys::Keys;
use crate::lock::{Answer, Grip, Lock};
use crate::plan::Plan;
use crate::progress::Progress;
use crate::shell;
use crate::signals::{self, Signals};
use crate::told;
use crate::view::used;

/// Time that the store still has for its answers when a signal cuts the wait for them short.
/// `timeout` sends its signal twice, to the process and to the group that it is in: the second is
/// no wish to leave a place in the line behind.
const CUT_SHORT: Duration = Duration::from_millis(500);

/// The subject of a wait.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) keys: &'a Keys,
    /// Our own.
    pub(crate) label: &'a Label,
    /// The options that name the store; see [`crate::store::typed`].
    pub(crate) store: &'a str,
    /// The wait is a candidate's.
    pub(crate) is_candidacy: bool,
}

/// How the waiting ended.
#[derive(Debug)]
pub(crate) enum Waited {
    Held(Grip),
    /// The message names the holder.
    Busy(String),
    /// No run of the job is due.
    Skipped(LastRun),
    Signal(Signal),
    Failed(Error),
}

/// Waits for the lock as planned. If it does not answer the guard, the claim is being withdrawn in
/// the background.
pub(crate) async fn for_lock(
    plan: &Plan,
    locks: &Locks,
    lock: &Lock,
    signals: &mut Signals,
    job: &Job,
    runtime: &dyn Runtime,
) -> Waited {
    let progress = Progress::new(plan.output);
    let subject = plan.subject();
    let telling = progress.tell(locks, subject, runtime);
    let acquiring = async {
        let answer = match plan.wait {
            Some(Duration::ZERO) => lock.try_acquire().await,
            _ => lock.acquire().await,
        };
        match answer {
            Ok(Answer::Held(grip)) => Waited::Held(grip),
            Ok(Answer::Stolen(grip, seen)) => {
                let key = plan.keys.first();
                if let Some(told) = told::stolen(key, &seen, runtime.wall_micros()) {
                    plan.output.notice_of("stolen", told);
                }
                Waited::Held(grip)
            }
            Ok(Answer::Busy) => Waited::Busy(holder_of(locks, subject, runtime).await),
            Ok(Answer::Skipped(last)) => Waited::Skipped(last),
            Err(e) if e.kind() == ErrorKind::Busy => {
                let kept = kept_for(locks, subject, runtime).await.map(|kept| format!("; {kept}"));
                Waited::Busy(format!("{e}{}", kept.unwrap_or_default()))
            }
            Err(e) => Waited::Failed(e),
        }
    };
    let waiting = async {
        tokio::select! {
            biased;
            waited = acquiring => waited,
            () = telling => unreachable!("it tells without end"),
        }
    };
    or_signal(waiting, signals, job).await.unwrap_or_else(Waited::Signal)
}

/// `work`, unless a signal comes that would have ended this process.
pub(crate) async fn or_signal<T>(
    work: impl Future<Output = T>,
    signals: &mut Signals,
    job: &Job,
) -> Result<T, Signal> {
    let mut work = pin!(work);
    loop {
        tokio::select! {
            biased;
            signal = signals.next() => match signal {
                Signal::TSTP | Signal::TTIN | Signal::TTOU => job.stop(None),
                signal if signals::is_passed_on(signal) => return Err(signal),
                _ => {}
            },
            done = &mut work => return Ok(done),
        }
    }
}

/// How the wait for the last answers ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Closed {
    /// The store has answered all that it was asked.
    pub(crate) is_answered: bool,
    /// The signal that cut the wait short.
    pub(crate) signal: Option<Signal>,
}

/// Waits until the store has answered all that it was asked, for so long at most. A signal cuts
/// that short.
pub(crate) async fn for_answers(
    locks: &Locks,
    time: Duration,
    signals: &mut Signals,
    job: &Job,
    runtime: &dyn Runtime,
) -> Closed {
    let mut closing = pin!(locks.close(time));
    let (closed, signal) = match or_signal(closing.as_mut(), signals, job).await {
        Ok(closed) => (Some(closed), None),
        Err(signal) => {
            let closed = tokio::select! {
                biased;
                closed = closing => Some(closed),
                () = runtime.sleep_until(runtime.now() + CUT_SHORT) => None,
            };
            (closed, Some(signal))
        }
    };
    Closed { is_answered: closed.is_some_and(|closed| closed.is_ok()), signal }
}

/// The key that the run waits for, and its state: the first that others hold. The keys before it
/// are held by this run itself.
pub(crate) async fn blocked_on<'a>(
    locks: &Locks,
    subject: Subject<'a>,
) -> (&'a Key, tenure::Result<Inspection>) {
    let mut last = None;
    for key in subject.keys.iter() {
        let seen = locks.mutex(key).inspect().await;
        let is_ours = |seen: &Inspection| {
            let ours = |holder: &tenure::protocol::HolderView| holder.label == *subject.label;
            seen.state == State::Free || seen.holders.first().is_some_and(ours)
        };
        let is_past = seen.as_ref().is_ok_and(is_ours);
        last = Some((key, seen));
        if !is_past {
            break;
        }
    }
    last.expect("a run has a key")
}

/// The text about a key that nobody holds any more, and that is kept all the same.
async fn kept_for(locks: &Locks, subject: Subject<'_>, runtime: &dyn Runtime) -> Option<String> {
    let seen = blocked_on(locks, subject).await.1.ok()?;
    let holder = seen.holders.first().filter(|holder| holder.kept)?;
    Some(told::kept(holder, runtime.wall_micros()))
}

/// That the key is busy, and by whom.
pub(crate) async fn holder_of(
    locks: &Locks,
    subject: Subject<'_>,
    runtime: &dyn Runtime,
) -> String {
    let (key, seen) = blocked_on(locks, subject).await;
    let (key, store) = (key.as_str(), locks.store_name());
    let others = || format!("others hold {} at {store}", subject.keys);
    let Ok(seen) = seen else { return others() };
    let busy = match (seen.holders.first(), &seen.state) {
        (Some(holder), _) if holder.kept => {
            let kept = told::kept(holder, runtime.wall_micros());
            format!("{key:?} at {store}: {kept} ({})", holder.label)
        }
        (Some(holder), _) => {
            let since = crate::duration::show(holder.since);
            let used = used(&seen);
            format!("{key:?} at {store} is held by {} for {since}{used}", holder.label)
        }
        (None, State::Foreign(what)) => return format!("{key:?} at {store}: {what}"),
        (None, _) => others(),
    };
    format!("{busy}; tenure status{} {} shows more", subject.store, shell::quoted(key))
}
