//! A lock of many readers or one writer: the claim 1 of all for a reader, the exclusive claim for a
//! writer, and the change from one to the other. It sends nothing before a verb is called.

use std::fmt;
use std::time::Duration;

use crate::engine::Renewal;
use crate::guard::Guard;
use crate::protocol::{Inspection, State};
use crate::ticket::Ticket;
#[cfg(doc)]
use crate::types::ErrorKind;
use crate::types::{Claim, Fence, InvalidKey, Key, Label, Result};

use super::LazyLocks;
use super::control::control;
use super::options::{Kind, Options, options};

const RWLOCK: Kind = Kind { name: "a read-write lock", has_many_holders: true };

/// The claim of a reader: so small a part that there is room for all.
const READ: Claim = Claim::new(1, Claim::MAX).expect("one of many");
/// The claim of a writer, which is that of a mutex.
const WRITE: Claim = Claim::EXCLUSIVE;

/// Many readers at a time, or one writer, among all users of a store.
///
/// **When to use it.** For data that many read and few change, where a reader must not see half a
/// change: a catalogue that is rebuilt, files that are replaced, a schema that is migrated. Readers
/// do not wait for each other. Readers and writers are leases: if one dies, the others go on after
/// its ttl.
///
/// **When not.** If most holders write, or hold it shortly, take a [`Mutex`](crate::Mutex): readers
/// gain little then. Within one process take `tokio::sync::RwLock`, which asks nobody. If the data
/// is read in one step anyway (a transaction, a file that is renamed into place), readers need no
/// lock. A quorum refuses it, since it cannot count readers.
///
/// Claims are granted in order of arrival. A reader that comes after a writer waits for it, so a
/// stream of readers does not starve a writer; the readers behind a writer are granted together.
/// A writer and a [`mutex`](crate::Locks::mutex) on the same key exclude each other. A semaphore on
/// the same key is refused with [`ErrorKind::Mismatch`] beside readers.
///
/// Each [`Guard`] has a lease and a [fence](crate::Lease::fence) of its own. A writer's fence is
/// larger than those of all readers and writers before it. A resource that refuses smaller fences
/// protects its *writes*; do not let it check the fences of readers, which overtake each other.
///
/// A writer becomes a reader by [`Guard::downgrade`], a reader a writer by [`Guard::try_upgrade`].
/// [`force_release`](Self::force_release) takes the key from *all* readers.
///
/// The options are a value; nothing is sent before a verb is called, and options that do not fit
/// together are refused there, before anything is touched.
///
/// ```
/// # async fn load() -> u32 { 1 }
/// # async fn is_stale() -> bool { true }
/// # async fn refill(_: tenure::Fence) {}
/// # async fn f(locks: tenure::Locks) -> tenure::Result<()> {
/// let prices = locks.rwlock("prices");
/// let mut guard = prices.read().await?; // many may read
/// if is_stale().await && guard.try_upgrade().await? {
///     refill(guard.fence()).await; // alone, with a new fence
///     guard.downgrade().await?; // others may read again, and nobody wrote in between
/// }
/// println!("{}", load().await);
/// guard.release().await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
#[must_use = "nothing is locked before it is read or written"]
pub struct RwLock {
    options: Options,
}

impl RwLock {
    pub(crate) fn new(locks: LazyLocks, key: Result<Key, InvalidKey>) -> Self {
        Self { options: Options::new(RWLOCK, locks, key) }
    }

    options!("[`read`](Self::read) or [`write`](Self::write)");

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
    /// let error = tenure::rwlock("k").with_ttl(Duration::from_millis(1)).validate().unwrap_err();
    /// assert_eq!(error.message(), "a ttl of 1ms is below the limit of 10ms");
    /// ```
    pub fn validate(&self) -> Result<()> {
        self.options.check(READ).map(drop)
    }

    /// Waits in line until it may read: beside other readers, and behind the writers that came
    /// before it.
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
    /// read-write locks. [`ErrorKind::Mismatch`] if the key is in use as a semaphore.
    /// [`ErrorKind::Unavailable`] if the store cannot be reached at first contact, or its restart
    /// guard outlasts the time limit. During a later outage it goes on waiting, within the time
    /// limit.
    ///
    /// # Examples
    /// ```
    /// # async fn f(locks: tenure::Locks) -> tenure::Result<()> {
    /// let reader = locks.rwlock("prices").read().await?;
    /// reader.check()?;
    /// reader.release().await?;
    /// # Ok(()) }
    /// ```
    pub async fn read(&self) -> Result<Guard> {
        self.options.acquire(READ).await
    }

    /// Begins to read if nobody writes and nobody stands in line; `None` if not.
    ///
    /// # If the reply is lost
    /// It is an error with [`Error::may_hold`](crate::Error::may_hold), and the claim is withdrawn
    /// in the background.
    ///
    /// # Cancel safety
    /// Dropping the future withdraws the claim in the background.
    ///
    /// # Errors
    /// As with [`read`](Self::read), but for `Busy`. The store is asked once.
    ///
    /// # Examples
    /// ```
    /// # async fn f(locks: tenure::Locks) -> tenure::Result<()> {
    /// match locks.rwlock("prices").try_read().await? {
    ///     Some(reader) => drop(reader.release().await?),
    ///     None => println!("somebody writes, or waits to write"),
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn try_read(&self) -> Result<Option<Guard>> {
        self.options.try_acquire(READ).await
    }

