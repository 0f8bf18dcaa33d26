//! The logical owner of reentrant locks: the locks that it holds now, so that its further levels
//! find them. It asks no store.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex as StdMutex, MutexGuard, PoisonError, Weak};

use tokio::sync::Mutex as AsyncMutex;
use tokio::sync::OwnedMutexGuard;
use tokio::task_local;

use crate::engine::Engine;
use crate::guard::Guard;
use crate::process::{Forked, OfProcess, of_process};
use crate::runtime::{Moment, timeout};
use crate::types::{Error, ErrorKind, Key, LostReason, Operation, Result};

use super::ReentrantGuard;

task_local! {
    static CURRENT: ReentrantScope;
}

/// A logical owner of [reentrant locks](crate::ReentrantMutex): a request, a job, a transaction.
///
/// Make one for each piece of work that may meet the same lock again, and either name it
/// ([`ReentrantMutex::with_scope`](crate::ReentrantMutex::with_scope)) or let the task enter it
/// ([`enter`](Self::enter)). Clones are the same owner. Two tasks that have the same scope do not
/// exclude each other.
///
/// ```
/// # async fn f(locks: tenure::Locks) -> tenure::Result<()> {
/// let request = tenure::ReentrantScope::new();
/// let served = request.enter(async {
///     let outer = locks.mutex("order:7").reentrant().acquire().await?;
///     let inner = locks.mutex("order:7").reentrant().acquire().await?;
///     tenure::ok(outer.fence() == inner.fence())
/// });
/// assert!(served.await?);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct ReentrantScope {
    places: OfProcess<Arc<StdMutex<Places>>>,
}

/// By engine and key. An engine's address may be used again, but then no guard of the old engine
/// is alive, and its places are empty.
type Places = HashMap<(usize, Key), Entry>;

/// Room for one lock of a scope.
#[derive(Default)]
struct Entry {
    /// Alive while some level holds the lock.
    held: Weak<Guard>,
    /// Taken by the task of this scope that acquires the lock.
    turn: Arc<AsyncMutex<()>>,
}

impl ReentrantScope {
    /// A scope that holds nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self { places: OfProcess::new(Arc::default()) }
    }

    /// The scope that the running task is in, by [`enter`](Self::enter) or
    /// [`ReentrantMutex::run`](crate::ReentrantMutex::run).
    #[must_use]
    pub fn current() -> Option<Self> {
        CURRENT.try_with(Clone::clone).ok()
    }

    /// Runs `work` in this scope: reentrant locks that name no scope belong to this one meanwhile.
    /// A task that the work spawns is not in it.
    ///
    /// # Cancel safety
    /// Dropping the future drops the work's future.
    ///
    /// # Examples
    /// ```
    /// # async fn f() {
    /// let job = tenure::ReentrantScope::new();
    /// assert!(job.enter(async { tenure::ReentrantScope::current().is_some() }).await);
    /// # }
    /// ```
    pub async fn enter<F: Future>(&self, work: F) -> F::Output {
        CURRENT.scope(self.clone(), work).await
    }

    /// [`enter`](Self::enter) for a program without async: for as long as `work` runs, its thread
    /// is in this scope.
    pub fn enter_blocking<T>(&self, work: impl FnOnce() -> T) -> T {
        CURRENT.sync_scope(self.clone(), work)
    }

    /// The room for the lock on `key`.
    pub(super) fn place<'a>(&'a self, engine: &'a Arc<Engine>, key: &'a Key) -> Result<Place<'a>> {
        let places = self.places.here().map_err(|Forked| {
            let message = "this process was forked after the scope was made: make a new one here";
            engine.failing(Operation::Acquire, key).with(ErrorKind::Forked, message)
        })?;
        Ok(Place { places, engine, key })
    }
}

impl Default for ReentrantScope {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for ReentrantScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.places.here().map(|places| locked(places).len());
        f.debug_struct("ReentrantScope").field("keys", &keys.unwrap_or(0)).finish_non_exhaustive()
    }
}

/// Room for the lock on one key of one engine.
pub(super) struct Place<'a> {
    places: &'a StdMutex<Places>,
    engine: &'a Arc<Engine>,
    key: &'a Key,
}

impl Place<'_> {
    /// One more level, if some level of the scope holds the lock.
    pub(super) fn enter(&self) -> Result<Option<ReentrantGuard>> {
        let held = self.locked().get(&self.name()).and_then(|entry| entry.held.upgrade());
        let Some(level) = held.map(ReentrantGuard::new) else { return Ok(None) };
        match level.verdict_now() {
            Ok(()) => Ok(Some(level)),
            Err(reason) => Err(self.lost(reason)),
        }
    }

    /// Waits until no other task of the scope acquires the lock.
    pub(super) async fn turn(&self, until: Moment) -> Result<OfProcess<OwnedMutexGuard<()>>> {
        let Self { engine, key, .. } = *self;
        let turn = of_process(self.turns().lock_owned());
        match timeout(engine.runtime(), until, turn).await {
            Some(Ok(turn)) => Ok(OfProcess::new(turn)),
            Some(Err(Forked)) => Err(engine.failing(Operation::Acquire, key).by_fork()),
            None => {
                let message = "waited in vain: another task of the same scope is acquiring it";
                Err(engine.failing(Operation::Acquire, key).with(ErrorKind::Busy, message))
            }
        }
    }

    /// The turn, if no other task of the scope acquires the lock.
    pub(super) fn try_turn(&self) -> Option<OfProcess<OwnedMutexGuard<()>>> {
        self.turns().try_lock_owned().ok().map(OfProcess::new)
    }

    /// The first level: the lock was acquired.
    pub(super) fn fill(&self, guard: Guard) -> ReentrantGuard {
        let held = Arc::new(guard);
        self.locked().entry(self.name()).or_default().held = Arc::downgrade(&held);
        ReentrantGuard::new(held)
    }

    fn turns(&self) -> Arc<AsyncMutex<()>> {
        let mut places = self.locked();
        if let Some(entry) = places.get(&self.name()) {
            return Arc::clone(&entry.turn);
        }
        // Room that nobody uses any more goes, so that there is never more than is in use.
        places.retain(|_, entry| entry.is_in_use());
        Arc::clone(&places.entry(self.name()).or_default().turn)
    }

    fn lost(&self, reason: LostReason) -> Error {
        let message = format!(
            "the scope has lost it: {reason}; stop the work it protects, and leave all levels \
             before it is acquired anew"
        );
        self.engine.failing(Operation::Acquire, self.key).with(ErrorKind::Lost, message)
    }

    fn name(&self) -> (usize, Key) {
        (Arc::as_ptr(self.engine).addr(), self.key.clone())
    }

    fn locked(&self) -> MutexGuard<'_, Places> {
        locked(self.places)
    }
}

fn locked(places: &StdMutex<Places>) -> MutexGuard<'_, Places> {
    places.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Entry {
    fn is_in_use(&self) -> bool {
        self.held.strong_count() > 0 || Arc::strong_count(&self.turn) > 1
    }
}
