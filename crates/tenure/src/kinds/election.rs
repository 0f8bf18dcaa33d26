//! An election: the exclusive claim with a value beside it that others read. It sends nothing
//! before a verb is called.

mod leaders;
mod leadership;

use std::fmt;
use std::time::Duration;

use crate::engine::{self, AcquireOptions, Renewal};
use crate::guard::Guard;
use crate::protocol::{Inspection, State};
use crate::ticket::Ticket;
#[cfg(doc)]
use crate::types::ErrorKind;
use crate::types::{Claim, Fence, InvalidKey, Key, Label, Operation, Result, Value};

use super::LazyLocks;
use super::control::control;
use super::looks::Looks;
use super::options::{Kind, Options, options};
pub use leaders::{Leader, Leaders};
pub use leadership::Leadership;

const ELECTION: Kind = Kind { name: "an election", has_many_holders: false };

/// One leader at a time among all candidates, and everybody can see who it is.
///
/// **When to use it.** For a role that one of several processes has for as long as it lives: the
/// scheduler of a cluster, the consumer of a queue, the writer of a replicated log. A candidate
/// brings a value of at most 4 KiB, such as the address at which it can be reached, and changes it
/// while it leads. Others follow the leaders by [`observe`](Self::observe).
///
/// **When not.** For a piece of work that ends take a [`Mutex`](crate::Mutex): nobody asks who has
/// it. For work that many may do at a time take a [`Semaphore`](crate::Semaphore). The value is no
/// database: it ends with the leadership.
///
/// A leadership is a lease. It is renewed until it is resigned, dropped or lost, and the next
/// candidate in line leads then. Its *term* is the [fence](crate::Lease::fence), a number that
/// grows from leader to leader. A leader that was paused may act for a moment after the next one
/// was elected: hand the term to the resource, and let it refuse a smaller one.
///
/// An election and a [`mutex`](crate::Locks::mutex) on the same key exclude each other; a holder of
/// the mutex is shown as a leader without a value. A quorum carries elections. It has no line, so
/// candidates ask again after random pauses, and any of them may be next.
///
/// The options are a value; nothing is sent before a verb is called, and options that do not fit
/// together are refused there, before anything is touched. With
/// [`with_min_hold`](Self::with_min_hold), a leader that resigns too early is shown to the end of
/// that time.
///
/// ```
/// # async fn serve(_: tenure::Lease) -> tenure::Result<()> { Ok(()) }
/// # async fn f(locks: tenure::Locks) -> tenure::Result<()> {
/// let scheduler = locks.election("scheduler");
/// let leadership = scheduler.campaign("10.0.0.7:8080").await?; // waits until we lead
/// println!("we lead in term {}", leadership.term());
/// leadership.run(|lease| serve(lease)).await?; // ends with an error if the leadership is lost
///
/// if let Some(leader) = scheduler.leader().await? {
///     println!("{} leads, at {}", leader.label(), leader.value());
/// }
/// # Ok(()) }
/// ```
#[derive(Clone)]
#[must_use = "nobody is a candidate before the campaign"]
pub struct Election {
    options: Options,
}

impl Election {
    pub(crate) fn new(locks: LazyLocks, key: Result<Key, InvalidKey>) -> Self {
        Self { options: Options::new(ELECTION, locks, key) }
    }

    options!("[`campaign`](Self::campaign)");

    /// Checks the options and sends nothing: each limit, and whether they fit together. For a
    /// program that takes them from a user, and refuses them before it connects. Every campaign
    /// checks the same, and then what the store asks for, such as its longest ttl.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`], with both numbers in the message.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// let election = tenure::election("k").with_ttl(Duration::from_millis(1));
    /// let error = election.validate().unwrap_err();
    /// assert_eq!(error.message(), "a ttl of 1ms is below the limit of 10ms");
    /// ```
    pub fn validate(&self) -> Result<()> {
        self.options.check(Claim::EXCLUSIVE).map(drop)
    }

