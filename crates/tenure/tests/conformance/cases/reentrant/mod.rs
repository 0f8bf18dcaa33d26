//! The promises of a reentrant mutex, over every store.

pub(crate) mod levels;
pub(crate) mod scopes;
pub(crate) mod siblings;

use tenure::{ReentrantGuard, ReentrantMutex, ReentrantScope, Result};

use crate::world::{PATIENCE, World, until, within};

/// The lock on `key`, for this scope.
fn lock(world: &World, scope: &ReentrantScope) -> ReentrantMutex {
    world.locks().mutex("key").reentrant().with_scope(scope)
}

/// One more level, within the patience.
async fn enter(lock: &ReentrantMutex) -> ReentrantGuard {
    within("the level", PATIENCE, lock.acquire()).await.expect("entered")
}

/// Enters in the background.
fn entering(lock: &ReentrantMutex) -> tokio::task::JoinHandle<Result<ReentrantGuard>> {
    let lock = lock.clone();
    tokio::spawn(async move { lock.acquire().await })
}

async fn until_free(world: &World) {
    until("the release", async || world.inspect("key").await.holders.is_empty()).await;
}

/// Waits until a claim of ours waits at a store with a queue. Elsewhere nobody can see that.
async fn until_in_line(world: &World) {
    if world.locks().capabilities().fifo {
        world.until_waiting("key", 1).await;
    }
}
