//! The lock of a run: its keys, or some permits of one key. It only passes on what is asked.

use std::time::Duration;

use tenure::{Locks, MultiGuard, MultiLock, Result, Semaphore};

use crate::keys::Keys;

/// The permits that a run asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Permits {
    /// Those that it holds.
    pub(crate) units: u32,
    /// All that there are.
    pub(crate) limit: u32,
}

#[derive(Debug)]
pub(crate) enum Lock {
    Whole(MultiLock),
    Part(Semaphore, u32),
}

/// Defines methods that set an option.
macro_rules! options {
    ($($name:ident($option:ident: $type:ty);)+) => {
        $(pub(crate) fn $name(self, $option: $type) -> Self {
            match self {
                Self::Whole(lock) => Self::Whole(lock.$name($option)),
                Self::Part(lock, units) => Self::Part(lock.$name($option), units),
            }
        })+
    };
}

impl Lock {
    /// The lock on `keys` at a store, or, to check its options, at none. Permits are those of one
    /// key.
    pub(crate) fn new(locks: Option<&Locks>, keys: &Keys, permits: Option<Permits>) -> Self {
        let key = keys.first();
        match (locks, permits) {
            (Some(locks), None) => Self::Whole(locks.all(keys.iter())),
            (None, None) => Self::Whole(tenure::all(keys.iter())),
            (Some(locks), Some(Permits { units, limit })) => {
                Self::Part(locks.semaphore(key, limit), units)
            }
            (None, Some(Permits { units, limit })) => {
                Self::Part(tenure::semaphore(key, limit), units)
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
            Self::Part(lock, _) => lock.validate(),
        }
    }

    pub(crate) async fn acquire(&self) -> Result<MultiGuard> {
        match self {
            Self::Whole(lock) => lock.acquire().await,
            Self::Part(lock, units) => lock.acquire_many(*units).await.map(MultiGuard::from),
        }
    }

    pub(crate) async fn try_acquire(&self) -> Result<Option<MultiGuard>> {
        match self {
            Self::Whole(lock) => lock.try_acquire().await,
            Self::Part(lock, units) => {
                Ok(lock.try_acquire_many(*units).await?.map(MultiGuard::from))
            }
        }
    }
}
