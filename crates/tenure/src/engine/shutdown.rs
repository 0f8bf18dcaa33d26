//! The end of an engine: it gives back all that is held or awaited, and waits for the store's
//! answers. Afterwards everything is refused.

use std::sync::Arc;
use std::time::Duration;

use crate::process::of_process;
use crate::types::{ErrorKind, Operation, Result};

use super::Engine;
use super::cleanup::{close_lease, withdraw_if_asked};
use super::timer::Timer;
use super::waiter::Waiter;

/// Closes the engine, and waits for the store's answers for at most `limit`.
pub(crate) async fn close(engine: &Arc<Engine>, limit: Duration) -> Result<()> {
    let failing = engine.failing(Operation::Close, None);
    give_everything_back(engine);
    let until = engine.now() + limit;
    let rest = of_process(engine.tables.rest_until(&*engine.runtime, until));
    match rest.await.map_err(|_| failing.by_fork())? {
        0 => Ok(()),
        left => {
            let message = format!(
                "{left} requests were not answered within {limit:?}; their keys are free when \
                 their ttl ends"
            );
            Err(failing.with(ErrorKind::Unavailable, message).with_may_hold(true))
        }
    }
}

fn give_everything_back(engine: &Arc<Engine>) {
    for waiter in engine.tables.close() {
        end_waiting(engine, &waiter);
    }
    for (id, timer) in engine.tables.all() {
        match timer {
            Timer::Lease(lease) => close_lease(engine, id, &lease),
            Timer::Waiter(waiter) => {
                end_waiting(engine, &waiter);
                engine.tables.leave_waiter(&waiter.acquire.owner, engine.now());
            }
            Timer::Cleanup(_) => {}
        }
    }
}

fn end_waiting(engine: &Arc<Engine>, waiter: &Waiter) {
    waiter.fail(engine.failing(Operation::Acquire, &waiter.key).by_close());
    withdraw_if_asked(engine, waiter);
}

/// The last handle is gone: blocks its thread until the store has answered everything, for at most
/// `limit`, where the runtime allows that.
pub(crate) fn linger(engine: &Arc<Engine>, limit: Duration) {
    if engine.tables.in_flight() > 0 {
        let (engine, runtime) = (Arc::clone(engine), Arc::clone(&engine.runtime));
        let rest = async move {
            engine.tables.rest_until(&*engine.runtime, engine.now() + limit).await;
        };
        runtime.linger(Box::pin(rest), limit);
    }
}

/// Declares every lease on `key` lost, for a test of a program.
#[cfg(feature = "testing")]
pub(crate) fn lose(engine: &Engine, key: &crate::types::Key) {
    for lease in engine.tables.leases_of(key) {
        lease.lose(crate::types::LostReason::Gone);
    }
}
