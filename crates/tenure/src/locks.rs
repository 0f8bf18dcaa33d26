//! `Locks`: all locks of one store, the value that a program keeps. It never holds a lock itself.

mod tickets;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use crate::engine::{self, Engine, LocksOptions};
use crate::guard::{Guard, Released};
use crate::kinds::{Election, LazyLocks, MultiLock, Mutex, Once, RwLock, Semaphore};
use crate::process::OfProcess;
use crate::protocol::Inspection;
use crate::runtime::Runtime;
use crate::store::{Capabilities, Finding, Store};
use crate::ticket::Ticket;
use crate::types::{Key, Operation, Result};

pub use watch::{List, Watch};

/// The locks of one store. Cheap to clone; clones share everything.
///
/// Make one per program and store with [`connect`](crate::connect) and keep it. It may be used
/// from any number of async runtimes, also short-lived ones: a thread of Tenure's own renews the
/// leases.
///
/// Call [`close`](Self::close) before the program ends. Otherwise the end of the process cuts off
/// releases in the background, and such a key stays taken until its ttl ends. If the last handle is
/// dropped outside an async runtime, it waits up to 100 ms for the background. Within tokio it
/// never blocks, so a `main` that returns early must close first. After a panic or
/// `std::process::exit` nothing is waited for. The default store of [`mutex`](crate::mutex) is
/// never dropped, so nothing is waited for there either.
#[derive(Debug, Clone)]
pub struct Locks {
    engine: OfProcess<Arc<Engine>>,
    /// Waits for the background when the last handle is dropped.
    _last: OfProcess<Arc<Last>>,
}

/// Maximum time for which the last handle waits for the background when it is dropped.
const LINGER: Duration = Duration::from_millis(100);

/// Shared by all handles, and dropped with the last one.
#[derive(Debug)]
struct Last(Arc<Engine>);

impl Drop for Last {
    fn drop(&mut self) {
        engine::linger(&self.0, LINGER);
    }
}

impl Locks {
    /// Locks over any store, such as one of your own. [`connect`](crate::connect) is the usual way.
    #[must_use]
    #[allow(clippy::needless_pass_by_value, reason = "a constructor takes what it is made of")]
    pub fn over(store: Arc<dyn Store>, runtime: Arc<dyn Runtime>, options: LocksOptions) -> Self {
        let engine = engine::start(store, &runtime, options);
        let last = OfProcess::new(Arc::new(Last(Arc::clone(&engine))));
        Self { engine: OfProcess::new(engine), _last: last }
    }

    /// A mutex on `key`: at most one holder at a time.
    ///
    /// Nothing is sent yet. A key that breaks the rules of [`Key`] is refused by the first call
    /// that sends something.
    pub fn mutex(&self, key: impl AsRef<str>) -> Mutex {
        Mutex::new(LazyLocks::Open(self.engine.clone()), Key::new(key))
    }

    /// A semaphore on `key`: at most `permits` permits are held at a time.
    ///
    /// Nothing is sent yet. A bad key, and a number of permits that is not 1 to
    /// [`Claim::MAX`](crate::Claim::MAX), are refused by the first call that sends something.
    pub fn semaphore(&self, key: impl AsRef<str>, permits: u32) -> Semaphore {
        Semaphore::new(LazyLocks::Open(self.engine.clone()), Key::new(key), permits)
    }

    /// The mutexes on all of these keys, held together or not at all; see [`MultiLock`]. The order
    /// in which they are named plays no part. One to 64 keys.
    ///
    /// Nothing is sent yet.
    pub fn all(&self, keys: impl IntoIterator<Item = impl AsRef<str>>) -> MultiLock {
        MultiLock::new(LazyLocks::Open(self.engine.clone()), keys.into_iter().map(Key::new))
    }

    /// A read-write lock on `key`: many readers or one writer at a time.
    ///
    /// Nothing is sent yet. A bad key is refused by the first call that sends something.
    pub fn rwlock(&self, key: impl AsRef<str>) -> RwLock {
        RwLock::new(LazyLocks::Open(self.engine.clone()), Key::new(key))
    }

