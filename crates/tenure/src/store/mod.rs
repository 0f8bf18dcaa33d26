//! The places where locks live. A store carries out one atomic step per request and answers at
//! once: it never waits for a lock, never retries and spawns nothing for a caller. (A quorum is
//! made of stores. A request that one of them has not answered outlives the call, so a quorum
//! spawns tasks.)

mod finding;
mod memory;
mod quorum;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "sqlite")]
mod relational;
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
#[cfg(doc)]
use crate::types::Claim;
use crate::types::{DataCommand, DataValue, Error, ErrorKind, Fence, Key, Operation, Owner};

pub use finding::{Examination, Finding, SUBJECTS, Severity};
pub use memory::Memory;
pub use quorum::{Quorum, QuorumOptions};
#[cfg(feature = "redis")]
#[doc(hidden)]
pub use redis::{Direct, RedisOptions};
#[cfg(feature = "redis")]
pub use redis::{Redis, Rights, sentinel_rule};
#[cfg(feature = "sqlite")]
pub use sqlite::Sqlite;
#[cfg(feature = "sqlite")]
#[doc(hidden)]
pub use sqlite::SqliteOptions;
#[cfg(feature = "sqlite")]
pub(crate) use sqlite::SqliteView;

/// A store's answer, still to come.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// A place where locks live. For those who write stores; users meet it as a URL.
///
/// Dropping an [`Answer`] leaves it open whether the steps are carried out, now or later; the
/// engine withdraws what it no longer wants.
///
/// After an error, a request may be sent again as it was. Only what a [composite
/// store](Capabilities::composite) grants anew (acquire, steal, begin) needs another owner then: it
/// withdraws the one that it could not answer, now or later.
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// The abilities and limits of this store.
    fn capabilities(&self) -> &Capabilities;

    /// The store's name for messages, without secrets.
    fn name(&self) -> Arc<str>;

    /// Checks that a key of this name can be locked here. It is called before anything is sent for
    /// the key, and sends nothing itself.
    ///
    /// # Errors
    /// The store would keep this lock under a name that it uses for a part of another lock. The
    /// text says so.
    fn check_key(&self, key: &Key) -> Result<(), String>;

    /// The part of the store that has this key, as far as is known: such as a node of a cluster.
    /// One part may fail or hang while others answer, so the engine sends the steps of each in a
    /// call of their own. 0 where there is one part.
    fn part_of(&self, key: &Key) -> u32;

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

    /// The counts of links that were made and cut; `None` where no link can be cut. After each
    /// change the engine asks again for all leases and places, since the other end may have
    /// forgotten them.
    fn links(&self) -> Option<watch::Receiver<Links>>;

    /// Tells which store this is, and whether a quorum may count its votes.
    fn identity(&self) -> Answer<'_, Identity>;

    /// The server of this store, which has data of programs beside the locks; `None` where there is
    /// none.
    fn data(&self) -> Option<&dyn DataServer>;

    /// Looks for what endangers locks whose longest ttl is `ttl`. It changes nothing that anybody
    /// sees. A question that the store does not answer, or does not allow, is a finding.
    fn examine(&self, ttl: Duration) -> Examination<'_>;
}

/// A server that has data of programs beside its locks.
pub trait DataServer: Send + Sync {
    /// Carries out the commands, in one step and in order, if this owner's lease on `key` is held
    /// at that moment. It never sends them twice.
    fn write<'a>(
        &'a self,
        key: &'a Key,
        owner: &'a Owner,
        commands: &'a [DataCommand],
    ) -> Answer<'a, DataReply>;
}

/// The answer to commands on data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DataReply {
    /// All were carried out; the answer to each.
    Done(Vec<DataValue>),
    /// The lease is not held, and nothing was carried out.
    Gone,
    /// The server refused one of them.
    Failed {
        /// How many were carried out before.
        done: usize,
        /// The server's words.
        message: String,
    },
}

/// The links of a store since it was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Links {
    /// The number of links that were made.
    pub made: u64,
    /// The number of links that ended.
    pub cut: u64,
}

/// The facts that a quorum must know of a store before it counts its votes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// A name that two handles of one store share, and that two stores never share.
    pub unique: Arc<str>,
    /// The store that it copies, if it is a replica: it has no vote of its own.
    pub replica_of: Option<String>,
    /// Whether it can forget leases and go on, and how long it then grants nothing new.
    pub forgets: Forgets,
}

/// Whether leases survive a restart of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forgets {
    /// It never forgets a lease that a holder still trusts.
    Never,
    /// It may forget leases, and then grants nothing new for this time.
    GuardedFor(Duration),
}

/// Where the pushes of a store arrive in this process.
#[derive(Debug)]
pub struct Inbox {
    /// The address for [`Queueing::inbox`](crate::protocol::Queueing::inbox).
    pub address: Arc<str>,
    /// The pushes. They are hints: each may be lost, come late or come twice.
    pub pushes: mpsc::UnboundedReceiver<Push>,
    /// Notified when pushes may have been missed, such as after a lost connection. Waiters then
    /// ask again.
    pub missed: Arc<Notify>,
}

/// A message that wakes a waiter and carries its grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Push {
    /// The key.
    pub key: Key,
    /// The new holder.
    pub owner: Owner,
    /// The fencing token of the grant.
    pub fence: Fence,
    /// The number of the last heartbeat that the store had seen when it granted.
    pub stamp: u64,
}

