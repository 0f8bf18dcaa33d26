//! The promises of a job that runs once per tick, over every store.

pub(crate) mod recording;
pub(crate) mod ticks;

use std::time::Duration;

use tenure::{Begun, LastRun, Locks, Once, OnceGuard};

/// No test takes so long.
const LONG: Duration = Duration::from_secs(20 * 60);

/// A job whose next tick no test sees.
fn job(locks: &Locks) -> Once {
    locks.once("key").every(LONG).since_last_run()
}

async fn begun(once: &Once) -> OnceGuard {
    match once.begin().await.expect("an answer") {
        Begun::Ours(guard) => guard,
        Begun::Skipped(last) => panic!("skipped: {last}"),
    }
}

async fn skipped(once: &Once) -> LastRun {
    match once.begin().await.expect("an answer") {
        Begun::Ours(guard) => panic!("it runs: {guard:?}"),
        Begun::Skipped(last) => last,
    }
}

/// Whether it is one run in one state. Each node of a quorum says by its own clock how long it
/// took.
fn is_same(one: &LastRun, other: &LastRun) -> bool {
    let what = |run: &LastRun| (run.owner.clone(), run.label.clone(), run.begun, run.state.clone());
    what(one) == what(other) && one.took.is_some() == other.took.is_some()
}

async fn last(once: &Once) -> LastRun {
    once.last().await.expect("a look").expect("a run")
}
