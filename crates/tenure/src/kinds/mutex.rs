//! The lock of one holder: the exclusive claim. It sends nothing before a verb is called.

use std::fmt;
use std::time::Duration;

use crate::engine::{self, Renewal};
use crate::guard::{Guard, Lease, Released};
use crate::protocol::{Inspection, State};
use crate::scope::{Compensated, Failure, Finished};
use crate::ticket::Ticket;
#[cfg(doc)]
use crate::types::ErrorKind;
use crate::types::{Claim, Error, Fence, InvalidKey, Key, Label, Operation, Result};

use super::LazyLocks;
use super::control::control;
use super::looks::Looks;
use super::options::{Kind, Options, options};
use super::scopes::scopes;

const MUTEX: Kind = Kind { name: "a mutex", has_many_holders: false };

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
    pub(super) options: Options,
}

impl Mutex {
    pub(crate) fn new(locks: LazyLocks, key: Result<Key, InvalidKey>) -> Self {
        Self { options: Options::new(MUTEX, locks, key) }
    }

    options!("[`acquire`](Self::acquire)");

    /// Keeps the lock as `SET key token NX PX ttl` does, for a program in another language that
    /// shall extend or release it: redis-py's `Lock`, or a script that compares and deletes. The
    /// value of the key is the owner's ([`Owner::value`](crate::Owner::value)) and nothing else,
    /// and the lease lasts as long as the key. Default: off. Both forms exclude such programs, and
    /// each other; without this one, others cannot extend or release the lock.
    ///
    /// - A key that others let last longer is granted to nobody before its time is over, and no
    ///   renewal shortens it. The guard keeps its own deadline.
    /// - If others delete the key, put another value there, or let it end sooner, the lock is lost.
    ///   The guard learns of that at its next renewal, a third of the ttl later at most; until then
    ///   there can be two holders. A key that is made to stay for ever is lost as well.
    /// - Others are told apart from this holder by the value alone. One of
    ///   [`with_owner`](Self::with_owner) must be in use nowhere else.
    /// - Waiters of Tenure stand in line. The first of them finds a release by others at its next
    ///   heartbeat, a second later at most. Others have no place in line, and no fence.
    ///
    /// To leave a lock to another program, hand it over ([`Guard::hand_over`]): a guard that is
    /// dropped releases it. The lease keeps its form when it changes hands, and cannot become a
    /// reader's. The option also holds for [`reentrant`](Self::reentrant).
    ///
    /// It needs a Redis or Valkey server, servers behind Sentinels, or a cluster. With any other
    /// store each acquire is [`ErrorKind::Invalid`], before anything is touched.
    ///
    /// # Examples
    /// ```
    /// # async fn f() -> tenure::Result<()> {
    /// use std::time::Duration;
    /// let locks = tenure::connect("redis://localhost").await?;
    /// let report = locks.mutex("report").with_plain_value().with_ttl(Duration::from_secs(10));
    /// let guard = report.acquire().await?; // as SET report <value> NX PX 10000
    /// let value = guard.owner().value().to_owned();
    /// guard.hand_over(Duration::from_secs(60)).await?; // from here on it is the other program's
    /// // There, in Python:
    /// //   lock = client.lock("report", timeout=60)
    /// //   lock.local.token = value.encode()
    /// //   lock.extend(60, replace_ttl=True)
    /// //   lock.release()
    /// # drop(value); Ok(()) }
    /// ```
    pub fn with_plain_value(mut self) -> Self {
        self.options.plain_value = true;
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
        self.options.check(Claim::EXCLUSIVE).map(drop)
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
        self.options.acquire(Claim::EXCLUSIVE).await
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
        self.options.try_acquire(Claim::EXCLUSIVE).await
    }

    /// Takes the lock from its holder, ahead of the line, with a new fence. The old holder loses it
    /// as with [`force_release`](Self::force_release), and may go on with its work until it learns
    /// of that. Only a resource that checks fences is safe from it.
    ///
    /// # If the reply is lost
    /// The same request is repeated, and the store recognises it. It takes the lock from nobody a
    /// second time. A quorum withdraws what too few of its nodes answered: the next try is a new
    /// one, and takes the lock from its holder of then.
    ///
    /// # Cancel safety
    /// Dropping the future withdraws the claim in the background. The old holder does not get the
    /// lock back.
    ///
    /// # Errors
    /// As with [`acquire`](Self::acquire), but for `Busy`.
    ///
    /// # Examples
    /// ```
    /// # async fn f(locks: tenure::Locks) -> tenure::Result<()> {
    /// let guard = locks.mutex("leader").steal().await?;
    /// println!("in charge with fence {}", guard.fence());
    /// # Ok(()) }
    /// ```
    pub async fn steal(&self) -> Result<Guard> {
        let options = self.options.check(Claim::EXCLUSIVE)?;
        let engine = self.options.engine_for_claims(Operation::Acquire, &options.key).await?;
        let held = engine::steal(&engine, &options).await?;
        Ok(Guard::new(&engine, held))
    }

    control!("locks.mutex(\"report\")");
    scopes!("locks.mutex(\"report\")");

    /// Looks at its key, again and again.
    pub(crate) fn looks(self) -> Looks {
        Looks::new(self.options)
    }

    /// Releases the lease of an owner with this value, whichever process acquired it.
    pub(crate) async fn release_owner(&self, value: &str) -> Result<Released> {
        self.options.release_owner(value).await
    }
}

impl fmt::Debug for Mutex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.options.describe(&mut f.debug_struct("Mutex"))
    }
}
