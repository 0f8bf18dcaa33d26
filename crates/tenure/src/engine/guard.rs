//! The proof in a program's hand that it holds a lease.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::logic::{Op, Reply};
use crate::seam::Moment;
use crate::words::{Error, ErrorKind, Fence, Key, Operation, Owner, Result};

use super::core::{Engine, release_of};
use super::lease::{Held, Lease, LostReason};
use super::mutants::{self, Mutant};
use super::order::check_ttl;
use super::validity;

/// A lock that is held, until it is released, dropped or lost.
///
/// The lease is renewed in the background on a thread of Tenure's own, whatever the program's
/// threads do. When it can no longer be guaranteed, [`lost`](Self::lost) ends and
/// [`check`](Self::check) fails, by the [`deadline`](Self::deadline) at the latest and without
/// any I/O. Once lost, a guard stays lost.
///
/// Dropping a guard releases in the background; [`release`](Self::release) tells how it went,
/// and [`Locks::close`](crate::Locks::close) waits for the background before a program ends.
///
/// A guard is not proof for the *resource*: a process may be stopped between a check and a
/// write. Where that matters, send [`fence`](Self::fence) along and let the resource refuse a
/// smaller one.
#[must_use = "a guard that is dropped at once releases the lock at once"]
pub struct Guard {
    engine: Arc<Engine>,
    held: Held,
    /// The release was answered; nothing is left to do.
    settled: bool,
}

/// How a release went. Each of them means: this guard holds nothing any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Released {
    /// The lease was given back.
    Released,
    /// There was no such lease any more, and nobody else holds the key.
    Gone,
    /// There was no such lease any more, and another holds the key. It was left alone.
    Others,
}

impl Guard {
    pub(crate) fn new(engine: Arc<Engine>, held: Held) -> Self {
        Self { engine, held, settled: false }
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.lease().key
    }

    /// The fencing token: larger than that of every earlier grant on this key, and unchanged by
    /// renewal.
    #[must_use]
    pub fn fence(&self) -> Fence {
        self.lease().fence
    }

    /// Who holds: this acquisition's owner.
    #[must_use]
    pub fn owner(&self) -> &Owner {
        &self.lease().owner
    }

    /// Until when the lease holds as far as is confirmed, on this process's clock
    /// (`CLOCK_BOOTTIME`), with the drift allowance of 1 % and 2 ms taken off.
    #[must_use]
    pub fn deadline(&self) -> Moment {
        self.lease().deadline()
    }