    /// A job on `key` that runs once per tick, on one of the hosts that try it. Say with
    /// [`Once::every`] how long a tick is.
    ///
    /// Nothing is sent yet. A bad key is refused by the first call that sends something.
    pub fn once(&self, key: impl AsRef<str>) -> Once {
        Once::new(LazyLocks::Open(self.engine.clone()), Key::new(key))
    }

    /// An election on `key`: one leader at a time, whom all can see.
    ///
    /// Nothing is sent yet. A bad key is refused by the first call that sends something.
    pub fn election(&self, key: impl AsRef<str>) -> Election {
        Election::new(LazyLocks::Open(self.engine.clone()), Key::new(key))
    }

    /// At most `limit` keys in use that begin with `prefix`, in order, from the one after
    /// `after` on. A page shorter than `limit` is the last.
    ///
    /// Keys that this user may not read at a server are left out; a warning in the log says how
    /// many.
    ///
    /// # Cancel safety
    /// It changes nothing.
    ///
    /// # Errors
    /// The store's failure.
    ///
    /// # Examples
    /// ```
    /// # async fn f(locks: tenure::Locks) -> tenure::Result<()> {
    /// for (key, state) in locks.list("job:", None, 100).await? {
    ///     println!("{key}: {} holders", state.holders.len());
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn list(
        &self,
        prefix: &str,
        after: Option<&Key>,
        limit: usize,
    ) -> Result<Vec<(Key, Inspection)>> {
        self.engine_here(Operation::Inspect)?.list(prefix, after, limit).await
    }

    /// All keys in use that begin with `prefix`, in order: a [`Stream`](futures_core::Stream) that
    /// reads page by page, as items are asked for. A key that comes or goes meanwhile may be
    /// missing or stale.
    ///
    /// ```
    /// # async fn f(locks: tenure::Locks) -> tenure::Result<()> {
    /// let mut jobs = locks.list_all("job:");
    /// while let Some((key, state)) = jobs.next().await.transpose()? {
    ///     println!("{key}: {} wait", state.waiters.len());
    /// }
    /// # Ok(()) }
    /// ```
    pub fn list_all(&self, prefix: &str) -> List {
        List::new(self.clone(), prefix)
    }

    /// The state of a key now, and again after each change of its holders or the number of its
    /// waiters: a [`Stream`](futures_core::Stream) that never ends. It asks the store every 500 ms
    /// ([`Watch::with_interval`]), so it misses a change that is undone in between.
    ///
    /// To be told that your *own* lock is lost, use [`Lease::lost`](crate::Lease::lost).
    ///
    /// ```
    /// # async fn f(locks: tenure::Locks) -> tenure::Result<()> {
    /// let mut deploys = locks.watch("deploy");
    /// while let Some(state) = deploys.next().await.transpose()? {
    ///     match state.holders.first() {
    ///         Some(holder) => println!("{} deploys", holder.label),
    ///         None => println!("nobody deploys"),
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    pub fn watch(&self, key: impl AsRef<str>) -> Watch {
        Watch::new(self.mutex(key).looks())
    }

    /// Turns a ticket into a guard, once, with the default options of a [`Mutex`]. The lease
    /// changes its owner in one step, keeps its fence, and is renewed here from then on. Two guards
    /// never come from one ticket. For other options see [`Mutex::adopt`].
    ///
    /// # If the reply is lost
    /// As with [`Mutex::adopt`].
    ///
    /// # Cancel safety
    /// After the future is dropped the ticket is still good, or the lock is given back in the
    /// background.
    ///
    /// # Errors
    /// [`ErrorKind::Lost`](crate::ErrorKind::Lost) if it was adopted before or its time is over, or
    /// the store's failure.
    ///
    /// # Examples
    /// ```
    /// # async fn f(locks: tenure::Locks, job: &str) -> Result<(), Box<dyn std::error::Error>> {
    /// let guard = locks.adopt(&job.parse()?).await?;
    /// # drop(guard); Ok(()) }
    /// ```
    pub async fn adopt(&self, ticket: &Ticket) -> Result<Guard> {
        self.mutex(ticket.key()).adopt(ticket).await
    }

