//! The handle of a lease for the work under the lock. It never releases.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::Span;

use crate::engine::{self, Engine, Failing, LeaseEntry, LeaseState, RenewalFailure};
use crate::observe;
use crate::process::{OfProcess, of_process};
use crate::runtime::{Moment, timeout};
use crate::types::{Error, ErrorKind, Fence, Key, LostReason, Operation, Owner, Result};

/// A handle of the lease for the work under a lock: the work may ask about the lease and extend it,
/// but not end it.
///
/// A [`Guard`](crate::Guard) holds the lock and has all that a `Lease` has. A clone of the lease
/// goes by value into tasks, closures and callbacks. Dropping it releases nothing, and when the
/// guard gives the lock back, [`check`](Self::check) fails and [`lost`](Self::lost) ends with
/// [`LostReason::GivenBack`].
///
/// ```
/// # async fn f(locks: tenure::Locks) -> tenure::Result<()> {
/// let written = locks
///     .mutex("report")
///     .run(|lease| async move {
///         lease.check()?;
///         tenure::ok(format!("written with fence {}", lease.fence()))
///     })
///     .await?;
/// # drop(written); Ok(()) }
/// ```
#[derive(Clone)]
pub struct Lease {
    pub(super) inner: OfProcess<Inner>,
}

#[derive(Clone)]
pub(super) struct Inner {
    pub(super) engine: Arc<Engine>,
    pub(super) held: LeaseEntry,
}

