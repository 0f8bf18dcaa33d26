//! The same locks for programs without `async`, with the same names. Nothing here works otherwise
//! than there.
//!
//! Each call blocks its thread until it is done, and works on every thread. Inside an async
//! program it blocks a worker meanwhile: use the `async` names there, or `spawn_blocking`. Leases
//! are renewed in the background either way, on a thread of Tenure's own.
//!
//! Work runs on the caller's thread and cannot be interrupted. If the lock is lost, [`Mutex::run`]
//! says so only at the end. Call [`Lease::check`](crate::Lease::check) in long work.
//!
//! ```
//! # fn main() -> tenure::Result<()> {
//! let locks = tenure::blocking::connect("memory:")?;
//! let report = locks.mutex("report").with_ttl(std::time::Duration::from_secs(10));
//! let pages = report.run(|lease| {
//!     println!("writing with fence {}", lease.fence());
//!     tenure::ok(3)
//! })?;
//! assert_eq!(pages, 3);
//! if let Some(guard) = report.try_acquire()? {
//!     guard.release()?;
//! }
//! # Ok(()) }
//! ```

use std::future::ready;
use std::ops::Deref;
use std::time::Duration;

use pollster::block_on;

use crate::engine::{LocksOptions, Renewal};
use crate::guard::{Lease, Released};
use crate::protocol::Inspection;
use crate::runtime::Moment;
use crate::scope::{Compensated, Failure, Finished};
use crate::ticket::Ticket;
use crate::types::{Error, Key, LostReason, Result};

/// [`tenure::connect`](crate::connect), blocking.
///
/// # Errors
/// As there.
pub fn connect(url: &str) -> Result<Locks> {
    block_on(crate::connect(url)).map(Locks)
}

/// [`tenure::connect_with`](crate::connect_with), blocking.
///
/// # Errors
/// As there.
pub fn connect_with(url: &str, options: LocksOptions) -> Result<Locks> {
    block_on(crate::connect::connect_with(url, options)).map(Locks)
}

/// [`tenure::mutex`](crate::mutex), for blocking use.
pub fn mutex(name: impl AsRef<str>) -> Mutex {
    Mutex(crate::default::mutex(name))
}

/// [`tenure::Locks`](crate::Locks) for blocking use. [`connect`] makes them, or `From`, from the
/// async ones. Both may be used side by side.
#[derive(Debug, Clone)]
pub struct Locks(crate::Locks);

impl From<crate::Locks> for Locks {
    fn from(locks: crate::Locks) -> Self {
        Self(locks)
    }
}

impl From<Locks> for crate::Locks {
    fn from(locks: Locks) -> Self {
        locks.0
    }
}

impl Locks {
    /// See [`Locks::mutex`](crate::Locks::mutex).
    pub fn mutex(&self, key: impl AsRef<str>) -> Mutex {
        Mutex(self.0.mutex(key))
    }

    /// See [`Locks::list`](crate::Locks::list).
    ///
    /// # Errors
    /// As there.
    pub fn list(
        &self,
        prefix: &str,
        after: Option<&Key>,
        limit: usize,
    ) -> Result<Vec<(Key, Inspection)>> {
        block_on(self.0.list(prefix, after, limit))
    }

    /// See [`Locks::adopt`](crate::Locks::adopt).
    ///
    /// # Errors
    /// As there.
    pub fn adopt(&self, ticket: &Ticket) -> Result<Guard> {
        block_on(self.0.adopt(ticket)).map(Guard)
    }

    /// See [`Locks::release_owner`](crate::Locks::release_owner).
    ///
    /// # Errors
    /// As there.
    pub fn release_owner(&self, key: impl AsRef<str>, value: impl AsRef<str>) -> Result<Released> {
        block_on(self.0.release_owner(key, value))
    }

    /// See [`Locks::close`](crate::Locks::close).
    ///
    /// # Errors
    /// As there.
    pub fn close(&self, limit: Duration) -> Result<()> {
        block_on(self.0.close(limit))
    }
}

/// [`tenure::Mutex`](crate::Mutex) for blocking use.
#[derive(Debug, Clone)]
#[must_use = "nothing is locked before it is acquired"]
pub struct Mutex(crate::Mutex);

