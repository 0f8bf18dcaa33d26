//! The reentrant mutex: one logical owner enters as often as it likes, and the key has one lease.
//! The store sees a plain mutex. Nothing here counts: the levels share the guard, and the last one
//! that leaves gives it back.

mod scope;

use std::fmt;
use std::future::Future;
use std::ops::Deref;
use std::sync::Arc;

use crate::engine;
use crate::guard::{Guard, Lease, Released};
use crate::runtime::Moment;
use crate::scope::{Compensated, Failure, Finished, Holding, run, run_compensated, run_to_end};
#[cfg(doc)]
use crate::types::ErrorKind;
use crate::types::{Claim, Error, Operation, Result};

use super::Mutex;
pub use scope::ReentrantScope;

/// A mutex that the same logical owner may enter again, without waiting for itself.
///
/// [`Mutex::reentrant`] makes one. Use it where code under the lock calls code that takes the same
/// lock. Where you can, pass the [`Lease`] along instead: then the code shows who holds the lock.
///
/// The logical owner is a [`ReentrantScope`]: the one that
/// [`with_scope`](Self::with_scope) names, or else the one that the running task is in. The first
/// level acquires the lock, with its own options. Each further level enters at once, has the same
/// fence, and changes nothing at the store: its own ttl and other options have no effect. The lock
/// is given back when the last level leaves, in whatever order they leave. A loss is a loss for
/// all levels, and nobody enters any more before all have left.
///
/// The levels are those of one process and one [`Locks`](crate::Locks), or clones of it. A scope
/// does not reach into other processes, and two tasks of one scope do not exclude each other.
///
/// ```
/// # async fn f(locks: tenure::Locks) -> tenure::Result<()> {
/// async fn book(locks: &tenure::Locks) -> tenure::Result<()> {
///     let account = locks.mutex("account:7").reentrant();
///     account.run(|_lease| async { tenure::ok(()) }).await
/// }
/// let account = locks.mutex("account:7").reentrant();
/// account.run(|_lease| book(&locks)).await // held once, not waited for
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "nothing is locked before it is acquired"]
pub struct ReentrantMutex {
    mutex: Mutex,
    /// `None`: the scope of the running task.
    scope: Option<ReentrantScope>,
}

impl Mutex {
    /// The same lock, for an owner that enters it more than once. See [`ReentrantMutex`].
    pub fn reentrant(self) -> ReentrantMutex {
        ReentrantMutex { mutex: self, scope: None }
    }
}

impl ReentrantMutex {
    /// Names the logical owner. Default: the scope that the running task is in
    /// ([`ReentrantScope::enter`]).
    pub fn with_scope(mut self, scope: &ReentrantScope) -> Self {
        self.scope = Some(scope.clone());
        self
    }

    /// Enters the lock: at once if the scope holds it already, and otherwise as
    /// [`Mutex::acquire`]. While another task of the scope acquires it, this waits for that.
    ///
    /// # If the reply is lost
    /// As with [`Mutex::acquire`].
    ///
    /// # Cancel safety
    /// As with [`Mutex::acquire`]; other levels stay as they are. If another task of the scope
    /// waits for the outcome, it acquires the lock in place of this one.
    ///
    /// # Errors
    /// Those of [`Mutex::acquire`]. [`ErrorKind::Invalid`] without a scope, before anything is
    /// touched. [`ErrorKind::Lost`] if the scope has lost the lock and some level has not left yet.
    ///
    /// # Examples
    /// ```
    /// # async fn f(locks: tenure::Locks) -> tenure::Result<()> {
    /// let request = tenure::ReentrantScope::new();
    /// let order = locks.mutex("order:7").reentrant().with_scope(&request);
    /// let outer = order.acquire().await?;
    /// let inner = order.acquire().await?;
    /// assert_eq!(outer.fence(), inner.fence());
    /// assert_eq!(inner.release().await?, None); // the outer level still holds it
    /// assert_eq!(outer.release().await?, Some(tenure::Released::Released));
    /// # Ok(()) }
    /// ```
    pub async fn acquire(&self) -> Result<ReentrantGuard> {
        self.acquire_in(&self.scope()?).await
    }

    /// Enters the lock if the scope holds it already, or if it is free and nobody stands in line.
    /// `None` if not, and also while another task of the scope is acquiring it.
    ///
    /// # If the reply is lost
    /// As with [`Mutex::try_acquire`].
    ///
    /// # Cancel safety
    /// As with [`Mutex::try_acquire`]; other levels stay as they are.
    ///
    /// # Errors
    /// As with [`acquire`](Self::acquire), but for `Busy`.
    ///
    /// # Examples
    /// ```
    /// # async fn f(locks: tenure::Locks) -> tenure::Result<()> {
    /// let request = tenure::ReentrantScope::new();
    /// let order = locks.mutex("order:7").reentrant().with_scope(&request);
    /// if let Some(guard) = order.try_acquire().await? {
    ///     guard.release().await?;
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn try_acquire(&self) -> Result<Option<ReentrantGuard>> {
        self.try_acquire_in(&self.scope()?).await
    }