impl Lease {
    /// The key.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.state().key
    }

    /// The fencing token: larger than that of every earlier grant on this key, and unchanged by
    /// renewal. An upgrade gives a new one ([`Guard::try_upgrade`](crate::Guard::try_upgrade)).
    #[must_use]
    pub fn fence(&self) -> Fence {
        self.state().fence()
    }

    /// The owner that holds it: this acquisition's own.
    #[must_use]
    pub fn owner(&self) -> &Owner {
        &self.state().owner
    }

    /// The moment until which the lease is confirmed, on this process's clock (`CLOCK_BOOTTIME`).
    /// The drift allowance of 1 % and 2 ms is taken off.
    #[must_use]
    pub fn deadline(&self) -> Moment {
        self.state().deadline()
    }

    /// The time to the deadline, zero if the lock is lost.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        match self.verdict_now() {
            Ok(()) => self.deadline().since(self.engine().now()),
            Err(_) => Duration::ZERO,
        }
    }

    /// Checks that the lock is held at this moment. It reads the clock, so it is right even in a
    /// process that was stopped. It does no I/O.
    ///
    /// # Errors
    /// [`ErrorKind::Lost`], with the reason.
    pub fn check(&self) -> Result<()> {
        self.check_at(self.now_for_check())
    }

    /// The moment for which a check counts.
    pub(crate) fn now_for_check(&self) -> Moment {
        self.engine().now_for_check()
    }

    /// As [`check`](Self::check), at a moment that was read before.
    pub(crate) fn check_at(&self, now: Moment) -> Result<()> {
        if !self.inner.is_here() {
            return Err(self.lost_error(Operation::Hold, LostReason::Forked));
        }
        self.state().verdict(now).map_err(|reason| self.lost_error(Operation::Hold, reason))
    }

    /// Ends when the lock is lost or was given back, and says why.
    ///
    /// It ends a little before the deadline: by the larger of 10 ms and 1 % of the ttl, and at most
    /// a quarter of the ttl. It needs no I/O. A process that is stopped is not told;
    /// [`check`](Self::check) finds the loss when it continues.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing; a later call answers the same.
    ///
    /// # Examples
    /// ```
    /// # async fn work() {}
    /// # async fn f(lease: tenure::Lease) {
    /// tokio::select! {
    ///     () = work() => {}
    ///     reason = lease.lost() => eprintln!("stop: {reason}"),
    /// }
    /// # }
    /// ```
    pub async fn lost(&self) -> LostReason {
        self.until_ended().await;
        self.verdict_now().err().unwrap_or(LostReason::Expired)
    }

    /// The loss as a token, for code that takes one. It is cancelled when the lock is lost, and not
    /// when it is given back. A forked child must ask for a new token: one from before the fork is
    /// its parent's, and is never cancelled in the child.
    #[must_use]
    pub fn lost_token(&self) -> CancellationToken {
        if self.inner.is_here() {
            return self.state().lost_token();
        }
        let lost = CancellationToken::new();
        lost.cancel();
        lost
    }

    /// Cancels this token, too, when the lock is lost.
    pub(crate) fn cancel_when_lost(&self, token: &CancellationToken) {
        self.state().cancel_when_lost(token);
    }

    /// Whether it is of the process from which this one was forked.
    pub(crate) fn is_inherited(&self) -> bool {
        !self.inner.is_here()
    }

    /// Ends when no more than `grace` is left to the deadline, or when the lock is lost: the moment
    /// to stop work that needs `grace` to stop. With a `grace` above two thirds of the ttl it ends
    /// before the first renewal.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    ///
    /// # Examples
    /// ```
    /// # use std::time::Duration;
    /// # async fn f(lease: tenure::Lease) {
    /// lease.at_risk(Duration::from_secs(5)).await;
    /// eprintln!("{:?} left", lease.remaining());
    /// # }
    /// ```
    pub async fn at_risk(&self, grace: Duration) {
        loop {
            let at = self.deadline() - grace;
            if !self.inner.is_here() || self.engine().now() >= at || !self.state().is_held() {
                return;
            }
            if timeout(self.engine().runtime(), at, self.until_ended()).await.is_some() {
                return;
            }
        }
    }

    /// Ends when the deadline is later than `after`, and answers the deadline. It never ends if the
    /// lock is lost before. In a forked process it ends at once, with the deadline as it was.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    ///
    /// # Examples
    /// ```
    /// # async fn f(lease: tenure::Lease) {
    /// let deadline = lease.deadline();
    /// assert!(lease.renewed(deadline).await > deadline);
    /// # }
    /// ```
    pub async fn renewed(&self, after: Moment) -> Moment {
        if self.inner.is_here()
            && let Ok(deadline) = of_process(self.state().renewed(after)).await
        {
            return deadline;
        }
        self.deadline()
    }

    /// Ends when the lease cannot be renewed, and says why: the store has answered with an error,
    /// or not answered in time (100 ms or more, by the time of the next try; at most 3 s). The
    /// lock is still held, and the renewal is tried again until the
    /// [`deadline`](Self::deadline). Until a renewal works, it ends at once.
    ///
    /// It never ends where no renewal is sent: with [`Renewal::Off`](crate::Renewal::Off), and in a
    /// forked process.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    ///
    /// # Examples
    /// ```
    /// # async fn f(lease: tenure::Lease) {
    /// loop {
    ///     let failure = lease.failing().await;
    ///     eprintln!("{}: {failure}; lost in {:?}", lease.key(), lease.remaining());
    ///     tokio::select! {
    ///         _ = lease.renewed(lease.deadline()) => eprintln!("{}: renewed", lease.key()),
    ///         reason = lease.lost() => return eprintln!("{}: {reason}", lease.key()),
    ///     }
    /// }
    /// # }
    /// ```
    pub async fn failing(&self) -> RenewalFailure {
        if self.inner.is_here()
            && let Ok(failure) = of_process(self.state().failing()).await
        {
            return failure;
        }
        std::future::pending().await
    }

    /// Why the last renewal has failed; `None` if it has worked, or none was sent so far. After a
    /// loss it is the cause: see [`failing`](Self::failing).
    #[must_use]
    pub fn renewal_failure(&self) -> Option<RenewalFailure> {
        if self.inner.is_here() { self.state().renewal_failure() } else { None }
    }

    /// Makes the lease last at least `span` from now on: 10 ms to 30 days. It never shortens,
    /// and later renewals do not shorten it either. `max_hold` stays the limit.
    ///
    /// # If the reply is lost
    /// The lease may last longer at the store than this guard knows; the guard keeps its old
    /// deadline. Repeating is safe.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the lease as if the reply had been lost.
    ///
    /// # Errors
    /// [`ErrorKind::Lost`] if the lock is lost, [`ErrorKind::Invalid`] for a span out of limits,
    /// [`ErrorKind::Forked`] in a forked process, or the store's failure, which neither extends
    /// nor loses.
    ///
    /// # Examples
    /// ```
    /// # use std::time::Duration;
    /// # async fn f(lease: tenure::Lease) -> tenure::Result<()> {
    /// lease.extend_to(Duration::from_secs(300)).await?;
    /// # Ok(()) }
    /// ```
    pub async fn extend_to(&self, span: Duration) -> Result<()> {
        self.check_process(Operation::Extend)?;
        let invalid = |message| self.errors_of(Operation::Extend).with(ErrorKind::Invalid, message);
        let ttl = engine::ttl_to_last(span, self.engine().capabilities()).map_err(invalid)?;
        self.extend(ttl).await
    }

    /// Adds `span` to the time that is left at this moment. Calls from a timer would lengthen the
    /// lease again and again; use [`extend_to`](Self::extend_to) there.
    ///
    /// # If the reply is lost
    /// As with [`extend_to`](Self::extend_to); repeating adds to the deadline that this guard
    /// knows, so nothing is added twice.
    ///
    /// # Cancel safety
    /// As with [`extend_to`](Self::extend_to).
    ///
    /// # Errors
    /// As with [`extend_to`](Self::extend_to); the sum may be at most 30 days.
    ///
    /// # Examples
    /// ```
    /// # use std::time::Duration;
    /// # async fn f(lease: tenure::Lease) -> tenure::Result<()> {
    /// lease.extend_by(Duration::from_secs(60)).await?;
    /// # Ok(()) }
    /// ```
    pub async fn extend_by(&self, span: Duration) -> Result<()> {
        self.extend_to(self.remaining().saturating_add(span)).await
    }

    /// Whether the lock is held at this moment: [`check`](Self::check) as a bool.
    #[must_use]
    pub fn held(&self) -> bool {
        self.check().is_ok()
    }

    async fn extend(&self, ttl: Duration) -> Result<()> {
        self.verdict(Operation::Extend)?;
        engine::extend(self.engine(), self.state(), ttl).await?;
        self.verdict(Operation::Extend)
    }

    /// The verdict at this moment. The clock is read only if this is the process that holds it.
    pub(crate) fn verdict_now(&self) -> Result<(), LostReason> {
        if !self.inner.is_here() {
            return Err(LostReason::Forked);
        }
        self.state().verdict(self.engine().now())
    }

    /// Ends when the lease is lost or given back, and at once in a forked process.
    async fn until_ended(&self) {
        if self.inner.is_here() {
            let _forked = of_process(self.state().ended()).await;
        }
    }

    /// The tracing span of the work under it; none in a forked process.
    pub(crate) fn span(&self) -> Span {
        if !self.inner.is_here() {
            return Span::none();
        }
        observe::working(self.key(), self.fence())
    }

    /// Refuses the operation in a forked process.
    pub(crate) fn check_process(&self, operation: Operation) -> Result<()> {
        if self.inner.is_here() {
            return Ok(());
        }
        Err(self.errors_of(operation).by_fork())
    }

    pub(super) fn verdict(&self, operation: Operation) -> Result<()> {
        self.verdict_now().map_err(|reason| self.lost_error(operation, reason))
    }

    pub(super) fn engine(&self) -> &Arc<Engine> {
        &self.inner.engine
    }

    pub(super) fn state(&self) -> &LeaseState {
        &self.inner.held.lease
    }

    pub(crate) fn lost_error(&self, operation: Operation, reason: LostReason) -> Error {
        let message = format!("the lock is lost: {reason}; stop the work it protects");
        self.errors_of(operation).with(ErrorKind::Lost, message)
    }

    pub(super) fn errors_of(&self, operation: Operation) -> Failing<'_> {
        self.engine().failing(operation, self.key())
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("key", self.key())
            .field("fence", &self.fence())
            .field("remaining", &self.remaining())
            .finish_non_exhaustive()
    }
}
