//! The lock of a run: its keys, or a part of one key. It only passes on what is asked.

use std::time::Duration;

use tenure::protocol::Inspection;
use tenure::{
    Begun, Election, Guard, LastRun, Lease, Locks, MultiGuard, MultiLease, MultiLock, Mutex, Once,
    OnceGuard, Outcome, Released, Result, RwLock, Semaphore,
};

use crate::args::OnceRule;
use crate::keys::Keys;

/// The part of the key that a run asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Whole,
    /// Whole, whoever holds it.
    Stolen,
    /// As one of many readers.
    Shared,
    /// So many units of a limit.
    Permits {
        units: u32,
        limit: u32,
    },
    /// Whole, for one run in each tick.
    Once(OnceRule),
}

#[derive(Debug)]
pub(crate) enum Lock {
    Whole(MultiLock),
    Stolen(Mutex),
    Shared(RwLock),
    Permits(Semaphore, u32),
    Once(Once),
    /// With the value of the leader.
    Leader(Election, String),
}

/// The locks that a run holds, or the run of a job.
#[derive(Debug)]
pub(crate) enum Grip {
    Locks(MultiGuard),
    Once(OnceGuard),
}

/// The answer of a lock.
#[derive(Debug)]
pub(crate) enum Answer {
    Held(Grip),
    /// It was taken from the holders that were seen just before.
    Stolen(Grip, Box<Inspection>),
    Busy,
    /// No run is due.
    Skipped(LastRun),
}

impl Grip {
    /// The leases, in the order of their keys.
    pub(crate) fn leases(&self) -> &[Lease] {
        match self {
            Self::Locks(guard) => guard.leases(),
            Self::Once(guard) => std::slice::from_ref(guard),
        }
    }

    /// The same as one.
    pub(crate) fn lease(&self) -> MultiLease {
        match self {
            Self::Locks(guard) => guard.lease(),
            Self::Once(guard) => guard.lease().into(),
        }
    }

    /// Gives everything back. The outcome of a job goes on record. Answers whether all of it was
    /// still ours.
    pub(crate) async fn end(self, outcome: Outcome) -> Result<bool> {
        match self {
            Self::Locks(guard) => Ok(guard.release().await? == Released::Released),
            Self::Once(guard) => guard.finish(outcome).await.map(|()| true),
        }
    }
}

/// Defines methods that set an option. A job has some of them: it never waits.
macro_rules! options {
    ($once:ident, with_ttl($option:ident)) => { Self::Once($once.with_ttl($option)) };
    ($once:ident, with_max_hold($option:ident)) => { Self::Once($once.with_max_hold($option)) };
    ($once:ident, with_label($option:ident)) => { Self::Once($once.with_label($option)) };
    ($once:ident, $name:ident($option:ident)) => { Self::Once($once) };
    ($($name:ident($option:ident: $type:ty);)+) => {
        $(pub(crate) fn $name(self, $option: $type) -> Self {
            match self {
                Self::Whole(lock) => Self::Whole(lock.$name($option)),
                Self::Stolen(lock) => Self::Stolen(lock.$name($option)),
                Self::Shared(lock) => Self::Shared(lock.$name($option)),
                Self::Permits(lock, units) => Self::Permits(lock.$name($option), units),
                Self::Once(once) => options!(once, $name($option)),
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
            (Part::Stolen, Some(locks)) => Self::Stolen(locks.mutex(key)),
            (Part::Stolen, None) => Self::Stolen(tenure::mutex(key)),
            (Part::Shared, Some(locks)) => Self::Shared(locks.rwlock(key)),
            (Part::Shared, None) => Self::Shared(tenure::rwlock(key)),
            (Part::Permits { units, limit }, Some(locks)) => {
                Self::Permits(locks.semaphore(key, limit), units)
            }
            (Part::Permits { units, limit }, None) => {
                Self::Permits(tenure::semaphore(key, limit), units)
            }
            (Part::Once(rule), Some(locks)) => Self::Once(by(rule, locks.once(key))),
            (Part::Once(rule), None) => Self::Once(by(rule, tenure::once(key))),
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
            Self::Stolen(lock) => lock.validate(),
            Self::Shared(lock) => lock.validate(),
            Self::Permits(lock, _) => lock.validate(),
            Self::Once(once) => once.validate(),
            Self::Leader(lock, _) => lock.validate(),
        }
    }

    /// Waits for the lock, but never for a tick.
    pub(crate) async fn acquire(&self) -> Result<Answer> {
        let guard = match self {
            Self::Whole(lock) => lock.acquire().await?,
            Self::Stolen(lock) => return Answer::of_theft(lock).await,
            Self::Shared(lock) => lock.read().await?.into(),
            Self::Permits(lock, units) => lock.acquire_many(*units).await?.into(),
            Self::Once(once) => return Answer::of_job(once).await,
            Self::Leader(lock, value) => Guard::from(lock.campaign(value).await?).into(),
        };
        Ok(Answer::Held(Grip::Locks(guard)))
    }

    pub(crate) async fn try_acquire(&self) -> Result<Answer> {
        let guard = match self {
            Self::Whole(lock) => lock.try_acquire().await?,
            Self::Stolen(lock) => return Answer::of_theft(lock).await,
            Self::Shared(lock) => lock.try_read().await?.map(MultiGuard::from),
            Self::Permits(lock, units) => {
                lock.try_acquire_many(*units).await?.map(MultiGuard::from)
            }
            Self::Once(once) => return Answer::of_job(once).await,
            Self::Leader(lock, value) => {
                lock.try_campaign(value).await?.map(Guard::from).map(MultiGuard::from)
            }
        };
        Ok(guard.map_or(Answer::Busy, |guard| Answer::Held(Grip::Locks(guard))))
    }
}

impl Answer {
    async fn of_theft(mutex: &Mutex) -> Result<Self> {
        let seen = mutex.inspect().await?;
        let guard = mutex.steal().await?;
        Ok(Self::Stolen(Grip::Locks(guard.into()), Box::new(seen)))
    }

    async fn of_job(once: &Once) -> Result<Self> {
        Ok(match once.begin().await? {
            Begun::Ours(guard) => Self::Held(Grip::Once(guard)),
            Begun::Skipped(last) => Self::Skipped(last),
        })
    }
}

fn by(rule: OnceRule, once: Once) -> Once {
    let once = once.every(rule.every);
    let once = if rule.since_last_run { once.since_last_run() } else { once };
    if rule.retry_failed { once.retry_failed() } else { once }
}