    /// Enters the lock, runs `work` at that level, and leaves it; see [`Mutex::run`].
    ///
    /// While the work runs, its task is in the scope of this lock, so that levels below need not
    /// name it. Without any scope the work begins one of its own. A task that the work spawns is
    /// not in it.
    ///
    /// # If the reply is lost
    /// As with [`acquire`](Self::acquire); a release goes on in the background.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the line, or drops the work's future and leaves this level.
    ///
    /// # Errors
    /// Those of [`acquire`](Self::acquire); the work's own; [`Lost`](ErrorKind::Lost).
    ///
    /// # Examples
    /// ```
    /// # async fn f(locks: tenure::Locks) -> tenure::Result<()> {
    /// let order = &locks.mutex("order:7").reentrant();
    /// let inner = || order.run(|lease| async move { tenure::ok(lease.fence()) });
    /// let outer = order.run(|lease| async move { tenure::ok(lease.fence() == inner().await?) });
    /// assert!(outer.await?);
    /// # Ok(()) }
    /// ```
    pub async fn run<T, E, Fut>(&self, work: impl FnOnce(Lease) -> Fut) -> Result<T, E>
    where
        Fut: Future<Output = Result<T, E>>,
        E: From<Error>,
    {
        let scope = self.scope().unwrap_or_default();
        let level = self.acquire_in(&scope).await?;
        run(level, |lease| scope.enter(work(lease))).await
    }

    /// As [`run`](Self::run), if the lock can be entered without waiting; `None` if it cannot.
    ///
    /// # If the reply is lost
    /// As with [`try_acquire`](Self::try_acquire); a release goes on in the background.
    ///
    /// # Cancel safety
    /// As with [`run`](Self::run).
    ///
    /// # Errors
    /// Those of [`try_acquire`](Self::try_acquire); the work's own; [`Lost`](ErrorKind::Lost).
    ///
    /// # Examples
    /// ```
    /// # async fn f(locks: tenure::Locks) -> tenure::Result<()> {
    /// let order = locks.mutex("order:7").reentrant();
    /// if order.try_run(|_lease| async { tenure::ok(()) }).await?.is_none() {
    ///     println!("somebody else has it");
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn try_run<T, E, Fut>(&self, work: impl FnOnce(Lease) -> Fut) -> Result<Option<T>, E>
    where
        Fut: Future<Output = Result<T, E>>,
        E: From<Error>,
    {
        let scope = self.scope().unwrap_or_default();
        let Some(level) = self.try_acquire_in(&scope).await? else { return Ok(None) };
        run(level, |lease| scope.enter(work(lease))).await.map(Some)
    }

    /// Enters the lock, runs `work` to its end at that level even if the lock is lost, and leaves
    /// it; see [`Mutex::run_to_end`]. The release of a level is that of the lock if it was the
    /// last, and `Released` otherwise. The task is in the scope meanwhile, as with
    /// [`run`](Self::run).
    ///
    /// # If the reply is lost
    /// As with [`acquire`](Self::acquire); a release goes on in the background.
    ///
    /// # Cancel safety
    /// As with [`run`](Self::run).
    ///
    /// # Errors
    /// Those of [`acquire`](Self::acquire).
    ///
    /// # Examples
    /// ```
    /// # async fn charge(_: tenure::Fence) -> u32 { 42 }
    /// # async fn f(locks: tenure::Locks) -> tenure::Result<()> {
    /// let payment = locks.mutex("payment").reentrant();
    /// let work = |lease: tenure::Lease| async move { charge(lease.fence()).await };
    /// let receipt = payment.run_to_end(work).await?.or_lost()?;
    /// # assert_eq!(receipt, 42); Ok(()) }
    /// ```
    pub async fn run_to_end<V, Fut>(&self, work: impl FnOnce(Lease) -> Fut) -> Result<Finished<V>>
    where
        Fut: Future<Output = V>,
    {
        let scope = self.scope().unwrap_or_default();
        let level = self.acquire_in(&scope).await?;
        Ok(run_to_end(level, |lease| scope.enter(work(lease))).await)
    }

