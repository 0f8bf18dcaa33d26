//! Runs of a job: their begin, where one is due, and their end with the outcome on record. It never
//! waits for a tick.

use std::sync::Arc;
use std::time::Duration;

use crate::observe::{self, within};
use crate::protocol::{Backoff, LastRun, Op, Outcome, Reply, Ticks};
use crate::runtime::Moment;
use crate::store::StoreError;
use crate::types::{Owner, Result};

use super::Engine;
use super::attempt::{Attempt, Tried, Way};
use super::cleanup::finish_later;
use super::lease::{LeaseEntry, LeaseState};
use super::options::AcquireOptions;

/// Time for which clients that begin at the same moment try to win a majority of a quorum's nodes.
const CONTEST: Duration = Duration::from_secs(2);
/// The first and the longest pause between their tries.
const FIRST_STEP: Duration = Duration::from_millis(4);
const LAST_STEP: Duration = Duration::from_millis(100);

/// The answer to a begin.
#[derive(Debug)]
pub(crate) enum Begun {
    Held(LeaseEntry),
    Skipped(Box<LastRun>),
}

/// Begins a run, if one is due.
pub(crate) async fn begin(
    engine: &Arc<Engine>,
    options: &AcquireOptions,
    ticks: Ticks,
) -> Result<Begun> {
    let span = observe::acquiring(&engine.name, &options.key);
    within(span, try_to_begin(engine, options, ticks)).await
}

async fn try_to_begin(
    engine: &Arc<Engine>,
    options: &AcquireOptions,
    ticks: Ticks,
) -> Result<Begun> {
    let started = engine.now();
    let mut pauses = Backoff::new(FIRST_STEP, LAST_STEP);
    // Those of our own that a quorum withdraws, now or later: they were never begun.
    let mut withdrawn: Vec<Owner> = Vec::new();
    loop {
        let mut attempt = Attempt::new(engine, options, Way::Begin(ticks), started)?;
        let contact = attempt.first_contact(Moment::NEVER).await?;
        if engine.capabilities().composite {
            withdrawn.extend(attempt.owners().cloned());
        }
        let seen = match contact {
            Tried::Granted(held) => return Ok(Begun::Held(attempt.into_held(held))),
            Tried::Busy { ran: Some(run), .. } if !withdrawn.contains(&run.owner) => {
                return Ok(Begun::Skipped(run));
            }
            Tried::Busy { seen, .. } => seen,
        };
        // Several that begin at once may each have won a part of a quorum's nodes.
        if engine.capabilities().fifo || engine.now() >= started + CONTEST {
            return Err(attempt.busy(seen.as_ref()));
        }
        drop(attempt);
        // The next try tells of a fork.
        let _forked = engine.sleep_until(engine.now() + pauses.apart(engine.jitter())).await;
    }
}

/// Puts the outcome of a run on record, and gives its lease back.
///
/// If the reply is lost, or this future is dropped, that goes on in the background.
pub(crate) async fn finish(
    engine: &Arc<Engine>,
    lease: &LeaseState,
    outcome: Outcome,
) -> Result<Reply, StoreError> {
    // A close waits for the answer.
    let _tracked = engine.track();
    let (owner, tombstone) = (lease.owner.clone(), lease.tombstone());
    let op = Op::Finish { owner, outcome, tombstone };
    let mut later = FinishLater { engine, lease, op: Some(op.clone()) };
    let reply = engine.ask(&lease.key, op, engine.now(), Moment::NEVER).await?;
    later.op = None;
    engine.tables.poll_queue().freed(&lease.key);
    Ok(reply)
}

/// Leaves the end of a run to the background when it is dropped, if that is needed.
struct FinishLater<'a> {
    engine: &'a Arc<Engine>,
    lease: &'a LeaseState,
    op: Option<Op>,
}

impl Drop for FinishLater<'_> {
    fn drop(&mut self) {
        let Some(op) = self.op.take() else { return };
        if self.engine.process.is_current() {
            finish_later(self.engine, self.lease, op);
        }
    }
}
