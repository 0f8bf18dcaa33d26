//! Control of a lock by hand: ask who holds it, and take it over, by a ticket or by force. Nothing
//! here waits in line.

use std::time::Duration;

use crate::engine;
use crate::guard::{Guard, Released};
use crate::protocol::{Op, Reply, State};
use crate::ticket::Ticket;
use crate::types::{Error, ErrorKind, Operation, Owner, Result};

use super::Mutex;

impl Mutex {
    /// Whether anybody holds the key now, by Tenure or by another library. The state may have
    /// changed by the time you read the answer: to decide who works, acquire.
    ///
    /// # Cancel safety
    /// It changes nothing.
    ///
    /// # Errors
    /// Those of [`inspect`](Self::inspect).
    ///
    /// # Examples
    /// ```
    /// # async fn f(locks: tenure::Locks) -> tenure::Result<()> {
    /// println!("a deploy is on: {}", locks.mutex("deploy").held_by_anyone().await?);
    /// # Ok(()) }
    /// ```
    pub async fn held_by_anyone(&self) -> Result<bool> {
        Ok(self.inspect().await?.state != State::Free)
    }

    /// Whether the fixed owner value of this mutex ([`with_owner`](Self::with_owner)) holds the
    /// key now, whichever process acquired it. A guard knows its own state without I/O:
    /// [`Lease::held`](crate::Lease::held).
    ///
    /// # Cancel safety
    /// It changes nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] without a fixed value; those of [`inspect`](Self::inspect).
    ///
    /// # Examples
    /// ```
    /// # async fn f(locks: tenure::Locks) -> tenure::Result<()> {
    /// let mine = locks.mutex("deploy").with_owner("release-train");
    /// println!("it is our deploy: {}", mine.held_by_me().await?);
    /// # Ok(()) }
    /// ```
    pub async fn held_by_me(&self) -> Result<bool> {
        let Some(value) = self.owner.as_deref() else {
            let message = "without a fixed owner value nobody is \"me\"; name one by with_owner, \
                           or ask the guard";
            let error = Error::new(ErrorKind::Invalid, Operation::Inspect, message);
            return Err(error.with_key(self.key(Operation::Inspect)?));
        };
        let seen = self.inspect().await?;
        Ok(seen.holders.iter().any(|holder| holder.owner.value() == value))
    }

    /// Takes the key away from its holders, and answers how many they were. The next waiter has it
    /// at once. The old holder learns of the loss at its next renewal, a third of its ttl later at
    /// most, and may go on with its work until then.
    ///
    /// It is for people who know that the holder is dead, or must end. It asks for the holders
    /// first; a holder that comes later is not touched.
    ///
    /// # If the reply is lost
    /// It is an error with [`Error::may_hold`]; asking again is safe.
    ///
    /// # Cancel safety
    /// Dropping the future leaves open whether it was done.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a bad key, or the store's failure.
    ///
    /// # Examples
    /// ```
    /// # async fn f(locks: tenure::Locks) -> tenure::Result<()> {
    /// let forced = locks.mutex("deploy").force_release().await?;
    /// println!("{forced} lost it");
    /// # Ok(()) }
    /// ```
    pub async fn force_release(&self) -> Result<u32> {
        let key = self.key(Operation::Force)?;
        let seen = self.inspect().await?;
        let Some(up_to) = seen.holders.iter().map(|holder| holder.fence).max() else {
            return Ok(0);
        };
        let engine = self.locks.engine(Operation::Force, key).await?;
        match engine.request(Operation::Force, key, Op::Force { up_to }).await? {
            Reply::Forced { holders } => Ok(holders),
            other => Err(engine.failing(Operation::Force, key).by_reply(&other)),
        }
    }

    /// Takes the lock from its holder, ahead of the line, with a new fence. The old holder loses it
    /// as with [`force_release`](Self::force_release), and may go on with its work until it learns
    /// of that. Only a resource that checks fences is safe from it.
    ///
    /// # If the reply is lost
    /// The same request is repeated, and the store recognises it. It takes the lock from nobody a
    /// second time.
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
        let options = self.options()?;
        let engine = self.locks.engine(Operation::Acquire, &options.key).await?;
        let held = engine::steal(&engine, &options).await?;
        Ok(Guard::new(&engine, held))
    }

    /// Turns a ticket into a guard with the options of this mutex, once. The lease changes its
    /// owner in one step, keeps its fence, and lasts for the ttl of this mutex from then on.
    /// [`Locks::adopt`](crate::Locks::adopt) does it with default options.
    ///
    /// # If the reply is lost
    /// The same request is repeated, and the store recognises it. If no answer comes within the
    /// store's time limit, that is an error with [`Error::may_hold`]: either the ticket is still
    /// good, or it is used up, and then the lock is given back in the background. Adopting again
    /// tells which.
    ///
    /// # Cancel safety
    /// After the future is dropped the ticket is still good, or the lock is given back in the
    /// background.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] if the ticket is for another key; [`ErrorKind::Lost`] if it was
    /// adopted before or its time is over; or the store's failure.
    ///
    /// # Examples
    /// ```
    /// # async fn f(locks: tenure::Locks, ticket: tenure::Ticket) -> tenure::Result<()> {
    /// let order = locks.mutex(ticket.key()).with_ttl(std::time::Duration::from_secs(10));
    /// let guard = order.adopt(&ticket).await?;
    /// # drop(guard); Ok(()) }
    /// ```
    pub async fn adopt(&self, ticket: &Ticket) -> Result<Guard> {
        let options = self.options()?;
        if options.key != *ticket.key() {
            let message = format!("the ticket is for {:?}", ticket.key().as_str());
            let error = Error::new(ErrorKind::Invalid, Operation::Transfer, message);
            return Err(error.with_key(&options.key));
        }
        let engine = self.locks.engine(Operation::Transfer, &options.key).await?;
        let held = engine::adopt(&engine, &options, ticket.owner().clone()).await?;
        Ok(Guard::new(&engine, held))
    }

    /// Releases the lease of an owner with this value, whichever process acquired it.
    pub(crate) async fn release_owner(&self, value: &str) -> Result<Released> {
        let key = self.key(Operation::Release)?;
        Owner::check(value).map_err(|e| {
            Error::new(ErrorKind::Invalid, Operation::Release, e.to_string()).with_key(key)
        })?;
        let seen = self.inspect().await?;
        let Some(holder) = seen.holders.iter().find(|holder| holder.owner.value() == value) else {
            let nobody = seen.holders.is_empty();
            return Ok(if nobody { Released::Gone } else { Released::Others });
        };
        // The owner includes the attempt number. So a late request does not touch a later
        // acquisition with the same value.
        let op = Op::Release {
            owner: holder.owner.clone(),
            min_hold: Duration::ZERO,
            tombstone: Some(holder.remaining.max(Duration::from_secs(60))),
        };
        let engine = self.locks.engine(Operation::Release, key).await?;
        match engine.request(Operation::Release, key, op).await? {
            Reply::Released => Ok(Released::Released),
            Reply::Gone => Ok(Released::Gone),
            Reply::Others => Ok(Released::Others),
            other => Err(engine.failing(Operation::Release, key).by_reply(&other)),
        }
    }
}