    /// Waits in line until it leads: first come, first served. `value` is a text of at most 4 KiB
    /// that all can see from then on, not before.
    ///
    /// # If the reply is lost
    /// The same request is repeated, and the store recognises it; nobody leads twice.
    ///
    /// # Cancel safety
    /// Dropping the future withdraws the candidate in the background: it leaves the line, or
    /// resigns a leadership that came meanwhile. A future that is kept without being polled stays
    /// in line, and its leadership is renewed: poll it, or drop it.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] when the time limit is over; the message names the leader.
    /// [`ErrorKind::Invalid`] before anything is touched, also for a value of more than 4 KiB.
    /// [`ErrorKind::Unavailable`] if the store cannot be reached at first contact, or its restart
    /// guard outlasts the time limit. During a later outage it goes on waiting, within the time
    /// limit.
    ///
    /// # Examples
    /// ```
    /// # async fn f(locks: tenure::Locks) -> tenure::Result<()> {
    /// let leadership = locks.election("scheduler").campaign("10.0.0.7:8080").await?;
    /// leadership.check()?;
    /// leadership.resign().await?;
    /// # Ok(()) }
    /// ```
    pub async fn campaign(&self, value: impl AsRef<str>) -> Result<Leadership> {
        let value = self.value(value.as_ref())?;
        let (engine, options) = self.options.opened(Claim::EXCLUSIVE).await?;
        let options = AcquireOptions { value: Some(value), ..options };
        let held = engine::acquire(&engine, &options).await?;
        Ok(Leadership::new(Guard::new(&engine, held)))
    }

    /// Leads at once if nobody does and nobody stands in line; `None` if not.
    ///
    /// # If the reply is lost
    /// It is an error with [`Error::may_hold`](crate::Error::may_hold), and the candidate is
    /// withdrawn in the background.
    ///
    /// # Cancel safety
    /// Dropping the future withdraws the candidate in the background.
    ///
    /// # Errors
    /// As with [`campaign`](Self::campaign), but for `Busy`. The store is asked once.
    ///
    /// # Examples
    /// ```
    /// # async fn f(locks: tenure::Locks) -> tenure::Result<()> {
    /// match locks.election("scheduler").try_campaign("10.0.0.7:8080").await? {
    ///     Some(leadership) => drop(leadership.resign().await?),
    ///     None => println!("somebody else leads"),
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn try_campaign(&self, value: impl AsRef<str>) -> Result<Option<Leadership>> {
        let value = self.value(value.as_ref())?;
        let (engine, options) = self.options.opened(Claim::EXCLUSIVE).await?;
        let options = AcquireOptions { value: Some(value), ..options };
        let held = engine::try_acquire(&engine, &options).await?;
        Ok(held.map(|held| Leadership::new(Guard::new(&engine, held))))
    }

    /// The leader at the moment at which the store looked; `None` if nobody leads. It may have
    /// changed by the time you read the answer.
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
    /// match locks.election("scheduler").leader().await? {
    ///     Some(leader) => println!("{} in term {}", leader.value(), leader.term()),
    ///     None => println!("nobody leads"),
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn leader(&self) -> Result<Option<Leader>> {
        Ok(Leader::of(&self.options.inspect().await?))
    }

    /// The leader now, and again after each change of the leader or of its value: a
    /// [`Stream`](futures_core::Stream) that never ends. `None` stands for "nobody leads".
    ///
    /// It asks the store every 500 ms ([`Leaders::with_interval`]), while it is polled; nothing is
    /// pushed. So a change is seen within that time and a round trip, and one that is undone in
    /// between is not seen. Terms only grow, so a leader that came back has another term.
    ///
    /// ```
    /// # async fn f(locks: tenure::Locks) -> tenure::Result<()> {
    /// let mut leaders = locks.election("scheduler").observe();
    /// while let Some(leader) = leaders.next().await.transpose()? {
    ///     match leader {
    ///         Some(leader) => println!("{} leads in term {}", leader.value(), leader.term()),
    ///         None => println!("nobody leads"),
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    pub fn observe(&self) -> Leaders {
        Leaders::new(Looks::new(self.options.clone()))
    }

    control!("locks.election(\"scheduler\")");

    fn value(&self, text: &str) -> Result<Value> {
        let invalid =
            |e: crate::types::InvalidValue| self.options.invalid(Operation::Acquire, e.to_string());
        Value::new(text).map_err(invalid)
    }
}

impl fmt::Debug for Election {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.options.describe(&mut f.debug_struct("Election"))
    }
}
