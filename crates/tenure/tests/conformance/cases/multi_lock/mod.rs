//! The promises of a multi-lock, over every store.

pub(crate) mod acquiring;
pub(crate) mod giving_up;
pub(crate) mod holding;

use tenure::{MultiGuard, MultiLock};

use crate::world::{PATIENCE, World, in_time, until, within};

/// All keys, within the patience.
async fn acquire(lock: &MultiLock) -> MultiGuard {
    in_time(async || lock.acquire().await).await.expect("granted")
}

/// Acquires in the background.
fn waiting(lock: MultiLock) -> tokio::task::JoinHandle<tenure::Result<MultiGuard>> {
    tokio::spawn(async move { lock.acquire().await })
}

async fn outcome(
    waiter: tokio::task::JoinHandle<tenure::Result<MultiGuard>>,
) -> tenure::Result<MultiGuard> {
    within("the waiter's outcome", PATIENCE, waiter).await.expect("no panic")
}

async fn is_free(world: &World, key: &str) -> bool {
    let seen = world.inspect(key).await;
    seen.holders.is_empty() && seen.waiters.is_empty()
}

async fn until_free(world: &World, keys: &[&str]) {
    for key in keys {
        until(key, async || is_free(world, key).await).await;
    }
}

/// Waits until somebody holds `key`.
async fn until_held(world: &World, key: &str) {
    until("a holder", async || !world.inspect(key).await.holders.is_empty()).await;
}

/// Waits until a claim waits at a store with a queue. Elsewhere nobody can see that.
async fn until_in_line(world: &World, key: &str) {
    if world.locks().capabilities().fifo {
        world.until_waiting(key, 1).await;
    }
}
