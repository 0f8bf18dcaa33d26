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

mod election;
mod kinds;
mod multi_lock;
mod once;
mod reentrant;

use std::future::ready;
use std::ops::Deref;
use std::time::Duration;

use pollster::block_on;

use crate::engine::{LocksOptions, RenewalFailure};
use crate::guard::{Lease, Released};
use crate::protocol::{HolderView, Inspection};
use crate::runtime::Moment;
use crate::scope::{Compensated, Failure, Finished};
use crate::ticket::Ticket;
use crate::types::{DataCommand, DataValue, Error, Key, LostReason, Result};

pub use election::{Leaders, Leadership};
pub use kinds::{Election, Mutex, RwLock, Semaphore};
pub use multi_lock::{MultiGuard, MultiLock, all};
pub use once::{Begun, Once, OnceGuard};
pub use reentrant::{ReentrantGuard, ReentrantMutex};

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
    crate::default::mutex(name).into()
}

/// [`tenure::semaphore`](crate::semaphore), for blocking use.
pub fn semaphore(name: impl AsRef<str>, permits: u32) -> Semaphore {
    crate::default::semaphore(name, permits).into()
}

/// [`tenure::rwlock`](crate::rwlock), for blocking use.
pub fn rwlock(name: impl AsRef<str>) -> RwLock {
    crate::default::rwlock(name).into()
}

/// [`tenure::once`](crate::once), for blocking use.
pub fn once(name: impl AsRef<str>) -> Once {
    crate::default::once(name).into()
}

/// [`tenure::election`](crate::election), for blocking use.
pub fn election(name: impl AsRef<str>) -> Election {
    crate::default::election(name).into()
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
        self.0.mutex(key).into()
    }

    /// See [`Locks::semaphore`](crate::Locks::semaphore).
    pub fn semaphore(&self, key: impl AsRef<str>, permits: u32) -> Semaphore {
        self.0.semaphore(key, permits).into()
    }

    /// See [`Locks::rwlock`](crate::Locks::rwlock).
    pub fn rwlock(&self, key: impl AsRef<str>) -> RwLock {
        self.0.rwlock(key).into()
    }

    /// See [`Locks::once`](crate::Locks::once).
    pub fn once(&self, key: impl AsRef<str>) -> Once {
        self.0.once(key).into()
    }

    /// See [`Locks::election`](crate::Locks::election).
    pub fn election(&self, key: impl AsRef<str>) -> Election {
        self.0.election(key).into()
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

    /// See [`Locks::renew_ticket`](crate::Locks::renew_ticket).
    ///
    /// # Errors
    /// As there.
    pub fn renew_ticket(&self, ticket: &Ticket, keep: Duration) -> Result<()> {
        block_on(self.0.renew_ticket(ticket, keep))
    }

    /// See [`Locks::extend_ticket`](crate::Locks::extend_ticket).
    ///
    /// # Errors
    /// As there.
    pub fn extend_ticket(&self, ticket: &Ticket, span: Duration) -> Result<()> {
        block_on(self.0.extend_ticket(ticket, span))
    }

    /// See [`Locks::release_ticket`](crate::Locks::release_ticket).
    ///
    /// # Errors
    /// As there.
    pub fn release_ticket(&self, ticket: &Ticket) -> Result<Released> {
        block_on(self.0.release_ticket(ticket))
    }

    /// See [`Locks::check_ticket`](crate::Locks::check_ticket).
    ///
    /// # Errors
    /// As there.
    pub fn check_ticket(&self, ticket: &Ticket) -> Result<Option<HolderView>> {
        block_on(self.0.check_ticket(ticket))
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

    /// See [`Lease::failing`](crate::Lease::failing).
    #[must_use]
    pub fn failing(&self) -> RenewalFailure {
        block_on(self.0.failing())
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

    /// See [`Lease::write`](crate::Lease::write).
    ///
    /// # Errors
    /// As there.
    pub fn write(&self, commands: impl IntoIterator<Item = DataCommand>) -> Result<Vec<DataValue>> {
        block_on(self.0.write(commands))
    }

    /// See [`Guard::downgrade`](crate::Guard::downgrade).
    ///
    /// # Errors
    /// As there.
    pub fn downgrade(&mut self) -> Result<()> {
        block_on(self.0.downgrade())
    }

    /// See [`Guard::try_upgrade`](crate::Guard::try_upgrade).
    ///
    /// # Errors
    /// As there.
    pub fn try_upgrade(&mut self) -> Result<bool> {
        block_on(self.0.try_upgrade())
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
