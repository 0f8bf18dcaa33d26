//! The lock that a row is about, so that one case is for several kinds.

use std::future::Future;
use std::time::Duration;

use tenure::protocol::Inspection;
use tenure::{Claim, Election, Guard, Locks, Mutex, Renewal, Result, RwLock, Semaphore};

/// The key or its part that each holder of a row claims. In every case one holds it at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Share {
    Mutex,
    /// The permit of a semaphore of one.
    OneOfOne,
    /// The last permit of a semaphore of five; somebody else has the other four.
    LastOfFive,
    /// The whole key, by a read-write lock.
    Writer,
    /// The whole key, with a value beside it.
    Leader,
}

impl Share {
    pub(crate) fn claim(self) -> Claim {
        match self {
            Self::Mutex | Self::Writer | Self::Leader => Claim::EXCLUSIVE,
            Self::OneOfOne => Claim::new(1, 1).expect("valid"),
            Self::LastOfFive => Claim::new(1, 5).expect("valid"),
        }
    }

    /// The lock on `key`, nothing of which is claimed yet.
    pub(crate) fn lock(self, locks: &Locks, key: &str) -> Lock {
        match self {
            Self::Mutex => Lock::Mutex(locks.mutex(key)),
            Self::OneOfOne => Lock::Semaphore(locks.semaphore(key, 1)),
            Self::LastOfFive => Lock::Semaphore(locks.semaphore(key, 5)),
            Self::Writer => Lock::Writer(locks.rwlock(key)),
            Self::Leader => Lock::Leader(locks.election(key)),
        }
    }
}

/// A lock that can be waited for.
pub(crate) trait Acquire: Clone + Send + Sync + 'static {
    fn granted(&self) -> impl Future<Output = Result<Guard>> + Send;
}

#[derive(Debug, Clone)]
pub(crate) enum Lock {
    Mutex(Mutex),
    Semaphore(Semaphore),
    Writer(RwLock),
    Leader(Election),
}

/// The value of every leader of a case about locks.
pub(crate) const VALUE: &str = "the leader's address";

macro_rules! options {
    ($($name:ident($($option:ident: $type:ty),+);)+) => {
        $(pub(crate) fn $name(self, $($option: $type),+) -> Self {
            match self {
                Self::Mutex(lock) => Self::Mutex(lock.$name($($option),+)),
                Self::Semaphore(lock) => Self::Semaphore(lock.$name($($option),+)),
                Self::Writer(lock) => Self::Writer(lock.$name($($option),+)),
                Self::Leader(lock) => Self::Leader(lock.$name($($option),+)),
            }
        })+
    };
}

impl Lock {
    options! {
        with_ttl(ttl: Duration);
        with_wait(limit: Duration);
        with_retry(tries: u32, delay: Duration);
        with_renewal(renewal: Renewal);
        with_min_hold(span: Duration);
        with_max_hold(span: Duration);
        with_owner(value: impl AsRef<str>);
        with_label(text: &str);
    }

    pub(crate) async fn acquire(&self) -> Result<Guard> {
        match self {
            Self::Mutex(lock) => lock.acquire().await,
            Self::Semaphore(lock) => lock.acquire().await,
            Self::Writer(lock) => lock.write().await,
            Self::Leader(lock) => lock.campaign(VALUE).await.map(Guard::from),
        }
    }

    pub(crate) async fn try_acquire(&self) -> Result<Option<Guard>> {
        match self {
            Self::Mutex(lock) => lock.try_acquire().await,
            Self::Semaphore(lock) => lock.try_acquire().await,
            Self::Writer(lock) => lock.try_write().await,
            Self::Leader(lock) => Ok(lock.try_campaign(VALUE).await?.map(Guard::from)),
        }
    }

    pub(crate) async fn inspect(&self) -> Result<Inspection> {
        match self {
            Self::Mutex(lock) => lock.inspect().await,
            Self::Semaphore(lock) => lock.inspect().await,
            Self::Writer(lock) => lock.inspect().await,
            Self::Leader(lock) => lock.inspect().await,
        }
    }
}

impl Acquire for Mutex {
    async fn granted(&self) -> Result<Guard> {
        self.acquire().await
    }
}

impl Acquire for Semaphore {
    async fn granted(&self) -> Result<Guard> {
        self.acquire().await
    }
}

impl Acquire for Lock {
    async fn granted(&self) -> Result<Guard> {
        self.acquire().await
    }
}