    /// The time to the deadline, zero if the lock is lost.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        let now = self.engine.now();
        match self.lease().verdict(now) {
            Ok(()) => self.deadline().since(now),
            Err(_) => Duration::ZERO,
        }
    }

    /// Whether the lock is held at this moment. It reads the clock, so it is right even in a
    /// process that was stopped; it does no I/O.
    ///
    /// # Errors
    /// [`ErrorKind::Lost`], with the reason.
    pub fn check(&self) -> Result<()> {
        let now = if mutants::is_set(Mutant::ClockBeforePause) {
            Moment::from_micros(self.engine.turned_at.load(std::sync::atomic::Ordering::Acquire))
        } else {
            self.engine.now()
        };
        self.lease().verdict(now).map_err(|reason| self.lost_error(Operation::Hold, reason))
    }

    /// Ends when the lock is lost, and says why.
    ///
    /// The alarm is set min(max(10 ms, 1 % of the ttl), a quarter of the ttl) before the
    /// deadline, and needs no I/O. It cannot ring in a process that is stopped;
    /// [`check`](Self::check) finds that out.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing; a later call answers the same.
    ///
    /// # Examples
    /// ```
    /// # async fn work() {}
    /// # async fn f(guard: tenure::Guard) {
    /// tokio::select! {
    ///     () = work() => {}
    ///     reason = guard.lost() => eprintln!("stop: {reason}"),
    /// }
    /// # }
    /// ```
    pub async fn lost(&self) -> LostReason {
        self.lease().lost.cancelled().await;
        self.lease().verdict(self.engine.now()).err().unwrap_or(LostReason::Expired)
    }

    /// The same as a token, for code that takes one. It is cancelled when the lock is lost, and
    /// never otherwise.
    #[must_use]
    pub fn lost_token(&self) -> CancellationToken {
        self.lease().lost.clone()
    }

    /// Ends when no more than `grace` is left to the deadline, or when the lock is lost: the
    /// moment to stop what needs `grace` to stop. A `grace` above two thirds of the ttl ends
    /// before the first renewal.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    ///
    /// # Examples
    /// ```
    /// # use std::time::Duration;
    /// # async fn f(guard: tenure::Guard) {
    /// guard.at_risk(Duration::from_secs(5)).await;
    /// eprintln!("{:?} left", guard.remaining());
    /// # }
    /// ```
    pub async fn at_risk(&self, grace: Duration) {
        loop {
            let at = self.deadline() - grace;
            if self.engine.now() >= at || !self.lease().is_held() {
                return;
            }
            tokio::select! {
                biased;
                () = self.lease().lost.cancelled() => return,
                () = self.engine.seam.sleep_until(at) => {}
            }
        }
    }

    /// Ends when the deadline is later than `after`, and tells it. It never ends if the lock is
    /// lost before.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    ///
    /// # Examples
    /// ```
    /// # async fn f(guard: tenure::Guard) {
    /// let deadline = guard.deadline();
    /// assert!(guard.renewed(deadline).await > deadline);
    /// # }
    /// ```
    pub async fn renewed(&self, after: Moment) -> Moment {
        self.lease().renewed(after).await
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
    /// or the store's failure, which neither extends nor loses.
    ///
    /// # Examples
    /// ```
    /// # use std::time::Duration;
    /// # async fn f(guard: tenure::Guard) -> tenure::Result<()> {
    /// guard.extend_to(Duration::from_secs(300)).await?;
    /// # Ok(()) }
    /// ```
    pub async fn extend_to(&self, span: Duration) -> Result<()> {
        check_ttl(span)
            .map_err(|message| self.error(Operation::Renew, ErrorKind::Invalid, message))?;
        self.extend(validity::ttl_for(span)).await
    }

    /// Adds `span` to the time that is left, which is counted when it is called. Calling it from
    /// a timer grows the lease without bound; use [`extend_to`](Self::extend_to) there.
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
    /// # async fn f(guard: tenure::Guard) -> tenure::Result<()> {
    /// guard.extend_by(Duration::from_secs(60)).await?;
    /// # Ok(()) }
    /// ```
    pub async fn extend_by(&self, span: Duration) -> Result<()> {
        self.extend_to(self.remaining() + span).await
    }

    /// Gives the lock back and tells how it went. The next waiter has it within one message.
    ///
    /// It may be called on a lost guard: what is left of the lease is then given back, and a
    /// successor is never touched.
    ///
    /// # If the reply is lost
    /// The release goes on in the background until the store answers or the lease has ended.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the release to the background.
    ///
    /// # Errors
    /// The store's failure. [`Error::may_hold`] is then true: the key may stay taken until the
    /// background has reached the store, at most for the rest of the ttl.
    ///
    /// # Examples
    /// ```
    /// # async fn f(guard: tenure::Guard) -> tenure::Result<()> {
    /// if guard.release().await? != tenure::Released::Released {
    ///     eprintln!("the lock had been lost");
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn release(mut self) -> Result<Released> {
        let Self { engine, held, .. } = &self;
        engine.let_go(held);
        let lease = &held.lease;
        let reply = match engine.ask(&lease.key, release_of(lease), Moment::NEVER).await {
            Ok(reply) => reply,
            Err(failure) => {
                return Err(engine.store_error(Operation::Release, &lease.key, failure, true));
            }
        };
        self.settled = true;
        match reply {
            Reply::Released => Ok(Released::Released),
            Reply::Gone => Ok(Released::Gone),
            Reply::Others => Ok(Released::Others),
            other => {
                let message = format!("the store answered {other:?} to a release");
                Err(self.error(Operation::Release, ErrorKind::Internal, message))
            }
        }
    }

    async fn extend(&self, ttl: Duration) -> Result<()> {
        let lease = self.lease();
        let sent = self.engine.now();
        lease.verdict(sent).map_err(|reason| self.lost_error(Operation::Renew, reason))?;
        let op = Op::Renew { owner: lease.owner.clone(), ttl };
        let reply = self.engine.ask(&lease.key, op, Moment::NEVER).await.map_err(|failure| {
            self.engine.store_error(Operation::Renew, &lease.key, failure, true)
        })?;
        if reply == Reply::Renewed {
            lease.confirm(sent, ttl, self.engine.now());
        } else {
            lease.lose(LostReason::Gone);
        }
        lease.verdict(self.engine.now()).map_err(|reason| self.lost_error(Operation::Renew, reason))
    }

    fn lease(&self) -> &Lease {
        &self.held.lease
    }

    fn lost_error(&self, operation: Operation, reason: LostReason) -> Error {
        let message = format!("the lock is lost: {reason}; stop the work it protects");
        self.error(operation, ErrorKind::Lost, message)
    }

    fn error(&self, operation: Operation, kind: ErrorKind, message: String) -> Error {
        self.engine.error(operation, self.key(), kind)(message)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.engine.let_go(&self.held);
        let closed = self.lease().verdict(self.engine.now()) == Err(LostReason::Closed);
        if !self.settled && !closed {
            self.engine.release_later(self.lease());
        }
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lease = self.lease();
        f.debug_struct("Guard")
            .field("key", &lease.key)
            .field("fence", &lease.fence)
            .field("remaining", &self.remaining())
            .finish_non_exhaustive()
    }
}
