//! Tickets in use without a guard: each call is one step of a program that ends before the next
//! one. Nothing here adopts a ticket, renews it by itself, or says that a lock is held later on.

use std::time::Duration;

use crate::engine::{self, Failing};
use crate::guard::Released;
use crate::protocol::{HolderView, Op, Reply, timing};
use crate::ticket::Ticket;
use crate::types::{Error, ErrorKind, Operation, Result};

use super::Locks;

/// Time for which the store refuses the owner of a ticket that was released: a request of the
/// program that acquired the lock may still be under way.
const TOMBSTONE: Duration = Duration::from_secs(60);

impl Locks {
    /// Makes the lease of a ticket last at least `keep` from now on: 10 ms to 30 days, and at most
    /// the store's longest ttl. It never shortens. The ticket stays as it is, and its fence.
    ///
    /// A lease that ended before is not brought back, even if nobody else has the key: another may
    /// have had it meanwhile.
    ///
    /// # If the reply is lost
    /// It is an error, and the lease may last longer at the store. Repeating is safe.
    ///
    /// # Cancel safety
    /// Dropping the future leaves open whether it was done.
    ///
    /// # Errors
    /// [`ErrorKind::Lost`] if the ticket was adopted or released or its time is over,
    /// [`ErrorKind::Invalid`] for a `keep` out of limits, or the store's failure, which neither
    /// extends nor loses.
    ///
    /// # Examples
    /// ```
    /// # async fn f(locks: tenure::Locks, ticket: tenure::Ticket) -> tenure::Result<()> {
    /// locks.renew_ticket(&ticket, std::time::Duration::from_secs(600)).await?;
    /// # Ok(()) }
    /// ```
    pub async fn renew_ticket(&self, ticket: &Ticket, keep: Duration) -> Result<()> {
        self.renew_as(Operation::Renew, ticket, keep).await
    }

    async fn renew_as(&self, operation: Operation, ticket: &Ticket, keep: Duration) -> Result<()> {
        let engine = self.engine_here(operation)?;
        let failing = || engine.failing(operation, ticket.key());
        let ttl = engine::ttl_to_last(keep, engine.capabilities());
        let ttl = ttl.map_err(|message| failing().with(ErrorKind::Invalid, message))?;
        let op = Op::Renew { owner: ticket.owner().clone(), ttl };
        match engine.request(operation, ticket.key(), op).await? {
            Reply::Renewed => Ok(()),
            Reply::Gone | Reply::Withdrawn => Err(over(failing())),
            other => Err(failing().by_reply(&other)),
        }
    }

    /// Adds `span` to the time that the lease of a ticket has left, by the store's clock. The sum
    /// may be at most 30 days, and at most the store's longest ttl. The lease then lasts as long
    /// as one that was renewed for the sum: the drift allowance counts once, however often it is
    /// extended.
    ///
    /// It is a look and a renewal. A renewal that comes in between is not shortened.
    ///
    /// # If the reply is lost
    /// It is an error, and the lease may last longer at the store. Repeating then adds `span` once
    /// more; [`renew_ticket`](Self::renew_ticket) may be repeated.
    ///
    /// # Cancel safety
    /// Dropping the future leaves open whether it was done.
    ///
    /// # Errors
    /// As with [`renew_ticket`](Self::renew_ticket).
    ///
    /// # Examples
    /// ```
    /// # async fn f(locks: tenure::Locks, ticket: tenure::Ticket) -> tenure::Result<()> {
    /// locks.extend_ticket(&ticket, std::time::Duration::from_secs(600)).await?;
    /// # Ok(()) }
    /// ```
    pub async fn extend_ticket(&self, ticket: &Ticket, span: Duration) -> Result<()> {
        // A look does not decide that it is over: a replica may not know of it.
        let left = self.check_ticket(ticket).await?.map_or(Duration::ZERO, |held| held.remaining);
        let keep = timing::span_of(left).saturating_add(span);
        self.renew_as(Operation::Extend, ticket, keep).await
    }

    /// Releases the lease of a ticket. The next waiter has the key within one message. A holder
    /// that came later, or that has adopted the ticket, is never touched.
    ///
    /// # If the reply is lost
    /// It is an error with [`Error::may_hold`](crate::Error::may_hold). Repeating is safe: if the
    /// first request was carried out, the answer is [`Released::Gone`] or [`Released::Others`].
    ///
    /// # Cancel safety
    /// Dropping the future leaves open whether it was done.
    ///
    /// # Errors
    /// The store's failure.
    ///
    /// # Examples
    /// ```
    /// # async fn f(locks: tenure::Locks, ticket: tenure::Ticket) -> tenure::Result<()> {
    /// if locks.release_ticket(&ticket).await? != tenure::Released::Released {
    ///     eprintln!("{} was lost before", ticket.key());
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn release_ticket(&self, ticket: &Ticket) -> Result<Released> {
        let engine = self.engine_here(Operation::Release)?;
        let op = Op::Release {
            owner: ticket.owner().clone(),
            min_hold: Duration::ZERO,
            tombstone: Some(TOMBSTONE),
        };
        match engine.request(Operation::Release, ticket.key(), op).await? {
            Reply::Released => Ok(Released::Released),
            Reply::Gone => Ok(Released::Gone),
            Reply::Others => Ok(Released::Others),
            other => Err(engine.failing(Operation::Release, ticket.key()).by_reply(&other)),
        }
    }

    /// Asks whether the lease of a ticket lasts, and for how long; `None` if the ticket was adopted
    /// or released or its time is over. [`Ticket::holder_in`] finds the same in a state of the key
    /// that you have.
    ///
    /// The state may have changed by the time you read the answer. Renew right before a step
    /// that needs the lock, and send the fence along with it.
    ///
    /// # Cancel safety
    /// It changes nothing.
    ///
    /// # Errors
    /// The store's failure.
    ///
    /// # Examples
    /// ```
    /// # async fn f(locks: tenure::Locks, ticket: tenure::Ticket) -> tenure::Result<()> {
    /// match locks.check_ticket(&ticket).await? {
    ///     Some(holder) => println!("held for {:?} more", holder.remaining),
    ///     None => println!("not held any more"),
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn check_ticket(&self, ticket: &Ticket) -> Result<Option<HolderView>> {
        let seen = self.mutex(ticket.key()).inspect().await?;
        Ok(ticket.holder_in(&seen).cloned())
    }
}

/// The error of a ticket that holds nothing any more.
fn over(failing: Failing<'_>) -> Error {
    let message = "this ticket holds nothing any more: it was adopted or released, its holder was \
                   forced out, or its time is over; acquire anew";
    failing.with(ErrorKind::Lost, message)
}
