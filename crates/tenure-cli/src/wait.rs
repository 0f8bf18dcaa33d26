//! From the start of `tenure run` to the lock: waiting in line, until a signal ends it.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use rustix::process::Signal;
use tenure::protocol::State;
use tenure::runtime::Runtime;
use tenure::{Error, ErrorKind, Guard};

use crate::job::Job;
use crate::lock::Lock;
use crate::plan::Plan;
use crate::progress::Progress;
use crate::signals::{self, Signals};
use crate::view::used;

/// How the waiting ended.
#[derive(Debug)]
pub(crate) enum Waited {
    Held(Guard),
    /// The message names the holder.
    Busy(String),
    Signal(Signal),
    Failed(Error),
}

/// Waits for the lock as planned. If it does not answer the guard, the claim is being withdrawn in
/// the background.
pub(crate) async fn for_lock(
    plan: &Plan,
    lock: &Lock,
    signals: &mut Signals,
    job: &Job,
    runtime: &dyn Runtime,
) -> Waited {
    let progress = Progress::new(plan.output);
    let telling = progress.tell(lock, plan.key.as_str(), runtime);
    let acquiring = async {
        if plan.wait == Some(Duration::ZERO) {
            return match lock.try_acquire().await {
                Ok(Some(guard)) => Waited::Held(guard),
                Ok(None) => Waited::Busy(holder_of(plan.key.as_str(), lock).await),
                Err(e) => Waited::Failed(e),
            };
        }
        match lock.acquire().await {
            Ok(guard) => Waited::Held(guard),
            Err(e) if e.kind() == ErrorKind::Busy => Waited::Busy(e.to_string()),
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

async fn holder_of(key: &str, lock: &Lock) -> String {
    let Ok(seen) = lock.inspect().await else { return format!("{key:?} is busy") };
    match (seen.holders.first(), &seen.state) {
        (Some(holder), _) => {
            let since = crate::duration::show(holder.since);
            let used = used(&seen);
            format!("{key:?} is busy: held by {} for {since}{used}", holder.label)
        }
        (None, State::Foreign(what)) => format!("{key:?} is busy: {what}"),
        (None, _) => format!("{key:?} is busy"),
    }
}
