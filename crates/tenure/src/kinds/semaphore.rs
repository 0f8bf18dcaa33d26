//! A lock of several holders at a time: the claim `k` of `n`. It sends nothing before a verb is
//! called.

use std::fmt;
use std::time::Duration;

use crate::engine::Renewal;
use crate::guard::{Guard, Lease};
use crate::protocol::{Inspection, Op, Reply, State};
use crate::scope::{Compensated, Failure, Finished};
use crate::ticket::Ticket;
#[cfg(doc)]
use crate::types::ErrorKind;
use crate::types::{Claim, Error, Fence, InvalidKey, Key, Label, Operation, Result};

use super::LazyLocks;
use super::control::control;
use super::options::{Kind, Options, options};
use super::scopes::scopes;

const SEMAPHORE: Kind = Kind { name: "a semaphore", has_many_holders: true };

/// `n` permits that all users of a store share: at most `n` are held at a time.
///
/// **When to use it.** For a limit that spans processes and hosts: calls at a time to a service,
/// heavy jobs at a time in a cluster, licences of a program. A large piece of work can take several
/// permits at once ([`acquire_many`](Self::acquire_many)). Permits are leases: those of a holder
/// that dies are free again after its ttl.
///
/// **When not.** For work that must not run twice at once take a [`Mutex`](crate::Mutex). For a
/// limit within one process take `tokio::sync::Semaphore`, which asks nobody. A limit on calls *per
/// second* is no semaphore: a permit comes back when it is released, not with time. A fence does
/// not tell the holders of one semaphore apart from stale ones: a resource would refuse all but the
/// newest. A quorum refuses semaphores, since each of its nodes would be within the limit while
/// more than `n` clients had a majority.
///
/// `n` is 1 to [`Claim::MAX`]. It is kept with the key while permits are held or waited for. All
/// who use the key then must name the same `n`; another one is refused with
/// [`ErrorKind::Mismatch`], and the message has both.
///
/// Permits are granted in order of arrival. A claim for many is not overtaken by claims for few:
/// those behind it wait, also if the permits that are free would do for them. Each [`Guard`] has a
/// lease and a [fence](Lease::fence) of its own. [`force_release`](Self::force_release) takes *all*
/// permits away. With a [fixed owner value](Self::with_owner), a claim that would have to wait is
/// refused if a permit is held under the same value.
///
/// The options are a value; nothing is sent before a verb is called, and options that do not fit
/// together are refused there, before anything is touched.
///
/// ```
/// # async fn call(_: u32) {}
/// # async fn f(locks: tenure::Locks) -> tenure::Result<()> {
/// let calls = locks.semaphore("geocoder", 3);
/// let permit = calls.acquire().await?;
/// call(1).await; // at most three at a time, on all hosts together
/// permit.release().await?;
///
/// let two_of_three = calls.acquire_many(2).await?;
/// two_of_three.run(|_lease| async { tenure::ok(call(2).await) }).await
/// # }
/// ```
#[derive(Clone)]
#[must_use = "no permit is held before it is acquired"]
pub struct Semaphore {
    options: Options,
    permits: u32,
}

impl Semaphore {
    pub(crate) fn new(locks: LazyLocks, key: Result<Key, InvalidKey>, permits: u32) -> Self {
        Self { options: Options::new(SEMAPHORE, locks, key), permits }
    }

    /// The number of permits that there are, `n`.
    #[must_use]
    pub fn permits(&self) -> u32 {
        self.permits
    }

    options!("[`acquire`](Self::acquire)");

    /// Checks the options and sends nothing: each limit, and whether they fit together. For a
    /// program that takes them from a user, and refuses them before it connects. Every acquire
    /// checks the same, and then what the store asks for, such as its longest ttl.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`], with the number and its limit in the message.
    ///
    /// # Examples
    /// ```
    /// let error = tenure::semaphore("k", 0).validate().unwrap_err();
    /// assert_eq!(error.message(), "a semaphore of 0 permits is below the limit of 1");
    /// ```
    pub fn validate(&self) -> Result<()> {
        self.options.check(self.claim(1)?).map(drop)
    }

    /// Waits in line for one permit: first come, first served.
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
    /// [`ErrorKind::Busy`] when the time limit is over; the message names the oldest holder.
    /// [`ErrorKind::Invalid`] before anything is touched, also if the store cannot carry
    /// semaphores. [`ErrorKind::Mismatch`] if the key is in use with another number of permits.
    /// [`ErrorKind::Unavailable`] if the store cannot be reached at first contact, or its restart
    /// guard outlasts the time limit. During a later outage it goes on waiting, within the time
    /// limit.
    ///
    /// # Examples
    /// ```
    /// # async fn f(locks: tenure::Locks) -> tenure::Result<()> {
    /// let permit = locks.semaphore("geocoder", 3).acquire().await?;
    /// permit.check()?;
    /// permit.release().await?;
    /// # Ok(()) }
    /// ```
    pub async fn acquire(&self) -> Result<Guard> {
        self.options.acquire(self.claim(1)?).await
    }