/// The abilities of a store. They are checked before anything is sent. A feature that a store does
/// not have is refused, never approximated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// Whether waiters stand in a queue: first come, first served.
    pub fifo: bool,
    /// Whether it can carry semaphores and read-write locks.
    pub many_units: bool,
    /// Whether one step can acquire several keys together.
    pub groups: bool,
    /// Whether a lease can be a string that other programs extend and release ([`Claim::PLAIN`]).
    pub plain_values: bool,
    /// Whether it is made of other stores, as a quorum is. Such a store cannot be a quorum's node.
    pub composite: bool,
    /// The processes that can share the locks.
    pub reach: Reach,
    /// The longest ttl: [`TTL_MAX`](crate::TTL_MAX), or less.
    pub ttl_max: Duration,
    /// Whether a step that may grant to its sender takes longer than others, since it waits for
    /// replicas. The engine then sends heartbeats apart from renewals.
    pub slow_grants: bool,
}

/// The purpose for which a store is opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Access {
    /// Locks.
    #[default]
    Locks,
    /// `inspect` and `list` alone. No file or directory is made, and rights to read suffice, also a
    /// replica of a server. Every other request is refused.
    Looks,
    /// As [`Access::Looks`]; and `list` shows locks of other libraries as well, where the store can
    /// have some: on a server, strings with a ttl that Tenure did not write.
    LooksAtAll,
    /// `examine`, as of a store that is opened for locks. A file that does not exist, is empty or
    /// has no table, and that this user could make a store, is only looked at.
    Examination,
}

#[cfg(any(feature = "redis", feature = "sqlite"))]
impl Access {
    /// Whether nothing is made or changed in any case.
    pub(crate) fn only_looks(self) -> bool {
        matches!(self, Self::Looks | Self::LooksAtAll)
    }
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
    /// How to treat the failure.
    pub class: StoreErrorClass,
    /// The message for people, without secrets: what happened and what to do.
    pub message: String,
    /// Whether the steps may have been carried out, or may still be carried out.
    pub may_have_run: bool,
    /// The cause.
    pub source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

/// How to treat a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreErrorClass {
    /// It may pass: try again.
    Transient,
    /// It is a copy of another store and takes no writes, as far as is known since it was opened.
    /// A first request is not repeated; otherwise it may pass, since a copy can be promoted.
    ReadOnly,
    /// The store refused, and would refuse again: credentials, rights.
    Refused,
    /// The store has no room, which may pass: a full disk, memory used up.
    Full,
    /// The URL or path does not lead to a store: wrong path, foreign or newer file, bad URL.
    Config,
    /// A parent of this process opened the store before a fork: open it again here.
    Forked,
    /// A defect in Tenure.
    Internal,
}

impl StoreErrorClass {
    /// Whether one who has had an answer before tries again.
    pub(crate) fn may_pass(self) -> bool {
        matches!(self, Self::Transient | Self::ReadOnly)
    }

    /// The label in metrics.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Transient | Self::ReadOnly => "transient",
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
    /// The error for a URL or path that does not lead to a store.
    #[must_use]
    pub fn config(message: String) -> Self {
        Self { class: StoreErrorClass::Config, message, may_have_run: false, source: None }
    }

    /// The error for a step that a store refuses since it was opened for looks.
    #[cfg(any(feature = "redis", feature = "sqlite"))]
    pub(crate) fn only_looks() -> Self {
        let message = "this store was opened to look at keys alone: connect without \
                       `with_access` to lock";
        let (class, message) = (StoreErrorClass::Refused, message.into());
        Self { class, message, may_have_run: false, source: None }
    }

    /// The reply to a step, or a failure if it was not carried out. A renewal or release can be
    /// refused for now, but not for ever.
    pub(crate) fn unless_failed(reply: Reply) -> Result<Reply, Self> {
        let (class, message) = match reply {
            Reply::Unknown(why) => (StoreErrorClass::Transient, why),
            Reply::Refused(why) => (StoreErrorClass::Refused, why),
            Reply::Full(why) => (StoreErrorClass::Full, why),
            reply => return Ok(reply),
        };
        Err(Self { class, message: message.into(), may_have_run: true, source: None })
    }

    /// The failure as the reply to one step, in a call whose other steps are not affected.
    pub(crate) fn into_reply(self) -> Reply {
        let message = self.message.into();
        match self.class {
            StoreErrorClass::Transient | StoreErrorClass::ReadOnly => Reply::Unknown(message),
            StoreErrorClass::Full => Reply::Full(message),
            StoreErrorClass::Refused
            | StoreErrorClass::Config
            | StoreErrorClass::Internal
            | StoreErrorClass::Forked => Reply::Refused(message),
        }
    }

    /// The public error for this failure.
    #[must_use]
    pub fn into_error(self, operation: Operation, store: &Arc<str>) -> Error {
        let kind = match self.class {
            StoreErrorClass::Transient | StoreErrorClass::ReadOnly => ErrorKind::Unavailable,
            StoreErrorClass::Refused | StoreErrorClass::Full => ErrorKind::Refused,
            StoreErrorClass::Config => ErrorKind::Config,
            StoreErrorClass::Forked => ErrorKind::Forked,
            StoreErrorClass::Internal => ErrorKind::Internal,
        };
        let error = Error::new(kind, operation, self.message).with_store(store);
        let error = error.with_of_replica(self.class == StoreErrorClass::ReadOnly);
        match self.source {
            Some(source) => error.with_source(source),
            None => error,
        }
    }
}