    /// Waits in line until it may write, alone: behind all readers and writers that came before it.
    ///
    /// # If the reply is lost
    /// As with [`read`](Self::read).
    ///
    /// # Cancel safety
    /// As with [`read`](Self::read).
    ///
    /// # Errors
    /// As with [`read`](Self::read), but for `Mismatch`: it waits for a semaphore as well.
    ///
    /// # Examples
    /// ```
    /// # async fn f(locks: tenure::Locks) -> tenure::Result<()> {
    /// let writer = locks.rwlock("prices").write().await?;
    /// println!("alone, with fence {}", writer.fence());
    /// writer.release().await?;
    /// # Ok(()) }
    /// ```
    pub async fn write(&self) -> Result<Guard> {
        self.options.acquire(WRITE).await
    }

    /// Begins to write if nobody reads or writes and nobody stands in line; `None` if not.
    ///
    /// # If the reply is lost
    /// As with [`try_read`](Self::try_read).
    ///
    /// # Cancel safety
    /// As with [`try_read`](Self::try_read).
    ///
    /// # Errors
    /// As with [`write`](Self::write), but for `Busy`. The store is asked once.
    ///
    /// # Examples
    /// ```
    /// # async fn f(locks: tenure::Locks) -> tenure::Result<()> {
    /// if let Some(writer) = locks.rwlock("prices").try_write().await? {
    ///     writer.release().await?;
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn try_write(&self) -> Result<Option<Guard>> {
        self.options.try_acquire(WRITE).await
    }

    control!("locks.rwlock(\"prices\")");
}

impl Guard {
    /// Makes a reader of the writer of a [`RwLock`], in one step: nobody writes in between. It
    /// keeps its fence and its lease, and the readers that wait in front are granted in the same
    /// step.
    /// Nothing happens if it is a reader already. The guard of a [`Mutex`](crate::Mutex) is a
    /// writer.
    ///
    /// From the call on, take it for a reader's, whatever the answer is.
    ///
    /// # If the reply is lost
    /// It is an error with [`Error::may_hold`](crate::Error::may_hold). The request is repeated in
    /// the background while the lease lasts; until then the key may stay taken as a whole.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the downgrade to the background.
    ///
    /// # Errors
    /// [`ErrorKind::Lost`] if the lock is lost; [`ErrorKind::Invalid`] over a quorum;
    /// [`ErrorKind::Mismatch`] for the guard of a semaphore, or if one waits for permits of a
    /// semaphore on this key; or the store's failure. Only a `Mismatch` and an `Invalid` leave a
    /// writer's guard what it is.
    ///
    /// # Examples
    /// ```
    /// # async fn rebuild(_: tenure::Fence) {}
    /// # async fn verify() {}
    /// # async fn f(locks: tenure::Locks) -> tenure::Result<()> {
    /// let mut guard = locks.rwlock("index").write().await?;
    /// rebuild(guard.fence()).await;
    /// guard.downgrade().await?;
    /// verify().await; // what was built, beside other readers
    /// guard.release().await?;
    /// # Ok(()) }
    /// ```
    pub async fn downgrade(&mut self) -> Result<()> {
        self.resize(WRITE, READ).await.map(drop)
    }

    /// Makes a writer of the reader of a [`RwLock`], if nobody else reads and nobody stands in
    /// line. The answer is `true` then, and the guard and its leases have a new, larger fence. It
    /// is `false` if others are in the way: the reader keeps what it has. It never waits, since two
    /// readers that both waited for the other would wait for ever: release, and
    /// [`write`](RwLock::write).
    ///
    /// The lease keeps its deadline. Nothing happens if it is a writer already.
    ///
    /// # If the reply is lost
    /// It is an error with [`Error::may_hold`](crate::Error::may_hold), and the guard is a
    /// reader's. The upgrade is undone in the background; until then the key may be taken as a
    /// whole. The reader may have a larger fence afterwards.
    ///
    /// # Cancel safety
    /// Dropping the future undoes the upgrade in the background, as if the reply had been lost.
    ///
    /// # Errors
    /// [`ErrorKind::Lost`] if the lock is lost; [`ErrorKind::Invalid`] over a quorum;
    /// [`ErrorKind::Mismatch`] for several permits of a semaphore (a single one is taken for a
    /// reader); or the store's failure. After each of them but `Lost` the guard is what it was.
    ///
    /// # Examples
    /// ```
    /// # async fn refill(_: tenure::Fence) {}
    /// # async fn f(locks: tenure::Locks) -> tenure::Result<()> {
    /// let prices = locks.rwlock("prices");
    /// let mut guard = prices.read().await?;
    /// if !guard.try_upgrade().await? {
    ///     guard.release().await?;
    ///     guard = prices.write().await?; // another may have written meanwhile: look again
    /// }
    /// refill(guard.fence()).await;
    /// # guard.release().await.map(drop) }
    /// ```
    pub async fn try_upgrade(&mut self) -> Result<bool> {
        self.resize(READ, WRITE).await
    }
}

impl fmt::Debug for RwLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.options.describe(&mut f.debug_struct("RwLock"))
    }
}
