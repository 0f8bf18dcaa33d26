//! The one public error. It is written for a person who reads it at three in the morning: it says
//! what happened, to which key, at which store, and what to do. It never carries a secret. Beside
//! it, the reasons for which a lease is lost.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use super::{InvalidKey, Key};

/// A result with Tenure's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The operation during which an [`Error`] occurred.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// Opening a store.
    Connect,
    /// Acquiring a lock.
    Acquire,
    /// Renewing a lease.
    Renew,
    /// Extending a lease.
    Extend,
    /// Releasing a lock.
    Release,
    /// Relying on a lock that should be held.
    Hold,
    /// Writing data under a lock.
    Write,
    /// Changing the part of the key that is held: a downgrade or an upgrade.
    Resize,
    /// Ending a run, with its outcome on record.
    Finish,
    /// Changing the value beside a claim.
    SetValue,
    /// Adopting a ticket: the lease changes its owner.
    Transfer,
    /// Taking a lock away from its holder.
    Force,
    /// Changing the number of permits of a semaphore.
    SetPermits,
    /// Asking for the state of a key, or for the keys of a store.
    Inspect,
    /// Closing a `Locks`.
    Close,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "connect",
            Self::Acquire => "acquire",
            Self::Renew => "renew",
            Self::Extend => "extend",
            Self::Release => "release",
            Self::Hold => "hold",
            Self::Write => "write under",
            Self::Resize => "resize",
            Self::Finish => "finish",
            Self::SetValue => "set the value of",
            Self::Transfer => "transfer",
            Self::Force => "force",
            Self::SetPermits => "set the permits of",
            Self::Inspect => "inspect",
            Self::Close => "close",
        })
    }
}

/// The kind of an error. Match on this; the message is for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Bad input, refused before anything was touched.
    Invalid,
    /// The time limit for waiting passed while others held the key.
    Busy,
    /// The key is in use in another way: with another limit, as another kind, by a foreign value.
    Mismatch,
    /// The lease can no longer be guaranteed.
    Lost,
    /// The store cannot be reached, or failed in a way that may pass.
    Unavailable,
    /// The store refused: credentials, rights, a full disk.
    Refused,
    /// The configuration is wrong: no such file, a foreign or newer file, an unknown URL.
    Config,
    /// The `Locks` has been closed.
    Closed,
    /// This process was forked after the connection was made: connect again here. Nothing was
    /// sent.
    Forked,
    /// A defect in Tenure; please report it.
    Internal,
}

/// Why a lease can no longer be guaranteed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LostReason {
    /// The deadline passed without a confirmed renewal: the store was out of reach, the process
    /// was stopped, the machine slept, or renewal was off.
    Expired,
    /// The store has no such lease any more: it was forced, or the store forgot it.
    Gone,
    /// `max_hold` is over.
    MaxHold,
    /// The `Locks` was closed.
    Closed,
    /// Its guard was released, dropped or handed over.
    GivenBack,
    /// This process was forked after the lock was acquired. Its parent may hold it still.
    Forked,
}

impl fmt::Display for LostReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Expired => "its deadline passed without a confirmed renewal",
            Self::Gone => "the store no longer has it (it was forced, or the store forgot it)",
            Self::MaxHold => "its max_hold is over",
            Self::Closed => "the Locks was closed",
            Self::GivenBack => "it was given back",
            Self::Forked => "this process was forked, and the lock is still its parent's",
        })
    }
}

/// An error that says what happened, to which key, at which store, and what to do about it.
///
/// ```
/// # async fn f(locks: tenure::Locks) {
/// match locks.mutex("report").acquire().await {
///     Ok(guard) => drop(guard),
///     Err(e) if e.kind() == tenure::ErrorKind::Busy => println!("next time"),
///     Err(e) => eprintln!("{e} (may hold: {})", e.may_hold()),
/// }
/// # }
/// ```
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    operation: Operation,
    key: Option<Key>,
    store: Option<Arc<str>>,
    message: String,
    may_hold: bool,
    is_of_replica: bool,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of this kind; `message` says what happened and what to do.
    #[must_use]
    pub fn new(kind: ErrorKind, operation: Operation, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            operation,
            key: None,
            store: None,
            message: message.into(),
            may_hold: false,
            is_of_replica: false,
            source: None,
        }))
    }

    /// Names the key.
    #[must_use]
    pub fn with_key(mut self, key: &Key) -> Self {
        self.0.key = Some(key.clone());
        self
    }

    /// Says that the store is a copy of another one, and was never anything else.
    pub(crate) fn with_of_replica(mut self, is_of_replica: bool) -> Self {
        self.0.is_of_replica = is_of_replica;
        self
    }

    /// Whether the store is a copy of another one, and was never anything else: it is named by
    /// mistake, and waiting for it helps nobody.
    #[doc(hidden)]
    #[must_use]
    pub fn is_of_replica(&self) -> bool {
        self.0.is_of_replica
    }

    /// Names the store; the name must carry no secret.
    #[must_use]
    pub fn with_store(mut self, store: &Arc<str>) -> Self {
        self.0.store = Some(Arc::clone(store));
        self
    }

    /// Sets whether the claim may be held at the store in spite of the error.
    #[must_use]
    pub fn with_may_hold(mut self, may_hold: bool) -> Self {
        self.0.may_hold = may_hold;
        self
    }

    /// Adds a note in brackets to the end of the message.
    #[doc(hidden)]
    #[must_use]
    pub fn with_note(mut self, note: &str) -> Self {
        self.0.message = format!("{} ({note})", self.0.message);
        self
    }

    /// Keeps the cause.
    #[must_use]
    pub fn with_source(mut self, source: Arc<dyn StdError + Send + Sync>) -> Self {
        self.0.source = Some(source);
        self
    }

    /// The kind of the error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The operation that failed.
    #[must_use]
    pub fn operation(&self) -> Operation {
        self.0.operation
    }

    /// The key in question.
    #[must_use]
    pub fn key(&self) -> Option<&Key> {
        self.0.key.as_ref()
    }

    /// The store in question, by a name without secrets.
    #[must_use]
    pub fn store(&self) -> Option<&str> {
        self.0.store.as_deref()
    }

    /// Whether the claim may be held at the store in spite of this error.
    ///
    /// `true` means "don't know". Nothing needs to be done about it: the claim is being
    /// withdrawn in the background, and ends with its ttl at the latest.
    #[must_use]
    pub fn may_hold(&self) -> bool {
        self.0.may_hold
    }

    /// The message, without the key, the store and the operation.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }
}

impl InvalidKey {
    /// The error of an operation on such a key.
    pub(crate) fn during(&self, operation: Operation) -> Error {
        Error::new(ErrorKind::Invalid, operation, self.to_string())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &self.0;
        write!(f, "cannot {}", inner.operation)?;
        if let Some(key) = &inner.key {
            write!(f, " {:?}", key.as_str())?;
        }
        if let Some(store) = &inner.store {
            write!(f, " at {store}")?;
        }
        write!(f, ": {}", inner.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("may_hold", &self.0.may_hold)
            .field("text", &self.to_string())
            .field("source", &self.0.source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|s| s as &(dyn StdError + 'static))
    }
}
