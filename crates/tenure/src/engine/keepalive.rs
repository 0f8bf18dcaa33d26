//! The keepalive task: it renews leases, sends heartbeats and cleanups in batches, and ends what
//! has expired. It never waits for a call: calls run beside it. If it is held up, the schedule's
//! bell still announces the leases that expire.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::observe;
use crate::protocol::{Reply, Request};
use crate::runtime::{Moment, Runtime, shielded};
use crate::store::{Links, Store, StoreError};

use super::Engine;
use super::lease::TimerId;
use super::options::LocksOptions;
use super::queue;
use super::renew::{self, Renewing};
use super::schedule::{Cleanup, Timer};
use super::waiter::Waiter;

/// Maximum number of steps in one call.
const BATCH: usize = 1_000;
/// How far ahead the task looks for renewals that may as well be sent now.
const HORIZON: Duration = Duration::from_secs(10);
/// Pause of the task after a panic.
const AFTER_PANIC: Duration = Duration::from_millis(10);
/// Time beyond the store's limit after which a cleanup is sent again, if its call has not ended.
const CLEANUP_GRACE: Duration = Duration::from_secs(1);

/// The sender of a step, to which its reply goes.
enum Errand {
    Renewal(Renewing),
    Heartbeat(TimerId, Arc<Waiter>),
    Cleanup(TimerId, Arc<Cleanup>),
}

/// Starts an engine and its keepalive task, which ends with it.
pub(crate) fn start(
    store: Arc<dyn Store>,
    runtime: &Arc<dyn Runtime>,
    options: LocksOptions,
) -> Arc<Engine> {
    // Before the first lease, since the task may come to run later than that.
    let links = store.links();
    let changed = Arc::new(Notify::new());
    let engine = Engine::new(store, Arc::clone(runtime), options, Arc::clone(&changed));
    let engine = Arc::new(engine);
    let task = run(Arc::downgrade(&engine), engine.gone.clone(), changed, links);
    runtime.spawn(Box::pin(task));
    engine
}

async fn run(
    engine: Weak<Engine>,
    gone: CancellationToken,
    changed: Arc<Notify>,
    mut links: Option<watch::Receiver<Links>>,
) {
    let mut known = Links::default();
    loop {
        let Some(present) = engine.upgrade() else { return };
        let after_panic = match shielded(|| run_due(&present)) {
            Some(()) => None,
            None => Some(present.sleep_until(present.now() + AFTER_PANIC)),
        };
        drop(present);
        if let Some(pause) = after_panic {
            // A defect must not end the keeping of leases, nor use up a processor.
            let _forked = pause.await;
            continue;
        }
        tokio::select! {
            biased;
            () = gone.cancelled() => return,
            () = changed.notified() => {}
            now = next_change(&mut links) => {
                let before = std::mem::replace(&mut known, now);
                if let Some(engine) = engine.upgrade() {
                    shielded(|| renew::revalidate_all(&engine, now.cut > before.cut));
                }
            }
        }
    }
}

/// The links after their next change. It never ends where there are none.
async fn next_change(links: &mut Option<watch::Receiver<Links>>) -> Links {
    if let Some(receiver) = links {
        if receiver.changed().await.is_ok() {
            return *receiver.borrow_and_update();
        }
        *links = None;
    }
    std::future::pending().await
}

/// Does what is due, and renews what may be renewed if anything goes out anyway.
fn run_due(engine: &Arc<Engine>) {
    let now = engine.now();
    #[cfg(tenure_mutants)]
    engine.stale_clock.store(now.as_micros(), std::sync::atomic::Ordering::Release);
    let mut due = engine.tables.due(now, |_, _| true);
    if due.iter().any(|(_, _, timer)| !matches!(timer, Timer::Cleanup(_))) {
        due = engine.tables.due(now + HORIZON, |at, timer| match timer {
            Timer::Lease(lease) => at <= now || renew::may_renew(lease, now),
            Timer::Waiter(_) | Timer::Cleanup(_) => at <= now,
        });
    }
    let steps = due.into_iter().filter_map(|(_, id, timer)| visit(engine, id, timer, now));
    for mut batch in apart(&*engine.store, steps) {
        while !batch.is_empty() {
            let rest = batch.split_off(batch.len().min(BATCH));
            send(engine, std::mem::replace(&mut batch, rest), now);
        }
    }
    engine.tables.rest(now);
}

