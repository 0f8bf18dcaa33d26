//! Acquiring: with and without waiting, by force, and from a ticket. The answer is a lease that is
//! held; the caller makes a guard of it at once.

use std::sync::Arc;
use std::time::Duration;

use crate::observe::{self, within};
use crate::process::of_process;
use crate::runtime::Moment;
use crate::types::{Operation, Owner, Result};

use super::attempt::{Attempt, Failure, Tried, Way, guarded};
use super::cleanup::let_go;
use super::lease::LeaseEntry;
use super::options::AcquireOptions;
use super::{Engine, poll};

/// Asks once; `None` if others have the key.
pub(crate) async fn try_acquire(
    engine: &Arc<Engine>,
    options: &AcquireOptions,
) -> Result<Option<LeaseEntry>> {
    let span = observe::acquiring(&engine.name, &options.key);
    within(span, ask_once(engine, options)).await
}

async fn ask_once(engine: &Arc<Engine>, options: &AcquireOptions) -> Result<Option<LeaseEntry>> {
    let now = engine.now();
    let mut attempt = Attempt::new(engine, options, Way::Free, now)?;
    match attempt.try_once(now, Moment::NEVER).await {
        Ok(Tried::Granted(held)) => Ok(Some(attempt.into_held(held))),
        Ok(Tried::Busy { seen, .. }) => {
            // Nobody holds it, so "others have it" is no answer.
            if let Some(error) = seen.and_then(|seen| guarded(engine, &options.key, &seen)) {
                return Err(error);
            }
            observe::busy(&engine.name, &options.key, Duration::ZERO);
            Ok(None)
        }
        Err(Failure::Refused(error)) => Err(error),
        Err(Failure::Store(failure)) => Err(attempt.unknown(failure)),
    }
}

/// Waits until the lock is granted, or the limit of the wait has passed.
pub(crate) async fn acquire(engine: &Arc<Engine>, options: &AcquireOptions) -> Result<LeaseEntry> {
    let span = observe::acquiring(&engine.name, &options.key);
    if engine.capabilities().fifo {
        return within(span, wait_in_line(engine, options)).await;
    }
    let granted = within(span, of_process(poll::acquire(engine, options))).await;
    granted.unwrap_or_else(|_| Err(engine.failing(Operation::Acquire, &options.key).by_fork()))
}

async fn wait_in_line(engine: &Arc<Engine>, options: &AcquireOptions) -> Result<LeaseEntry> {
    let started = engine.now();
    let give_up = options.wait.map_or(Moment::NEVER, |wait| started + wait);
    loop {
        let mut attempt = Attempt::new(engine, options, Way::Free, started)?;
        let tried = if attempt.is_behind_others() {
            Tried::Busy { seen: None, look_in: Duration::ZERO, ran: None }
        } else {
            attempt.first_contact(give_up).await?
        };
        let held = match tried {
            Tried::Granted(held) => held,
            Tried::Busy { seen, .. } if engine.now() >= give_up => {
                return Err(attempt.busy(seen.as_ref()));
            }
            Tried::Busy { seen, .. } => {
                let granted = of_process(attempt.stand_in_line(seen, give_up)).await;
                let failing = engine.failing(Operation::Acquire, &options.key);
                granted.map_err(|_| failing.by_fork())??
            }
        };
        // While this task did not run, the lease may have ended: then it starts afresh.
        if held.lease.verdict(engine.now()).is_ok() {
            return Ok(attempt.into_held(held));
        }
        // This withdraws what is left of it.
        drop(attempt);
        let_go(engine, &held);
    }
}

/// Takes the lock by force, ahead of the line.
pub(crate) async fn steal(engine: &Arc<Engine>, options: &AcquireOptions) -> Result<LeaseEntry> {
    take(engine, options, Way::Steal).await
}

/// Takes over the lease of `from`, which has let go of it.
pub(crate) async fn adopt(
    engine: &Arc<Engine>,
    options: &AcquireOptions,
    from: Owner,
) -> Result<LeaseEntry> {
    take(engine, options, Way::Adopt(from)).await
}

async fn take(engine: &Arc<Engine>, options: &AcquireOptions, way: Way) -> Result<LeaseEntry> {
    let mut attempt = Attempt::new(engine, options, way, engine.now())?;
    match attempt.first_contact(Moment::NEVER).await? {
        Tried::Granted(held) => Ok(attempt.into_held(held)),
        Tried::Busy { seen, .. } => Err(attempt.busy(seen.as_ref())),
    }
}