    /// As [`run_to_end`](Self::run_to_end), for work that can fail. After any failure, of the work
    /// or by the loss of the lock, `compensation` runs before the level is left, and in the scope,
    /// too. See [`Guard::run_compensated`].
    ///
    /// # If the reply is lost
    /// As with [`acquire`](Self::acquire); a release goes on in the background.
    ///
    /// # Cancel safety
    /// As with [`run`](Self::run); a compensation that has not begun is not begun.
    ///
    /// # Errors
    /// Those of [`acquire`](Self::acquire).
    ///
    /// # Examples
    /// ```
    /// # async fn book(_: tenure::Fence) -> tenure::Result<u32> { Ok(1) }
    /// # async fn undo_booking() {}
    /// # async fn f(locks: tenure::Locks) -> tenure::Result<()> {
    /// let seat = locks.mutex("seat").reentrant();
    /// let work = |lease: tenure::Lease| async move { book(lease.fence()).await };
    /// let booked = seat.run_compensated(work, |_lease, _failure| undo_booking()).await?;
    /// println!("booking {}", booked.into_result()?);
    /// # Ok(()) }
    /// ```
    pub async fn run_compensated<T, E, Fut, C, CFut>(
        &self,
        work: impl FnOnce(Lease) -> Fut,
        compensation: impl FnOnce(Lease, Failure<'_, T, E>) -> CFut,
    ) -> Result<Compensated<T, E, C>>
    where
        Fut: Future<Output = Result<T, E>>,
        CFut: Future<Output = C>,
    {
        let scope = self.scope().unwrap_or_default();
        let level = self.acquire_in(&scope).await?;
        let work = |lease| scope.enter(work(lease));
        let undo = |lease, failure: Failure<'_, T, E>| {
            let begun = scope.enter_blocking(|| compensation(lease, failure));
            scope.enter(begun)
        };
        Ok(run_compensated(level, work, undo).await)
    }

    async fn acquire_in(&self, scope: &ReentrantScope) -> Result<ReentrantGuard> {
        let (engine, mut options) = self.mutex.options.opened(Claim::EXCLUSIVE).await?;
        let place = scope.place(&engine, &options.key)?;
        if let Some(level) = place.enter()? {
            return Ok(level);
        }
        let started = engine.now();
        let _turn = place.turn(options.wait.map_or(Moment::NEVER, |wait| started + wait)).await?;
        if let Some(level) = place.enter()? {
            return Ok(level);
        }
        let waited = engine.now().since(started);
        options.wait = options.wait.map(|wait| wait.saturating_sub(waited));
        let held = engine::acquire(&engine, &options).await?;
        Ok(place.fill(Guard::new(&engine, held)))
    }

    async fn try_acquire_in(&self, scope: &ReentrantScope) -> Result<Option<ReentrantGuard>> {
        let (engine, options) = self.mutex.options.opened(Claim::EXCLUSIVE).await?;
        let place = scope.place(&engine, &options.key)?;
        if let Some(level) = place.enter()? {
            return Ok(Some(level));
        }
        let Some(_turn) = place.try_turn() else { return Ok(None) };
        if let Some(level) = place.enter()? {
            return Ok(Some(level));
        }
        let held = engine::try_acquire(&engine, &options).await?;
        Ok(held.map(|held| place.fill(Guard::new(&engine, held))))
    }

    fn scope(&self) -> Result<ReentrantScope> {
        self.scope.clone().or_else(ReentrantScope::current).ok_or_else(|| {
            let message = "a reentrant lock is acquired by a scope, and this task is in none; name \
                           one by with_scope, or enter one";
            self.mutex.options.invalid(Operation::Acquire, message)
        })
    }
}

/// One level of a [`ReentrantMutex`] that is held.
///
/// It dereferences to the [`Lease`], which all levels share. Dropping it leaves the level, and if
/// it was the last, releases in the background.
#[must_use = "a guard that is dropped at once leaves the lock at once"]
pub struct ReentrantGuard {
    /// The strong references are the levels.
    held: Arc<Guard>,
}

impl ReentrantGuard {
    fn new(held: Arc<Guard>) -> Self {
        Self { held }
    }

    /// Leaves this level. The last level gives the lock back and answers as [`Guard::release`];
    /// `None` from the others: the scope still holds the lock.
    ///
    /// # If the reply is lost
    /// As with [`Guard::release`].
    ///
    /// # Cancel safety
    /// As with [`Guard::release`]: the level is left in any case.
    ///
    /// # Errors
    /// As with [`Guard::release`].
    ///
    /// # Examples
    /// ```
    /// # async fn f(level: tenure::ReentrantGuard) -> tenure::Result<()> {
    /// if level.release().await?.is_none() {
    ///     println!("an outer level still holds it");
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn release(self) -> Result<Option<Released>> {
        self.check_process(Operation::Release)?;
        match Arc::into_inner(self.held) {
            Some(guard) => guard.release().await.map(Some),
            None => Ok(None),
        }
    }
}

impl Deref for ReentrantGuard {
    type Target = Lease;

    fn deref(&self) -> &Lease {
        &self.held
    }
}

impl Holding for ReentrantGuard {
    type Lease = Lease;

    fn lease(&self) -> Lease {
        self.held.lease()
    }

    async fn give_back(self) -> Result<Released> {
        Ok(self.release().await?.unwrap_or(Released::Released))
    }
}

impl fmt::Debug for ReentrantGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReentrantGuard")
            .field("key", self.key())
            .field("fence", &self.fence())
            .field("levels", &Arc::strong_count(&self.held))
            .finish_non_exhaustive()
    }
}
