//! The lock of one holder: the claim 1 of 1. It sends nothing before a verb is called.

mod control;
mod scopes;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::engine::{self, AcquireOptions, LeaseOptions, Renewal};
use crate::guard::Guard;
use crate::protocol::{Inspection, Op, Reply};
#[cfg(doc)]
use crate::types::{Error, ErrorKind};
use crate::types::{InvalidKey, Key, Label, Operation, Result};

use super::LazyLocks;

/// A lock with at most one holder at a time.
///
/// Use it for work that must not run twice at once: a job, a refill, a deploy. It is a lease,
/// not a mutex of one process: it ends when its holder cannot renew it, and
/// [`Lease::fence`](crate::Lease::fence) tells a resource which holder came last.
///
/// The options are a value; nothing is sent before [`acquire`](Self::acquire),
/// [`try_acquire`](Self::try_acquire) or [`inspect`](Self::inspect), and options that do not fit
/// together are refused there, before anything is touched.
///
/// ```
/// # async fn f(locks: tenure::Locks) -> tenure::Result<()> {
/// use std::time::Duration;
/// let report = locks.mutex("report").with_ttl(Duration::from_secs(10));
/// if let Some(guard) = report.try_acquire().await? {
///     println!("we write it, with fence {}", guard.fence());
///     guard.release().await?;
/// }
/// # Ok(()) }
/// ```
#[derive(Clone)]
#[must_use = "nothing is locked before it is acquired"]
pub struct Mutex {
    locks: LazyLocks,
    key: Result<Key, InvalidKey>,
    ttl: Duration,
    wait: Option<Duration>,
    renewal: Renewal,
    min_hold: Duration,
    max_hold: Option<Duration>,
    owner: Option<Arc<str>>,
    label: Option<Label>,
}

impl Mutex {
    pub(crate) fn new(locks: LazyLocks, key: Result<Key, InvalidKey>) -> Self {
        Self {
            locks,
            key,
            ttl: Duration::from_secs(30),
            wait: None,
            renewal: Renewal::Auto,
            min_hold: Duration::ZERO,
            max_hold: None,
            owner: None,
            label: None,
        }
    }

    /// Time for which the lease lasts without renewal: 10 ms to 30 days, default 30 s. After a
    /// crash of the holder the key is free again after this time at the latest.
    pub fn with_ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// Maximum time for which [`acquire`](Self::acquire) waits; default: no limit. The first
    /// request may take 100 ms even if this limit is shorter.
    pub fn with_wait(mut self, limit: Duration) -> Self {
        self.wait = Some(limit);
        self
    }

    /// Waits for at most `tries` · `delay`, for programs whose settings are tries and a delay. The
    /// same as [`with_wait`](Self::with_wait) with the product. Where the store has a queue it
    /// stands in line, and the delay plays no other part.
    pub fn with_retry(self, tries: u32, delay: Duration) -> Self {
        self.with_wait(delay.saturating_mul(tries))
    }

    /// When the lease is renewed; default: every third of the ttl.
    pub fn with_renewal(mut self, renewal: Renewal) -> Self {
        self.renewal = renewal;
        self
    }

    /// Keeps the key taken for `span` after the grant, even if it is released earlier or the ttl is
    /// shorter: "at most once in `span`". Default: zero.
    pub fn with_min_hold(mut self, span: Duration) -> Self {
        self.min_hold = span;
        self
    }

    /// Loses the lock `span` after the grant, whatever is renewed or extended. Default: never.
    pub fn with_max_hold(mut self, span: Duration) -> Self {
        self.max_hold = Some(span);
        self
    }

    /// Sets a fixed owner value of 1..=256 bytes without control characters, in place of a random
    /// one. Two claims with one value still exclude each other. A claim that would wait for one
    /// with its own value is refused.
    pub fn with_owner(mut self, value: impl AsRef<str>) -> Self {
        self.owner = Some(value.as_ref().into());
        self
    }

    /// Sets the name that others see as the holder; default `host:pid:program`. See [`Label`].
    pub fn with_label(mut self, text: impl AsRef<str>) -> Self {
        self.label = Some(Label::new(text));
        self
    }

    /// Checks the options and sends nothing: each limit, and whether they fit together. For a
    /// program that takes them from a user, and refuses them before it connects. Every acquire
    /// checks the same, and then what the store asks for, such as its longest ttl.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`], with both numbers in the message.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// let error = tenure::mutex("k").with_ttl(Duration::from_millis(1)).validate().unwrap_err();
    /// assert_eq!(error.message(), "a ttl of 1ms is below the limit of 10ms");
    /// ```
    pub fn validate(&self) -> Result<()> {
        self.options().map(drop)
    }

