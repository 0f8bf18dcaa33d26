//! Control by hand, the same for all kinds: ask who holds a key, and take it over, by a ticket or
//! by force. Nothing here waits in line.

use std::time::Duration;

use crate::engine;
use crate::guard::{Guard, Released};
use crate::protocol::{Op, Reply};
use crate::ticket::Ticket;
use crate::types::{Claim, Fence, Operation, Owner, Result};

use super::options::Options;

impl Options {
    /// Whether the fixed owner value is that of a holder.
    pub(super) async fn held_by_me(&self) -> Result<bool> {
        let Some(value) = self.owner.as_deref() else {
            let message = "without a fixed owner value nobody is \"me\"; name one by with_owner, \
                           or ask the guard";
            return Err(self.invalid(Operation::Inspect, message));
        };
        let seen = self.inspect().await?;
        Ok(seen.holders.iter().any(|holder| holder.owner.value() == value))
    }

    /// Takes the key away from those who hold it now.
    pub(super) async fn force_release(&self) -> Result<u32> {
        self.key(Operation::Force)?;
        let seen = self.inspect().await?;
        match seen.holders.iter().map(|holder| holder.fence).max() {
            Some(up_to) => self.force_release_up_to(up_to).await,
            None => Ok(0),
        }
    }

    /// Takes the key away from those who hold it with a fence of at most `up_to`.
    pub(super) async fn force_release_up_to(&self, up_to: Fence) -> Result<u32> {
        self.request(Operation::Force, Op::Force { up_to }, |reply| match reply {
            Reply::Forced { holders } => Some(*holders),
            _ => None,
        })
        .await
    }

    /// Takes over the lease of a ticket, with its claim as it is.
    pub(super) async fn adopt(&self, ticket: &Ticket) -> Result<Guard> {
        // The store keeps the units of a lease that changes its owner.
        let options = self.check(Claim::EXCLUSIVE)?;
        if options.key != *ticket.key() {
            let message = format!("the ticket is for {:?}", ticket.key().as_str());
            return Err(self.invalid(Operation::Transfer, message));
        }
        let engine = self.engine(Operation::Transfer, &options.key).await?;
        let held = engine::adopt(&engine, &options, ticket.owner().clone()).await?;
        Ok(Guard::new(&engine, held))
    }

    /// Releases the lease of an owner with this value, whichever process acquired it.
    pub(super) async fn release_owner(&self, value: &str) -> Result<Released> {
        self.key(Operation::Release)?;
        Owner::check(value).map_err(|e| self.invalid(Operation::Release, e.to_string()))?;
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
        self.request(Operation::Release, op, |reply| match reply {
            Reply::Released => Some(Released::Released),
            Reply::Gone => Some(Released::Gone),
            Reply::Others => Some(Released::Others),
            _ => None,
        })
        .await
    }
}

/// Defines the methods of a kind that ask about its key, and take it over. The text `$example`
/// makes a lock of the kind.
macro_rules! control {
    ($example:literal) => {
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
        #[doc = concat!("let seen = ", $example, ".inspect().await?;")]
        /// for holder in &seen.holders {
        ///     println!("{} since {:?}", holder.label, holder.since);
        /// }
        /// # Ok(()) }
        /// ```
        pub async fn inspect(&self) -> Result<Inspection> {
            self.options.inspect().await
        }

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
        #[doc = concat!("let held = ", $example, ".held_by_anyone().await?;")]
        /// println!("somebody is at it: {held}");
        /// # Ok(()) }
        /// ```
        pub async fn held_by_anyone(&self) -> Result<bool> {
            Ok(self.inspect().await?.state != State::Free)
        }

        /// Whether the fixed owner value ([`with_owner`](Self::with_owner)) holds the key now,
        /// whichever process acquired it. A guard knows its own state without I/O:
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
        #[doc = concat!("let mine = ", $example, ".with_owner(\"release-train\");")]
        /// println!("it is our deploy: {}", mine.held_by_me().await?);
        /// # Ok(()) }
        /// ```
        pub async fn held_by_me(&self) -> Result<bool> {
            self.options.held_by_me().await
        }

        /// Takes the key away from all its holders, and answers how many they were. The next waiter
        /// has it at once. An old holder learns of the loss at its next renewal, a third of its ttl
        /// later at most, and may go on with its work until then.
        ///
        /// It is for people who know that the holders are dead, or must end. It asks for the
        /// holders first; a holder that comes later is not touched.
        ///
        /// # If the reply is lost
        /// It is an error with [`Error::may_hold`](crate::Error::may_hold); asking again is safe.
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
        #[doc = concat!("let forced = ", $example, ".force_release().await?;")]
        /// println!("{forced} lost it");
        /// # Ok(()) }
        /// ```
        pub async fn force_release(&self) -> Result<u32> {
            self.options.force_release().await
        }

        /// As [`force_release`](Self::force_release), from those holders whose fence is at most
        /// `up_to`. For a person who was shown the holders and has decided: nobody who came since
        /// then is touched, since fences only grow.
        ///
        /// # If the reply is lost
        /// As with [`force_release`](Self::force_release).
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
        #[doc = concat!("let lock = ", $example, ";")]
        /// if let Some(stuck) = lock.inspect().await?.holders.first() {
        ///     println!("release {}, fence {}?", stuck.label, stuck.fence);
        ///     // ... and if somebody says yes:
        ///     lock.force_release_up_to(stuck.fence).await?;
        /// }
        /// # Ok(()) }
        /// ```
        pub async fn force_release_up_to(&self, up_to: Fence) -> Result<u32> {
            self.options.force_release_up_to(up_to).await
        }

        /// Turns a ticket into a guard with these options, once. The lease changes its owner in one
        /// step, keeps its fence and what it holds, and lasts for the ttl of these options from
        /// then on. [`Locks::adopt`](crate::Locks::adopt) does it with default options.
        ///
        /// # If the reply is lost
        /// The same request is repeated, and the store recognises it. If no answer comes within the
        /// store's time limit, that is an error with [`Error::may_hold`](crate::Error::may_hold):
        /// either the ticket is still good, or it is used up, and then the lock is given back in
        /// the background. Adopting again tells which.
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
        #[doc = concat!("let lock = ", $example, ";")]
        /// let guard = lock.with_ttl(std::time::Duration::from_secs(10)).adopt(&ticket).await?;
        /// # drop(guard); Ok(()) }
        /// ```
        pub async fn adopt(&self, ticket: &Ticket) -> Result<Guard> {
            self.options.adopt(ticket).await
        }
    };
}

pub(super) use control;