    /// Releases the key if an owner with this fixed value ([`Mutex::with_owner`]) holds it,
    /// whichever process acquired it: everybody who knows the value may release. The guard of that
    /// process is lost at its next renewal.
    ///
    /// To hand a lock over, prefer a [`Ticket`]: it cannot be used twice.
    ///
    /// # If the reply is lost
    /// It is an error with [`Error::may_hold`](crate::Error::may_hold); asking again is safe as
    /// long as nobody acquires with the same value.
    ///
    /// # Cancel safety
    /// Dropping the future leaves open whether it was done.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for a bad key or value, or the store's
    /// failure.
    ///
    /// # Examples
    /// ```
    /// # async fn f(locks: tenure::Locks) -> tenure::Result<()> {
    /// let released = locks.release_owner("order:7", "job-4711").await?;
    /// println!("{released:?}");
    /// # Ok(()) }
    /// ```
    pub async fn release_owner(
        &self,
        key: impl AsRef<str>,
        value: impl AsRef<str>,
    ) -> Result<Released> {
        self.mutex(key).release_owner(value.as_ref()).await
    }

    /// Looks for dangers to locks in this store, whose longest ttl is `ttl`: one finding for each
    /// subject that was looked at, also where all is well. `tenure doctor` shows them.
    ///
    /// It changes nothing that anybody sees. A question that the store does not answer, or does not
    /// allow, is a finding of [`Severity::Unknown`](crate::store::Severity::Unknown), and a store
    /// that does not answer at all one about `reachable`. It takes some round trips, and about a
    /// third of a second for the clock of a server.
    ///
    /// # Cancel safety
    /// It changes nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Forked`](crate::ErrorKind::Forked) in a child of the process that connected.
    ///
    /// # Examples
    /// ```
    /// # async fn f(locks: tenure::Locks) -> tenure::Result<()> {
    /// use tenure::store::Severity;
    ///
    /// for finding in locks.examine(std::time::Duration::from_secs(30)).await? {
    ///     if finding.severity >= Severity::Warning {
    ///         eprintln!("{}: {}: {}", finding.place, finding.what, finding.remedy);
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn examine(&self, ttl: Duration) -> Result<Vec<Finding>> {
        self.engine_here(Operation::Inspect)?.examine(ttl).await
    }

    /// The engine, unless it is that of a parent.
    fn engine_here(&self, operation: Operation) -> Result<&Arc<Engine>> {
        self.engine.here().map_err(|_| self.engine.failing(operation, None).by_fork())
    }

    pub(crate) fn engine(&self) -> &OfProcess<Arc<Engine>> {
        &self.engine
    }

    /// The store's name for messages, without secrets.
    #[must_use]
    pub fn store_name(&self) -> Arc<str> {
        Arc::clone(self.engine.store_name())
    }

    /// The abilities of the store, and how far it reaches.
    #[must_use]
    pub fn capabilities(&self) -> &Capabilities {
        self.engine.capabilities()
    }

    /// Gives back all leases and places in line, ends the work in the background, and refuses later
    /// calls, for every clone of this `Locks`. Guards that are alive are lost with
    /// [`LostReason::Closed`](crate::LostReason::Closed).
    ///
    /// Call it before the program ends, so that no request is cut off half-way. It also waits for
    /// an acquire or release that another task is in the middle of. Drop the future of such a call
    /// first if nobody polls it any more, or the close takes until `limit`.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the rest to the background. The `Locks` stays closed.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) if the store has not answered
    /// everything within `limit`. Leases that it still has end with their ttl.
    ///
    /// # Examples
    /// ```
    /// # async fn f(locks: tenure::Locks) -> tenure::Result<()> {
    /// locks.close(std::time::Duration::from_secs(5)).await
    /// # }
    /// ```
    pub async fn close(&self, limit: Duration) -> Result<()> {
        engine::close(self.engine_here(Operation::Close)?, limit).await
    }
}