/// Steps that do not wait for each other: those of each part of the store, and where grants are
/// slow, heartbeats beside all others.
fn apart(
    store: &dyn Store,
    steps: impl Iterator<Item = (Request, Errand)>,
) -> Vec<Vec<(Request, Errand)>> {
    let has_slow_grants = store.capabilities().slow_grants;
    let mut batches: Vec<((u32, bool), Vec<_>)> = Vec::new();
    for (step, errand) in steps {
        let is_slow = has_slow_grants && matches!(errand, Errand::Heartbeat(..));
        let kind = (store.part_of(&step.key), is_slow);
        match batches.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, steps)) => steps.push((step, errand)),
            None => batches.push((kind, vec![(step, errand)])),
        }
    }
    batches.into_iter().map(|(_, steps)| steps).collect()
}

/// The step that an entry sends now, if any.
fn visit(
    engine: &Arc<Engine>,
    id: TimerId,
    timer: Timer,
    now: Moment,
) -> Option<(Request, Errand)> {
    match timer {
        Timer::Lease(lease) => {
            let (step, renewing) = renew::visit(engine, id, lease, now)?;
            Some((step, Errand::Renewal(renewing)))
        }
        Timer::Waiter(waiter) => {
            let step = queue::heartbeat(engine, id, &waiter, now)?;
            Some((step, Errand::Heartbeat(id, waiter)))
        }
        Timer::Cleanup(cleanup) if now > cleanup.until => {
            observe::gave_up_undoing(&*engine.runtime, &cleanup.key);
            engine.tables.leave_cleanup(id);
            None
        }
        Timer::Cleanup(cleanup) => {
            let again = now + engine.options.store_timeout + CLEANUP_GRACE;
            engine.tables.move_to(id, again);
            let step = Request { key: cleanup.key.clone(), op: cleanup.op.clone() };
            Some((step, Errand::Cleanup(id, cleanup)))
        }
    }
}

/// Sends a batch beside the keepalive task, and brings each reply to its sender.
fn send(engine: &Arc<Engine>, batch: Vec<(Request, Errand)>, sent: Moment) {
    let (steps, errands): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
    let this = Arc::clone(engine);
    engine.runtime.spawn(Box::pin(async move {
        match this.call(steps, sent + this.options.store_timeout).await {
            Ok(replies) => {
                let renewed = replies.iter().filter(|reply| **reply == Reply::Renewed).count();
                observe::renewals(&*this.runtime, &this.name, renewed);
                for (errand, reply) in errands.into_iter().zip(replies) {
                    // It wakes tasks of the program.
                    shielded(|| answered(&this, errand, reply, sent));
                }
            }
            Err(failure) => {
                for errand in errands {
                    shielded(|| failed(&this, errand, &failure));
                }
            }
        }
    }));
}

fn answered(engine: &Arc<Engine>, errand: Errand, reply: Reply, sent: Moment) {
    if let Errand::Heartbeat(id, waiter) = errand {
        return queue::heartbeat_answered(engine, id, &waiter, reply, sent);
    }
    let reply = match StoreError::unless_failed(reply) {
        Ok(reply) => reply,
        Err(failure) => return failed(engine, errand, &failure),
    };
    match errand {
        Errand::Renewal(renewing) => renew::answered(engine, &renewing, &reply),
        Errand::Heartbeat(..) => {}
        Errand::Cleanup(id, cleanup) => {
            if cleanup.recheck_queue {
                engine.tables.recheck_first(&cleanup.key, engine.now());
            }
            engine.tables.leave_cleanup(id);
            engine.tables.poll_queue().freed(&cleanup.key);
        }
    }
}

fn failed(engine: &Arc<Engine>, errand: Errand, failure: &StoreError) {
    match errand {
        Errand::Renewal(renewing) => renew::failed(engine, &renewing, failure),
        Errand::Heartbeat(id, waiter) => queue::heartbeat_failed(engine, id, &waiter, failure),
        Errand::Cleanup(id, cleanup) => {
            engine.tables.move_to(id, engine.now() + cleanup.pause(engine.jitter()));
        }
    }
}
