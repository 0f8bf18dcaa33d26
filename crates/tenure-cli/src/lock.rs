//! The lock of a run: its keys, or a part of one key. It only passes on what is asked.

use std::time::Duration;

use tenure::{Election, Guard, Locks, MultiGuard, MultiLock, Result, RwLock, Semaphore};

use crate::keys::Keys;

/// The part of the key that a run asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Whole,
    /// As one of many readers.
    Shared,
    /// So many units of a limit.
    Permits {
        units: u32,
        limit: u32,
    },
}

#[derive(Debug)]
pub(crate) enum Lock {
    Whole(MultiLock),
    Shared(RwLock),
    Permits(Semaphore, u32),
    /// With the value of the leader.
    Leader(Election, String),
}

/// Defines methods that set an option.
macro_rules! options {
    ($($name:ident($option:ident: $type:ty);)+) => {
        $(pub(crate) fn $name(self, $option: $type) -> Self {
            match self {
                Self::Whole(lock) => Self::Whole(lock.$name($option)),
                Self::Shared(lock) => Self::Shared(lock.$name($option)),
                Self::Permits(lock, units) => Self::Permits(lock.$name($option), units),
                Self::Leader(lock, value) => Self::Leader(lock.$name($option), value),
            }
        })+
    };
}

impl Lock {
    /// The lock on `keys` at a store, or, to check its options, at none. A part is one of the first
    /// key.
    pub(crate) fn new(locks: Option<&Locks>, keys: &Keys, part: Part) -> Self {
        let key = keys.first();
        match (part, locks) {
            (Part::Whole, Some(locks)) => Self::Whole(locks.all(keys.iter())),
            (Part::Whole, None) => Self::Whole(tenure::all(keys.iter())),
            (Part::Shared, Some(locks)) => Self::Shared(locks.rwlock(key)),
            (Part::Shared, None) => Self::Shared(tenure::rwlock(key)),
            (Part::Permits { units, limit }, Some(locks)) => {
                Self::Permits(locks.semaphore(key, limit), units)
            }
            (Part::Permits { units, limit }, None) => {
                Self::Permits(tenure::semaphore(key, limit), units)
            }
        }
    }

    options! {
        with_ttl(ttl: Duration);
        with_wait(limit: Duration);
        with_min_hold(span: Duration);
        with_max_hold(span: Duration);
        with_owner(value: &str);
        with_label(text: &str);
    }

    pub(crate) fn validate(&self) -> Result<()> {
        match self {
            Self::Whole(lock) => lock.validate(),
            Self::Shared(lock) => lock.validate(),
            Self::Permits(lock, _) => lock.validate(),
            Self::Leader(lock, _) => lock.validate(),
        }
    }

    pub(crate) async fn acquire(&self) -> Result<MultiGuard> {
        match self {
            Self::Whole(lock) => lock.acquire().await,
            Self::Shared(lock) => lock.read().await.map(MultiGuard::from),
            Self::Permits(lock, units) => lock.acquire_many(*units).await.map(MultiGuard::from),
            Self::Leader(lock, value) => {
                Ok(MultiGuard::from(Guard::from(lock.campaign(value).await?)))
            }
        }
    }

    pub(crate) async fn try_acquire(&self) -> Result<Option<MultiGuard>> {
        match self {
            Self::Whole(lock) => lock.try_acquire().await,
            Self::Shared(lock) => Ok(lock.try_read().await?.map(MultiGuard::from)),
            Self::Permits(lock, units) => {
                Ok(lock.try_acquire_many(*units).await?.map(MultiGuard::from))
            }
            Self::Leader(lock, value) => {
                Ok(lock.try_campaign(value).await?.map(Guard::from).map(MultiGuard::from))
            }
        }
    }
}