    /// Takes one permit if there is one and nobody stands in line; `None` if not.
    ///
    /// # If the reply is lost
    /// It is an error with [`Error::may_hold`], and the claim is withdrawn in the background.
    ///
    /// # Cancel safety
    /// Dropping the future withdraws the claim in the background.
    ///
    /// # Errors
    /// As with [`acquire`](Self::acquire), but for `Busy`. The store is asked once.
    ///
    /// # Examples
    /// ```
    /// # async fn f(locks: tenure::Locks) -> tenure::Result<()> {
    /// match locks.semaphore("geocoder", 3).try_acquire().await? {
    ///     Some(permit) => drop(permit.release().await?),
    ///     None => println!("three are at it"),
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn try_acquire(&self) -> Result<Option<Guard>> {
        self.options.try_acquire(self.claim(1)?).await
    }

    /// Waits in line for `units` permits at once, 1 to `n`. They are granted together, held under
    /// one guard with one fence, and given back together. While it is first in line, permits that
    /// come back are kept for it.
    ///
    /// # If the reply is lost
    /// As with [`acquire`](Self::acquire).
    ///
    /// # Cancel safety
    /// As with [`acquire`](Self::acquire).
    ///
    /// # Errors
    /// As with [`acquire`](Self::acquire); [`ErrorKind::Invalid`] for 0 or more than `n`.
    ///
    /// # Examples
    /// ```
    /// # async fn f(locks: tenure::Locks) -> tenure::Result<()> {
    /// let half = locks.semaphore("cores", 8).acquire_many(4).await?;
    /// half.release().await?;
    /// # Ok(()) }
    /// ```
    pub async fn acquire_many(&self, units: u32) -> Result<Guard> {
        self.options.acquire(self.claim(units)?).await
    }

    /// Takes `units` permits at once, 1 to `n`, if so many are free and nobody stands in line;
    /// `None` if not.
    ///
    /// # If the reply is lost
    /// As with [`try_acquire`](Self::try_acquire).
    ///
    /// # Cancel safety
    /// As with [`try_acquire`](Self::try_acquire).
    ///
    /// # Errors
    /// As with [`try_acquire`](Self::try_acquire); [`ErrorKind::Invalid`] for 0 or more than `n`.
    ///
    /// # Examples
    /// ```
    /// # async fn f(locks: tenure::Locks) -> tenure::Result<()> {
    /// let cores = locks.semaphore("cores", 8);
    /// if let Some(half) = cores.try_acquire_many(4).await? {
    ///     half.release().await?;
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn try_acquire_many(&self, units: u32) -> Result<Option<Guard>> {
        self.options.try_acquire(self.claim(units)?).await
    }

    /// Changes the number of permits for all who use the key now, 1 to [`Claim::MAX`]; `self` keeps
    /// its own number. Answers the number before; `None`: no permit is held or waited for, so there
    /// was none to change, and the next claim names its own.
    ///
    /// A larger number is granted at once to those who wait. A smaller one takes effect as permits
    /// come back: nobody loses a permit. A waiter that wants more than there are now is refused.
    /// All claims that follow must name the new number, so first change it here, then start the
    /// programs that name it; those with the old number get [`ErrorKind::Mismatch`].
    ///
    /// # If the reply is lost
    /// Asking again is safe, and answers the new number.
    ///
    /// # Cancel safety
    /// Dropping the future leaves open whether it was done.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a bad key or number; the store's failure, or that it cannot carry
    /// semaphores.
    ///
    /// # Examples
    /// ```
    /// # async fn f(locks: tenure::Locks) -> tenure::Result<()> {
    /// let was = locks.semaphore("geocoder", 3).set_permits(5).await?;
    /// println!("{was:?} before, 5 now");
    /// # Ok(()) }
    /// ```
    pub async fn set_permits(&self, permits: u32) -> Result<Option<u32>> {
        Self { options: self.options.clone(), permits }.claim(1)?;
        let op = Op::SetLimit { limit: permits };
        let read = |reply: &Reply| match reply {
            Reply::LimitSet { was } => Some(*was),
            _ => None,
        };
        self.options.request(Operation::SetPermits, op, read).await
    }

    control!("locks.semaphore(\"geocoder\", 3)");
    scopes!("locks.semaphore(\"geocoder\", 3)");

    /// The claim of so many permits.
    fn claim(&self, units: u32) -> Result<Claim> {
        let permits = self.permits;
        Claim::new(units, permits).ok_or_else(|| {
            let message = if permits == 0 {
                "a semaphore of 0 permits is below the limit of 1".into()
            } else if permits > Claim::MAX {
                format!("a semaphore of {permits} permits is above the limit of {}", Claim::MAX)
            } else if units == 0 {
                format!("0 of {permits} permits were asked for; the least is 1")
            } else {
                format!("{units} permits were asked for, and there are {permits} in all")
            };
            self.options.invalid(Operation::Acquire, message)
        })
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.options.describe(f.debug_struct("Semaphore").field("permits", &self.permits))
    }
}
