//! Several keys in one step of the store, where all of them are free and the store can. Otherwise
//! in ordered steps, with roll-back: each key is a request of its own. All have one order, so that
//! nobody who holds a key waits for an earlier one.

use std::sync::Arc;

use crate::engine::{self, AcquireOptions, Engine, LeaseEntry};
use crate::guard::Guard;
use crate::mutants;
use crate::process::OfProcess;
use crate::runtime::Moment;
use crate::types::{Operation, Result};

use super::lease::first_to_lose;

/// Takes all at once if they are free, and otherwise waits for one key after the other.
///
/// If a key is lost while a later one is awaited, all of it begins anew.
pub(super) async fn acquire(
    engine: &OfProcess<Arc<Engine>>,
    options: &[AcquireOptions],
    give_up: Moment,
) -> Result<Vec<Guard>> {
    check(engine, options)?;
    loop {
        if let Some(guards) = acquire_once(engine, options, give_up).await? {
            return Ok(guards);
        }
        // The keys are lost to a forked process: it must not touch the tables again.
        let forked = |_| engine.failing(Operation::Acquire, &options[0].key).by_fork();
        engine.here().map_err(forked)?;
    }
}

/// `None` if a key was lost before the last one was held.
async fn acquire_once(
    engine: &Arc<Engine>,
    options: &[AcquireOptions],
    give_up: Moment,
) -> Result<Option<Vec<Guard>>> {
    if can_be_one_step(engine, options)
        && let Some(held) = engine::acquire_at_once(engine, options, give_up).await?
    {
        return Ok(if_held(guards(engine, held)));
    }
    let mut taken: Vec<Guard> = Vec::with_capacity(options.len());
    for options in options {
        let wait = (give_up != Moment::NEVER).then(|| give_up.since(engine.now()));
        let options = AcquireOptions { wait, ..options.clone() };
        let held = tokio::select! {
            biased;
            held = engine::acquire(engine, &options) => held,
            () = first_to_lose(&taken) => return Ok(None),
        };
        let held = held.inspect_err(|_| keep_one(&mut taken))?;
        taken.push(Guard::new(engine, held));
    }
    Ok(if_held(taken))
}

/// Asks once, for all keys in one step where the store can, and otherwise for one after the other.
/// `None` if one cannot be had.
pub(super) async fn try_acquire(
    engine: &Arc<Engine>,
    options: &[AcquireOptions],
) -> Result<Option<Vec<Guard>>> {
    check(engine, options)?;
    if can_be_one_step(engine, options) {
        let Some(held) = engine::try_acquire_all(engine, options).await? else { return Ok(None) };
        let taken = guards(engine, held);
        taken.iter().try_for_each(|guard| guard.check())?;
        return Ok(Some(taken));
    }
    let mut taken = Vec::with_capacity(options.len());
    for options in options {
        let Some(held) = engine::try_acquire(engine, options).await? else {
            keep_one(&mut taken);
            return Ok(None);
        };
        taken.push(Guard::new(engine, held));
    }
    taken.iter().try_for_each(|guard: &Guard| guard.check())?;
    Ok(Some(taken))
}

/// Whether the store takes all keys in one step.
fn can_be_one_step(engine: &Engine, options: &[AcquireOptions]) -> bool {
    options.len() > 1 && engine.capabilities().groups
}

fn guards(engine: &Arc<Engine>, held: Vec<LeaseEntry>) -> Vec<Guard> {
    held.into_iter().map(|held| Guard::new(engine, held)).collect()
}

/// While this task did not run, a lease may have ended.
fn if_held(taken: Vec<Guard>) -> Option<Vec<Guard>> {
    Some(taken).filter(|taken| taken.iter().all(|guard| guard.held()))
}

/// A fault that the simulation finds, and nothing without it: one key is not given back.
fn keep_one(taken: &mut Vec<Guard>) {
    if mutants::has!(HalfRolledBack) {
        taken.pop().into_iter().for_each(std::mem::forget);
    }
}

/// Refuses all keys for one that the store refuses, before anything is touched.
fn check(engine: &Engine, options: &[AcquireOptions]) -> Result<()> {
    options.iter().try_for_each(|options| engine::check_acquire(engine, options))
}