impl From<crate::Mutex> for Mutex {
    fn from(mutex: crate::Mutex) -> Self {
        Self(mutex)
    }
}

/// Defines methods that pass one option on.
macro_rules! options {
    ($($name:ident($option:ident: $type:ty);)+) => {
        $(
            #[doc = concat!("See [`Mutex::", stringify!($name), "`](crate::Mutex::")]
            #[doc = concat!(stringify!($name), ").")]
            pub fn $name(self, $option: $type) -> Self {
                Self(self.0.$name($option))
            }
        )+
    };
}

impl Mutex {
    options! {
        with_ttl(ttl: Duration);
        with_wait(limit: Duration);
        with_renewal(renewal: Renewal);
        with_min_hold(span: Duration);
        with_max_hold(span: Duration);
        with_owner(value: impl AsRef<str>);
        with_label(text: impl AsRef<str>);
    }

    /// See [`Mutex::with_retry`](crate::Mutex::with_retry).
    pub fn with_retry(self, tries: u32, delay: Duration) -> Self {
        Self(self.0.with_retry(tries, delay))
    }

    /// See [`Mutex::acquire`](crate::Mutex::acquire). It blocks as long as others hold the key.
    ///
    /// # Errors
    /// As there.
    pub fn acquire(&self) -> Result<Guard> {
        block_on(self.0.acquire()).map(Guard)
    }

    /// See [`Mutex::try_acquire`](crate::Mutex::try_acquire).
    ///
    /// # Errors
    /// As there.
    pub fn try_acquire(&self) -> Result<Option<Guard>> {
        Ok(block_on(self.0.try_acquire())?.map(Guard))
    }

    /// Waits for the lock, runs `work` under it on this thread, and gives it back. As
    /// [`Mutex::run`](crate::Mutex::run), but the loss of the lock cannot interrupt the work. It is
    /// reported at the end, unless the work itself has failed.
    ///
    /// # Errors
    /// Those of [`acquire`](Self::acquire); the work's own; [`Lost`](crate::ErrorKind::Lost).
    pub fn run<T, E>(&self, work: impl FnOnce(Lease) -> Result<T, E>) -> Result<T, E>
    where
        E: From<Error>,
    {
        self.acquire()?.run(work)
    }

    /// See [`Mutex::try_run`](crate::Mutex::try_run), and [`run`](Self::run).
    ///
    /// # Errors
    /// As there.
    pub fn try_run<T, E>(&self, work: impl FnOnce(Lease) -> Result<T, E>) -> Result<Option<T>, E>
    where
        E: From<Error>,
    {
        self.try_acquire()?.map(|guard| guard.run(work)).transpose()
    }

    /// See [`Mutex::run_to_end`](crate::Mutex::run_to_end).
    ///
    /// # Errors
    /// Those of [`acquire`](Self::acquire).
    pub fn run_to_end<V>(&self, work: impl FnOnce(Lease) -> V) -> Result<Finished<V>> {
        Ok(self.acquire()?.run_to_end(work))
    }

