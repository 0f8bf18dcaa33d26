//! Where locks live. A store carries out one atomic step per request and answers at once: it
//! never waits for a lock, never retries and spawns nothing for a caller. (A quorum is made of
//! stores, and what one of them has not answered outlives the call: it spawns, and says why.)

mod memory;
mod quorum;
#[cfg(feature = "redis")]
mod redis;
#[doc(hidden)]
pub mod spelling;
#[cfg(feature = "sqlite")]
mod sqlite;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};

use crate::process::Forked;
use crate::protocol::{Inspection, Reply, Request};
use crate::types::{Error, ErrorKind, Fence, Key, Operation, Owner};

pub use memory::Memory;
pub use quorum::{Quorum, QuorumOptions};
#[cfg(feature = "redis")]
pub use redis::Redis;
#[cfg(feature = "redis")]
#[doc(hidden)]
pub use redis::RedisOptions;
#[cfg(feature = "sqlite")]
pub use sqlite::Sqlite;
#[cfg(feature = "sqlite")]
#[doc(hidden)]
pub use sqlite::SqliteOptions;

/// A store's answer, still to come.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// A place where locks live. For those who write stores; users meet it as a URL.
///
/// Dropping an [`Answer`] leaves it open whether the steps are carried out, now or later; the
/// engine withdraws what it no longer wants.
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// What this store can and cannot do.
    fn capabilities(&self) -> &Capabilities;

    /// The store's name for messages, without secrets.
    fn name(&self) -> Arc<str>;

    /// Whether a key of this name can be locked here; the text says why not. It is asked before
    /// anything is sent for the key, and sends nothing itself.
    ///
    /// # Errors
    /// What this key's lock would be called is what the store calls a part of another lock.
    fn check_key(&self, key: &Key) -> Result<(), String>;

    /// Carries out each step atomically and answers them in order. The batch as a whole is not
    /// atomic: after an error, any of the steps may have been carried out.
    fn call(&self, steps: Vec<Request>) -> Answer<'_, Vec<Reply>>;

    /// At most `limit` keys that begin with `prefix` and are greater than `after`, in order,
    /// with their state. Keys that are free are left out.
    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a Key>,
        limit: usize,
    ) -> Answer<'a, Vec<(Key, Inspection)>>;

    /// Opens an inbox for this process; `None` where the store cannot push.
    fn inbox(&self) -> Answer<'_, Option<Inbox>>;

    /// What becomes of the links that carry the calls; `None` where nothing can be cut. The
    /// engine looks at all that it holds and awaits when one was cut or made: whoever is at the
    /// other end now may have forgotten.
    fn links(&self) -> Option<watch::Receiver<Links>>;

    /// Which store this is, and whether a quorum may count on it.
    fn identity(&self) -> Answer<'_, Identity>;
}

/// What has become of a store's links so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Links {
    /// How many were made.
    pub made: u64,
    /// How many of them ended.
    pub cut: u64,
}

/// What a quorum must know of a store before it counts its votes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Two handles of one store have the same, two stores have different ones.
    pub unique: Arc<str>,
    /// What it is a copy of, if it is one: it would vote as somebody else tells it.
    pub replica_of: Option<String>,
    /// Whether it can forget leases and go on, and for how long it then grants nothing new.
    pub forgets: Forgets,
}

/// What becomes of leases when a store restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forgets {
    /// It never forgets a lease that anybody still trusts.
    Never,
    /// It may forget, and then grants nothing new for so long.
    GuardedFor(Duration),
}

/// Where the pushes of a store arrive in this process.
#[derive(Debug)]
pub struct Inbox {
    /// What a waiter gives as [`Queueing::inbox`](crate::protocol::Queueing::inbox).
    pub address: Arc<str>,
    /// The pushes. A hint only: one may be lost, late or twice.
    pub pushes: mpsc::UnboundedReceiver<Push>,
    /// Told when pushes may have been missed, such as after a lost connection: whoever waits
    /// looks again.
    pub missed: Arc<Notify>,
}

/// A wakeup that carries a grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Push {
    /// The key.
    pub key: Key,
    /// Who was granted.
    pub owner: Owner,
    /// The fencing token of the grant.
    pub fence: Fence,
    /// The number of the last heartbeat that the store had seen when it granted.
    pub stamp: u64,
}

