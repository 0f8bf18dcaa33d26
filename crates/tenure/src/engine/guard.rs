//! The proof in a program's hand that it holds a lease.

use std::fmt;
use std::future::poll_fn;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;

use crate::process::OfProcess;
use crate::protocol::Reply;
use crate::types::{ErrorKind, Operation, Result};

use super::core::Engine;
use super::handle::Lease;
use super::lease::LeaseEntry;
use crate::types::LostReason;

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
/// What a guard can tell stands with [`Lease`], to which it dereferences;
/// [`lease`](Self::lease) makes a copy for the work under the lock.
///
/// A guard is not proof for the *resource*: a process may be stopped between a check and a
/// write. Where that matters, send [`fence`](Lease::fence) along and let the resource refuse a
/// smaller one.
#[must_use = "a guard that is dropped at once releases the lock at once"]
pub struct Guard {
    lease: Lease,
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
    pub(crate) fn new(engine: Arc<Engine>, held: LeaseEntry) -> Self {
        Self { lease: Lease::new(engine, held), settled: false }
    }

    /// A copy of the lease, for the work under the lock.
    #[must_use]
    pub fn lease(&self) -> Lease {
        self.lease.clone()
    }

    /// Nothing is left to do when this guard is dropped.
    pub(crate) fn settle(mut self) {
        self.settled = true;
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
        // Closing waits for the answer; and should this future be dropped, `this` goes first and
        // leaves the release to the background.
        let engine = OfProcess::new(Arc::clone(self.lease.engine()));
        let _tracked = engine.in_flight.track();
        let mut this = self;
        let lease = this.lease.state();
        engine.let_go(this.lease.entry());
        let reply = match engine.give_back(lease).await {
            Ok(reply) => reply,
            Err(failure) => {
                return Err(engine.store_error(Operation::Release, &lease.key, failure, true));
            }
        };
        engine.polls.freed(&lease.key);
        let was_handed_off = lease.handed_off.load(Ordering::Acquire);
        this.settled = true;
        if was_handed_off {
            // Whoever was granted by it has been woken, and on this thread runs behind us: its
            // lease counts, ours is over.
            give_way().await;
        }
        match reply {
            Reply::Released => Ok(Released::Released),
            Reply::Gone => Ok(Released::Gone),
            Reply::Others => Ok(Released::Others),
            other => {
                let message = format!("the store answered {other:?} to a release");
                Err(this.lease.error(Operation::Release, ErrorKind::Internal, message))
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
        let engine = self.lease.engine();
        if self.settled {
            return engine.let_go(self.lease.entry());
        }
        let tracked = engine.in_flight.track();
        let was_held = engine.end_keeping(self.lease.entry());
        // Whoever closed before that gives it back.
        if self.lease.state().verdict(engine.now()) != Err(LostReason::Closed) {
            engine.release_later(tracked, self.lease.state());
        }
        // Last: a logger may block.
        if was_held {
            engine.tell_given_back(self.lease.state());
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
