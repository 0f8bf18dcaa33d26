//! The handles of a lease that is held: the guard, which ends it, and the lease for the work under
//! it. They ask the engine, and keep nothing themselves.

mod lease;
mod run;
mod write;

use std::fmt;
use std::future::poll_fn;
use std::ops::Deref;
use std::sync::Arc;
use std::task::Poll;

use crate::engine::{self, Engine, LeaseEntry};
use crate::mutants;
use crate::process::{OfProcess, of_process};
use crate::protocol::Reply;
use crate::runtime::Moment;
use crate::types::{Claim, ErrorKind, InvalidValue, Operation, Result, Value};

use lease::Inner;
pub use lease::Lease;

/// A lock that is held, until it is released, dropped or lost.
///
/// The lease is renewed in the background on a thread of Tenure's own, whatever the program's
/// threads do. When it can no longer be guaranteed, [`lost`](Lease::lost) ends and
/// [`check`](Lease::check) fails, by the [`deadline`](Lease::deadline) at the latest and without
/// any I/O. Once lost, a guard stays lost.
///
/// Dropping a guard releases in the background; [`release`](Self::release) tells how it went,
/// and [`Locks::close`](crate::Locks::close) waits for the background before a program ends.
///
/// It dereferences to [`Lease`], which answers all questions about it; [`lease`](Self::lease) makes
/// a copy for the work under the lock.
///
/// A guard is not proof for the *resource*: a process may be stopped between a check and a
/// write. Where that matters, send [`fence`](Lease::fence) along and let the resource refuse a
/// smaller one.
#[must_use = "a guard that is dropped at once releases the lock at once"]
pub struct Guard {
    lease: Lease,
    /// Whether the release was answered, so that dropping has nothing to do.
    settled: bool,
}

/// The answer to a release. After each of them, this guard holds nothing any more.
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
    pub(crate) fn new(engine: &Arc<Engine>, held: LeaseEntry) -> Self {
        let inner = OfProcess::new(Inner { engine: Arc::clone(engine), held });
        Self { lease: Lease { inner }, settled: false }
    }

    /// A copy of the lease, for the work under the lock.
    #[must_use]
    pub fn lease(&self) -> Lease {
        self.lease.clone()
    }

    /// When its holder got it.
    pub(crate) fn held_from(&self) -> Moment {
        self.lease.inner.held.lease.held_from
    }

    /// Keeps the key taken until `at`, even if this guard is released earlier.
    pub(crate) fn keep_until(&self, at: Moment) {
        self.lease.inner.held.lease.keep_until(at);
    }

    /// Changes the part of the key that it holds, in place; `false` if there is no room for that
    /// now.
    pub(crate) async fn resize(&mut self, from: Claim, to: Claim) -> Result<bool> {
        self.lease.check_process(Operation::Resize)?;
        self.lease.verdict(Operation::Resize)?;
        let Inner { engine, held } = &*self.lease.inner;
        let failing = || self.lease.errors_of(Operation::Resize);
        if !engine.capabilities().many_units {
            let message = "only a store that counts its holders in one place can let a reader in \
                           beside others, and a quorum does not; use one server, or a file";
            return Err(failing().with(ErrorKind::Invalid, message));
        }
        loop {
            let changed = of_process(engine::resize(engine, &held.lease, from, to)).await;
            let changed = changed.map_err(|_| failing().by_fork())??;
            self.lease.verdict(Operation::Resize)?;
            if changed || !mutants::has!(UpgradeWaits) {
                return Ok(changed);
            }
            give_way().await;
        }
    }

    /// Changes the value beside its claim.
    pub(crate) async fn set_value(&self, value: Result<Value, InvalidValue>) -> Result<()> {
        self.lease.check_process(Operation::SetValue)?;
        let failing = || self.lease.errors_of(Operation::SetValue);
        let value = value.map_err(|e| failing().with(ErrorKind::Invalid, e.to_string()))?;
        self.lease.verdict(Operation::SetValue)?;
        let Inner { engine, held } = &*self.lease.inner;
        let set = of_process(engine::set_value(engine, &held.lease, value)).await;
        set.map_err(|_| failing().by_fork())??;
        self.lease.verdict(Operation::SetValue)
    }

    /// Waits until it is known which part of the key it holds.
    pub(crate) async fn settle_part(&self) -> Result<()> {
        let Inner { engine, held } = &*self.lease.inner;
        let settled = of_process(engine::settled(engine, &held.lease)).await;
        settled.map_err(|_| self.lease.errors_of(Operation::Resize).by_fork())?
    }

    /// Ends this guard without a release.
    pub(crate) fn settle(mut self) {
        self.settled = true;
    }

    /// Gives the lock back and tells how it went. The next waiter has it within one message.
    ///
    /// It may be called on a lost guard: the rest of the lease is then given back, and a successor
    /// is never touched.
    ///
    /// # If the reply is lost
    /// The release goes on in the background until the store answers or the lease has ended.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the release to the background.
    ///
    /// # Errors
    /// The store's failure. [`may_hold`](crate::Error::may_hold) is then true: the key may stay
    /// taken until the background has reached the store, at most for the rest of the ttl.
    /// [`ErrorKind::Forked`] in a forked process, where nothing is sent: the lock is the parent's.
    ///
    /// # Examples
    /// ```
    /// # async fn f(guard: tenure::Guard) -> tenure::Result<()> {
    /// if guard.release().await? != tenure::Released::Released {
    ///     eprintln!("the lock had been lost");
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn release(self) -> Result<Released> {
        self.lease.check_process(Operation::Release)?;
        // A close waits for the answer. If this future is dropped, `this` goes first and leaves the
        // release to the background.
        let engine = OfProcess::new(Arc::clone(&self.lease.inner.engine));
        let _tracked = engine.track();
        let mut this = self;
        let held = &this.lease.inner.held;
        engine::let_go(&engine, held);
        let released = engine::give_back(&engine, &held.lease).await.map_err(|failure| {
            this.lease.errors_of(Operation::Release).by_store(failure).with_may_hold(true)
        })?;
        this.settled = true;
        if released.was_handed_off {
            // The next holder's lease is already running.
            give_way().await;
        }
        match released.reply {
            Reply::Released => Ok(Released::Released),
            Reply::Gone => Ok(Released::Gone),
            Reply::Others => Ok(Released::Others),
            other => {
                let message = format!("the store answered {other:?} to a release");
                Err(this.lease.errors_of(Operation::Release).with(ErrorKind::Internal, message))
            }
        }
    }
}

/// Lets the other tasks of this thread run first, once.
async fn give_way() {
    let mut has_waited = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut has_waited, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

impl Deref for Guard {
    type Target = Lease;

    fn deref(&self) -> &Lease {
        &self.lease
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if self.lease.check_process(Operation::Release).is_err() {
            return;
        }
        let Inner { engine, held } = &*self.lease.inner;
        if self.settled {
            engine::let_go(engine, held);
        } else {
            engine::release_dropped(engine, held);
        }
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard")
            .field("key", self.key())
            .field("fence", &self.fence())
            .field("remaining", &self.remaining())
            .finish_non_exhaustive()
    }
}
