//! Reentrant locks for programs without `async`.

use std::future::ready;
use std::ops::Deref;

use pollster::block_on;

use crate::guard::{Lease, Released};
use crate::kinds::ReentrantScope;
use crate::scope::{Compensated, Failure, Finished};
use crate::types::{Error, Result};

use super::Mutex;

impl Mutex {
    /// See [`Mutex::reentrant`](crate::Mutex::reentrant).
    pub fn reentrant(self) -> ReentrantMutex {
        ReentrantMutex(crate::Mutex::from(self).reentrant())
    }
}

/// [`tenure::ReentrantMutex`](crate::ReentrantMutex) for blocking use. The scope is the one that is
/// named, or else the one that the running thread is in
/// ([`ReentrantScope::enter_blocking`](crate::ReentrantScope::enter_blocking)).
#[derive(Debug, Clone)]
#[must_use = "nothing is locked before it is acquired"]
pub struct ReentrantMutex(crate::ReentrantMutex);

impl From<crate::ReentrantMutex> for ReentrantMutex {
    fn from(mutex: crate::ReentrantMutex) -> Self {
        Self(mutex)
    }
}

impl ReentrantMutex {
    /// See [`ReentrantMutex::with_scope`](crate::ReentrantMutex::with_scope).
    pub fn with_scope(self, scope: &ReentrantScope) -> Self {
        Self(self.0.with_scope(scope))
    }

    /// See [`ReentrantMutex::acquire`](crate::ReentrantMutex::acquire).
    ///
    /// # Errors
    /// As there.
    pub fn acquire(&self) -> Result<ReentrantGuard> {
        block_on(self.0.acquire()).map(ReentrantGuard)
    }

    /// See [`ReentrantMutex::try_acquire`](crate::ReentrantMutex::try_acquire).
    ///
    /// # Errors
    /// As there.
    pub fn try_acquire(&self) -> Result<Option<ReentrantGuard>> {
        Ok(block_on(self.0.try_acquire())?.map(ReentrantGuard))
    }

    /// See [`ReentrantMutex::run`](crate::ReentrantMutex::run), and [`Mutex::run`]: the loss of the
    /// lock cannot interrupt the work.
    ///
    /// # Errors
    /// As there.
    pub fn run<T, E>(&self, work: impl FnOnce(Lease) -> Result<T, E>) -> Result<T, E>
    where
        E: From<Error>,
    {
        // The work is called within the scope, and therefore when the future is polled.
        block_on(self.0.run(|lease| async move { work(lease) }))
    }

    /// See [`ReentrantMutex::try_run`](crate::ReentrantMutex::try_run), and [`run`](Self::run).
    ///
    /// # Errors
    /// As there.
    pub fn try_run<T, E>(&self, work: impl FnOnce(Lease) -> Result<T, E>) -> Result<Option<T>, E>
    where
        E: From<Error>,
    {
        block_on(self.0.try_run(|lease| async move { work(lease) }))
    }

    /// See [`ReentrantMutex::run_to_end`](crate::ReentrantMutex::run_to_end).
    ///
    /// # Errors
    /// As there.
    pub fn run_to_end<V>(&self, work: impl FnOnce(Lease) -> V) -> Result<Finished<V>> {
        block_on(self.0.run_to_end(|lease| async move { work(lease) }))
    }

    /// See [`ReentrantMutex::run_compensated`](crate::ReentrantMutex::run_compensated).
    ///
    /// # Errors
    /// As there.
    pub fn run_compensated<T, E, C>(
        &self,
        work: impl FnOnce(Lease) -> Result<T, E>,
        compensation: impl FnOnce(Lease, Failure<'_, T, E>) -> C,
    ) -> Result<Compensated<T, E, C>> {
        let work = |lease| async move { work(lease) };
        let undo = |lease, failure: Failure<'_, T, E>| ready(compensation(lease, failure));
        block_on(self.0.run_compensated(work, undo))
    }
}

/// [`tenure::ReentrantGuard`](crate::ReentrantGuard) for blocking use.
#[derive(Debug)]
#[must_use = "a guard that is dropped at once leaves the lock at once"]
pub struct ReentrantGuard(crate::ReentrantGuard);

impl ReentrantGuard {
    /// See [`ReentrantGuard::release`](crate::ReentrantGuard::release).
    ///
    /// # Errors
    /// As there.
    pub fn release(self) -> Result<Option<Released>> {
        block_on(self.0.release())
    }
}

impl Deref for ReentrantGuard {
    type Target = Lease;

    fn deref(&self) -> &Lease {
        &self.0
    }
}
