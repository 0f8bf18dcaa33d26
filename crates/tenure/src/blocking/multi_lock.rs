//! Multi-locks for programs without `async`.

use std::future::ready;
use std::ops::Deref;
use std::time::Duration;

use pollster::block_on;

use crate::engine::Renewal;
use crate::guard::Released;
use crate::kinds::MultiLease;
use crate::scope::{Compensated, Failure, Finished};
use crate::types::{Error, Result};

use super::Locks;

impl Locks {
    /// See [`Locks::all`](crate::Locks::all).
    pub fn all(&self, keys: impl IntoIterator<Item = impl AsRef<str>>) -> MultiLock {
        MultiLock(self.0.all(keys))
    }
}

/// [`tenure::all`](crate::all), for blocking use.
pub fn all(keys: impl IntoIterator<Item = impl AsRef<str>>) -> MultiLock {
    MultiLock(crate::default::all(keys))
}

/// [`tenure::MultiLock`](crate::MultiLock) for blocking use.
#[derive(Debug, Clone)]
#[must_use = "nothing is locked before it is acquired"]
pub struct MultiLock(crate::MultiLock);

impl From<crate::MultiLock> for MultiLock {
    fn from(lock: crate::MultiLock) -> Self {
        Self(lock)
    }
}

/// Defines methods that pass one option on.
macro_rules! options {
    ($($name:ident($option:ident: $type:ty);)+) => {
        $(
            #[doc = concat!("See [`MultiLock::", stringify!($name), "`](crate::MultiLock::")]
            #[doc = concat!(stringify!($name), ").")]
            pub fn $name(self, $option: $type) -> Self {
                Self(self.0.$name($option))
            }
        )+
    };
}

impl MultiLock {
    options! {
        with_ttl(ttl: Duration);
        with_wait(limit: Duration);
        with_renewal(renewal: Renewal);
        with_min_hold(span: Duration);
        with_max_hold(span: Duration);
        with_owner(value: impl AsRef<str>);
        with_label(text: impl AsRef<str>);
    }

    /// See [`MultiLock::with_retry`](crate::MultiLock::with_retry).
    pub fn with_retry(self, tries: u32, delay: Duration) -> Self {
        Self(self.0.with_retry(tries, delay))
    }

    /// See [`MultiLock::validate`](crate::MultiLock::validate).
    ///
    /// # Errors
    /// As there.
    pub fn validate(&self) -> Result<()> {
        self.0.validate()
    }

    /// See [`MultiLock::acquire`](crate::MultiLock::acquire).
    ///
    /// # Errors
    /// As there.
    pub fn acquire(&self) -> Result<MultiGuard> {
        block_on(self.0.acquire()).map(MultiGuard)
    }

    /// See [`MultiLock::try_acquire`](crate::MultiLock::try_acquire).
    ///
    /// # Errors
    /// As there.
    pub fn try_acquire(&self) -> Result<Option<MultiGuard>> {
        Ok(block_on(self.0.try_acquire())?.map(MultiGuard))
    }

    /// See [`MultiLock::run`](crate::MultiLock::run), and [`Mutex::run`](super::Mutex::run): the
    /// loss of a key cannot interrupt the work.
    ///
    /// # Errors
    /// As there.
    pub fn run<T, E>(&self, work: impl FnOnce(MultiLease) -> Result<T, E>) -> Result<T, E>
    where
        E: From<Error>,
    {
        block_on(self.0.run(|lease| ready(work(lease))))
    }

    /// See [`MultiLock::try_run`](crate::MultiLock::try_run), and [`run`](Self::run).
    ///
    /// # Errors
    /// As there.
    pub fn try_run<T, E>(
        &self,
        work: impl FnOnce(MultiLease) -> Result<T, E>,
    ) -> Result<Option<T>, E>
    where
        E: From<Error>,
    {
        block_on(self.0.try_run(|lease| ready(work(lease))))
    }

    /// See [`MultiLock::run_to_end`](crate::MultiLock::run_to_end).
    ///
    /// # Errors
    /// As there.
    pub fn run_to_end<V>(&self, work: impl FnOnce(MultiLease) -> V) -> Result<Finished<V>> {
        block_on(self.0.run_to_end(|lease| ready(work(lease))))
    }

    /// See [`MultiLock::run_compensated`](crate::MultiLock::run_compensated).
    ///
    /// # Errors
    /// As there.
    pub fn run_compensated<T, E, C>(
        &self,
        work: impl FnOnce(MultiLease) -> Result<T, E>,
        compensation: impl FnOnce(MultiLease, Failure<'_, T, E>) -> C,
    ) -> Result<Compensated<T, E, C>> {
        let undo = |lease, failure: Failure<'_, T, E>| ready(compensation(lease, failure));
        block_on(self.0.run_compensated(|lease| ready(work(lease)), undo))
    }
}

/// [`tenure::MultiGuard`](crate::MultiGuard) for blocking use.
#[derive(Debug)]
#[must_use = "a guard that is dropped at once releases the locks at once"]
pub struct MultiGuard(crate::MultiGuard);

impl MultiGuard {
    /// See [`MultiGuard::release`](crate::MultiGuard::release).
    ///
    /// # Errors
    /// As there.
    pub fn release(self) -> Result<Released> {
        block_on(self.0.release())
    }
}

impl Deref for MultiGuard {
    type Target = MultiLease;

    fn deref(&self) -> &MultiLease {
        &self.0
    }
}