    /// See [`Mutex::run_compensated`](crate::Mutex::run_compensated).
    ///
    /// # Errors
    /// Those of [`acquire`](Self::acquire).
    pub fn run_compensated<T, E, C>(
        &self,
        work: impl FnOnce(Lease) -> Result<T, E>,
        compensation: impl FnOnce(Lease, Failure<'_, T, E>) -> C,
    ) -> Result<Compensated<T, E, C>> {
        Ok(self.acquire()?.run_compensated(work, compensation))
    }

    /// See [`Mutex::inspect`](crate::Mutex::inspect).
    ///
    /// # Errors
    /// As there.
    pub fn inspect(&self) -> Result<Inspection> {
        block_on(self.0.inspect())
    }

    /// See [`Mutex::held_by_anyone`](crate::Mutex::held_by_anyone).
    ///
    /// # Errors
    /// As there.
    pub fn held_by_anyone(&self) -> Result<bool> {
        block_on(self.0.held_by_anyone())
    }

    /// See [`Mutex::held_by_me`](crate::Mutex::held_by_me).
    ///
    /// # Errors
    /// As there.
    pub fn held_by_me(&self) -> Result<bool> {
        block_on(self.0.held_by_me())
    }

    /// See [`Mutex::force_release`](crate::Mutex::force_release).
    ///
    /// # Errors
    /// As there.
    pub fn force_release(&self) -> Result<u32> {
        block_on(self.0.force_release())
    }

    /// See [`Mutex::steal`](crate::Mutex::steal).
    ///
    /// # Errors
    /// As there.
    pub fn steal(&self) -> Result<Guard> {
        block_on(self.0.steal()).map(Guard)
    }

    /// See [`Mutex::adopt`](crate::Mutex::adopt).
    ///
    /// # Errors
    /// As there.
    pub fn adopt(&self, ticket: &Ticket) -> Result<Guard> {
        block_on(self.0.adopt(ticket)).map(Guard)
    }
}

/// [`tenure::Guard`](crate::Guard) for blocking use. It dereferences to [`Lease`], which has all
/// that does not wait. The verbs that wait are here once more, blocking.
#[derive(Debug)]
#[must_use = "a guard that is dropped at once releases the lock at once"]
pub struct Guard(crate::Guard);

impl From<crate::Guard> for Guard {
    fn from(guard: crate::Guard) -> Self {
        Self(guard)
    }
}

impl From<Guard> for crate::Guard {
    fn from(guard: Guard) -> Self {
        guard.0
    }
}

impl Deref for Guard {
    type Target = Lease;

    fn deref(&self) -> &Lease {
        &self.0
    }
}

impl Guard {
    /// See [`Guard::lease`](crate::Guard::lease).
    #[must_use]
    pub fn lease(&self) -> Lease {
        self.0.lease()
    }

    /// See [`Lease::lost`](crate::Lease::lost).
    #[must_use]
    pub fn lost(&self) -> LostReason {
        block_on(self.0.lost())
    }

    /// See [`Lease::at_risk`](crate::Lease::at_risk).
    pub fn at_risk(&self, grace: Duration) {
        block_on(self.0.at_risk(grace));
    }

    /// See [`Lease::renewed`](crate::Lease::renewed).
    #[must_use]
    pub fn renewed(&self, after: Moment) -> Moment {
        block_on(self.0.renewed(after))
    }

    /// See [`Lease::extend_to`](crate::Lease::extend_to).
    ///
    /// # Errors
    /// As there.
    pub fn extend_to(&self, span: Duration) -> Result<()> {
        block_on(self.0.extend_to(span))
    }

    /// See [`Lease::extend_by`](crate::Lease::extend_by).
    ///
    /// # Errors
    /// As there.
    pub fn extend_by(&self, span: Duration) -> Result<()> {
        block_on(self.0.extend_by(span))
    }

    /// See [`Guard::hand_over`](crate::Guard::hand_over).
    ///
    /// # Errors
    /// As there.
    pub fn hand_over(self, keep: Duration) -> Result<Ticket> {
        block_on(self.0.hand_over(keep))
    }

    /// See [`Guard::release`](crate::Guard::release).
    ///
    /// # Errors
    /// As there.
    pub fn release(self) -> Result<Released> {
        block_on(self.0.release())
    }

    /// See [`Mutex::run`].
    ///
    /// # Errors
    /// As there.
    pub fn run<T, E>(self, work: impl FnOnce(Lease) -> Result<T, E>) -> Result<T, E>
    where
        E: From<Error>,
    {
        block_on(self.0.run(|lease| ready(work(lease))))
    }

    /// See [`Guard::run_to_end`](crate::Guard::run_to_end).
    pub fn run_to_end<V>(self, work: impl FnOnce(Lease) -> V) -> Finished<V> {
        block_on(self.0.run_to_end(|lease| ready(work(lease))))
    }

    /// See [`Guard::run_compensated`](crate::Guard::run_compensated).
    pub fn run_compensated<T, E, C>(
        self,
        work: impl FnOnce(Lease) -> Result<T, E>,
        compensation: impl FnOnce(Lease, Failure<'_, T, E>) -> C,
    ) -> Compensated<T, E, C> {
        let compensation = |lease, failure: Failure<'_, T, E>| ready(compensation(lease, failure));
        block_on(self.0.run_compensated(|lease| ready(work(lease)), compensation))
    }
}