    /// Waits in line until the lock is held: first come, first served.
    ///
    /// # If the reply is lost
    /// The same request is repeated, and the store recognises it; nothing is held twice.
    ///
    /// # Cancel safety
    /// Dropping the future withdraws the claim in the background: it leaves the line, or gives
    /// back a grant that came meanwhile. A future that is kept without being polled stays in line,
    /// and its grant is renewed: poll it, or drop it.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] when the time limit is over; the message names the holder.
    /// [`ErrorKind::Invalid`] or [`ErrorKind::Mismatch`] before anything is touched. A key is also
    /// `Invalid` if the store uses its name for a part of another lock, such as `tenure:{a}:record`
    /// in a server.
    /// [`ErrorKind::Unavailable`] if the store cannot be reached at first contact (see
    /// [`LocksOptions::with_store_timeout`](crate::LocksOptions::with_store_timeout)). During a
    /// later outage it goes on waiting, within the time limit. The kind is the same if the restart
    /// guard of a server or a quorum outlasts the time limit, though nobody is known to hold the
    /// lock then.
    ///
    /// # Examples
    /// ```
    /// # async fn f(locks: tenure::Locks) -> tenure::Result<()> {
    /// let guard = locks.mutex("report").acquire().await?;
    /// guard.check()?;
    /// guard.release().await?;
    /// # Ok(()) }
    /// ```
    pub async fn acquire(&self) -> Result<Guard> {
        let options = self.options()?;
        let engine = self.locks.engine(Operation::Acquire, &options.key).await?;
        let held = engine::acquire(&engine, &options).await?;
        Ok(Guard::new(&engine, held))
    }

    /// Takes the lock if it is free and nobody stands in line; `None` if it is not.
    ///
    /// # If the reply is lost
    /// It is an error with [`Error::may_hold`], and the claim is withdrawn in the background.
    ///
    /// # Cancel safety
    /// Dropping the future withdraws the claim in the background.
    ///
    /// # Errors
    /// As with [`acquire`](Self::acquire), but for `Busy`. The store is asked once, so a restart
    /// guard is an error at once, and never `None`.
    ///
    /// # Examples
    /// ```
    /// # async fn f(locks: tenure::Locks) -> tenure::Result<()> {
    /// match locks.mutex("report").try_acquire().await? {
    ///     Some(guard) => drop(guard.release().await?),
    ///     None => println!("somebody else is at it"),
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn try_acquire(&self) -> Result<Option<Guard>> {
        let options = self.options()?;
        let engine = self.locks.engine(Operation::Acquire, &options.key).await?;
        let held = engine::try_acquire(&engine, &options).await?;
        Ok(held.map(|held| Guard::new(&engine, held)))
    }

    /// Asks the store for the holders and waiters of the key.
    ///
    /// # Cancel safety
    /// It changes nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a bad key, or the store's failure.
    ///
    /// # Examples
    /// ```
    /// # async fn f(locks: tenure::Locks) -> tenure::Result<()> {
    /// let seen = locks.mutex("report").inspect().await?;
    /// for holder in &seen.holders {
    ///     println!("{} since {:?}", holder.label, holder.since);
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn inspect(&self) -> Result<Inspection> {
        let key = self.key(Operation::Inspect)?;
        let engine = self.locks.engine(Operation::Inspect, key).await?;
        match engine.request(Operation::Inspect, key, Op::Inspect).await? {
            Reply::Inspected(seen) => Ok(seen),
            other => Err(engine.failing(Operation::Inspect, key).by_reply(&other)),
        }
    }

    fn key(&self, operation: Operation) -> Result<&Key> {
        self.key.as_ref().map_err(|invalid| invalid.during(operation))
    }

    fn options(&self) -> Result<AcquireOptions> {
        let key = self.key(Operation::Acquire)?.clone();
        let lease_options =
            LeaseOptions::check(self.ttl, self.renewal, self.min_hold, self.max_hold);
        let label = self.label.clone().unwrap_or_else(Label::of_this_process);
        AcquireOptions::check(key, self.owner.clone(), label, lease_options, self.wait)
    }
}

impl fmt::Debug for Mutex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mutex")
            .field("key", &self.key)
            .field("ttl", &self.ttl)
            .field("wait", &self.wait)
            .field("renewal", &self.renewal)
            .field("min_hold", &self.min_hold)
            .field("max_hold", &self.max_hold)
            .field("label", &self.label)
            .finish_non_exhaustive()
    }
}