/// What a store can do, and what its locks survive. Checked when a lock is built, never
/// approximated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// Waiters stand in a queue: first come, first served.
    pub fifo: bool,
    /// Semaphores and read-write locks.
    pub many_units: bool,
    /// Who can share the locks.
    pub reach: Reach,
    /// The longest ttl: [`TTL_MAX`](crate::TTL_MAX), or less.
    pub ttl_max: Duration,
}

/// How far a store's locks reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Reach {
    /// The tasks of one process.
    Process,
    /// The processes of one host that can open the file.
    Host,
    /// Every host that reaches the server.
    Network,
}

/// Why a store could not answer.
#[derive(Debug, Clone)]
pub struct StoreError {
    /// What to think of it.
    pub class: StoreErrorClass,
    /// What happened and what to do, without secrets.
    pub message: String,
    /// Whether the steps may have been carried out, or may still be.
    pub may_have_run: bool,
    /// The cause.
    pub source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

/// How a failure is to be treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreErrorClass {
    /// It may pass: try again.
    Transient,
    /// The store refused, and would again: credentials, rights.
    Refused,
    /// The store has no room for it, which may pass: a full disk, memory used up.
    Full,
    /// What was asked for is not such a store: wrong path, foreign or newer file, bad URL.
    Config,
    /// The store was opened by a parent of this process, before a fork: open it again here.
    Forked,
    /// A defect in Tenure.
    Internal,
}

impl StoreErrorClass {
    /// The label of metrics.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::Refused | Self::Full => "refused",
            Self::Config => "config",
            Self::Forked => "forked",
            Self::Internal => "internal",
        }
    }
}

impl From<Forked> for StoreError {
    fn from(forked: Forked) -> Self {
        let (class, message) = (StoreErrorClass::Forked, forked.to_string());
        Self { class, message, may_have_run: false, source: None }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|s| s as &(dyn std::error::Error + 'static))
    }
}

impl StoreError {
    /// What was asked for is no such store.
    #[must_use]
    pub fn config(message: String) -> Self {
        Self { class: StoreErrorClass::Config, message, may_have_run: false, source: None }
    }

    /// A reply, unless it says that nothing is known: that is a failure.
    pub(crate) fn unless_known(reply: Reply) -> Result<Reply, Self> {
        let Reply::Unknown(message) = reply else { return Ok(reply) };
        let (class, message) = (StoreErrorClass::Transient, message.into());
        Err(Self { class, message, may_have_run: true, source: None })
    }

    /// A reply to a step that nobody can be refused for good (a renewal, a release): if it was
    /// not carried out, that is a failure.
    pub(crate) fn unless_failed(reply: Reply) -> Result<Reply, Self> {
        let (class, message) = match Self::unless_known(reply)? {
            Reply::Refused(why) => (StoreErrorClass::Refused, why),
            Reply::Full(why) => (StoreErrorClass::Full, why),
            reply => return Ok(reply),
        };
        Err(Self { class, message: message.into(), may_have_run: true, source: None })
    }

    /// What it is as the answer to one step of a call whose others are not concerned.
    #[cfg(feature = "redis")]
    pub(crate) fn into_reply(self) -> Reply {
        let message = self.message.into();
        match self.class {
            StoreErrorClass::Transient => Reply::Unknown(message),
            StoreErrorClass::Full => Reply::Full(message),
            StoreErrorClass::Refused
            | StoreErrorClass::Config
            | StoreErrorClass::Internal
            | StoreErrorClass::Forked => Reply::Refused(message),
        }
    }

    /// The public error for it.
    #[must_use]
    pub fn into_error(self, operation: Operation, store: &Arc<str>) -> Error {
        let kind = match self.class {
            StoreErrorClass::Transient => ErrorKind::Unavailable,
            StoreErrorClass::Refused | StoreErrorClass::Full => ErrorKind::Refused,
            StoreErrorClass::Config => ErrorKind::Config,
            StoreErrorClass::Forked => ErrorKind::Forked,
            StoreErrorClass::Internal => ErrorKind::Internal,
        };
        let error = Error::new(kind, operation, self.message).with_store(store);
        match self.source {
            Some(source) => error.with_source(source),
            None => error,
        }
    }
}
