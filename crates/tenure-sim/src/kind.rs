//! The kinds of locks that users ask for, on the same keys. A kind that is added is a variant of
//! `Kind` with its claim, an arm in `Mixture::pick` and in `ask`, and in `hold` what its holders
//! do.

use std::sync::Arc;
use std::time::Duration;

use tenure::{
    Begun, Claim, Guard, Key, Label, Leadership, Lease, Locks, MultiGuard, OnceGuard, Renewal,
    Result,
};

use crate::judge::{Patience, Wish};
use crate::rng::Rng;

/// A kind of lock, and the part of it that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Mutex,
    /// So many permits of a semaphore of so many.
    Permits(u32, u32),
    Reader,
    Writer,
    /// One of the keys of a multi-lock.
    Several,
    /// The leadership of an election.
    Leader,
    /// A run of a job whose ticks are so long.
    Run {
        every: Duration,
        retry_failed: bool,
    },
}

/// The shares that a key has: those of two kinds would be refused beside each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shares {
    /// Permits of a semaphore of so many.
    Permits(u32),
    /// Readers.
    Readers,
}

/// How often the users of a seed ask for which kind.
#[derive(Debug, Clone)]
pub(crate) struct Mixture {
    /// For each key.
    shares: Vec<Shares>,
    mutex_per_mille: u64,
    several_per_mille: u64,
    leader_per_mille: u64,
    run_per_mille: u64,
    /// The length of a tick, for each key.
    ticks: Vec<Duration>,
}

impl Kind {
    /// The claim that a holder has when it is granted.
    pub(crate) fn claim(self) -> Claim {
        match self {
            Self::Mutex | Self::Writer | Self::Several | Self::Leader | Self::Run { .. } => {
                Claim::EXCLUSIVE
            }
            Self::Permits(units, of) => Claim::new(units, of).expect("not more than there are"),
            Self::Reader => Claim::new(1, Claim::MAX).expect("one of many"),
        }
    }

    /// Whether its holder can become a reader, or a writer.
    pub(crate) fn can_change(self) -> bool {
        matches!(self, Self::Reader | Self::Writer)
    }
}

impl Mixture {
    /// All kinds, some more often than others, and in some seeds not at all.
    pub(crate) fn roll(rng: &mut Rng, keys: usize) -> Self {
        let mut shares = || match rng.below(2) {
            0 => Shares::Permits(u32::try_from(rng.between(2, 4)).unwrap_or(2)),
            _ => Shares::Readers,
        };
        let shares = (0..keys).map(|_| shares()).collect();
        let rates = [0, 100, 300];
        let (mutex_per_mille, several_per_mille) = (rng.pick(&rates), rng.pick(&rates));
        let rates = [0, 300, 500];
        let (leader_per_mille, run_per_mille) = (rng.pick(&rates), rng.pick(&rates));
        let mut tick = || Duration::from_millis(rng.pick(&[500, 2_000, 8_000]));
        let ticks = (0..keys).map(|_| tick()).collect();
        Self { shares, mutex_per_mille, several_per_mille, leader_per_mille, run_per_mille, ticks }
    }

    /// Picks a kind for the key with this number.
    pub(crate) fn pick(&self, rng: &mut Rng, key: usize) -> Kind {
        if rng.per_mille(self.several_per_mille) {
            return Kind::Several;
        }
        if rng.per_mille(self.mutex_per_mille) {
            return Kind::Mutex;
        }
        if rng.per_mille(self.run_per_mille) {
            return Kind::Run { every: self.ticks[key], retry_failed: rng.per_mille(500) };
        }
        match self.shares[key] {
            // Not where readers are: a look at the leader would tell the judge that a process knows
            // how its upgrade went.
            Shares::Permits(_) if rng.per_mille(self.leader_per_mille) => Kind::Leader,
            // Mostly a few, so that many hold.
            Shares::Permits(of) => {
                let most = if rng.per_mille(300) { of } else { 1 };
                Kind::Permits(u32::try_from(rng.between(1, most.into())).unwrap_or(1), of)
            }
            Shares::Readers if rng.per_mille(250) => Kind::Writer,
            Shares::Readers => Kind::Reader,
        }
    }
}

/// The options of a call that the judge need not know.
#[derive(Debug)]
pub(crate) struct Terms {
    pub(crate) label: String,
    pub(crate) renewal: Option<Renewal>,
    pub(crate) owner: Option<&'static str>,
}

/// The locks that a user holds.
pub(crate) enum Held {
    One(Guard),
    Several(MultiGuard),
    Leader(Leadership),
    Run(OnceGuard),
}

impl Held {
    /// The lease of each key, in the order of the wishes.
    pub(crate) fn leases(&self) -> Vec<Arc<Lease>> {
        match self {
            Self::One(guard) => vec![Arc::new(guard.lease())],
            Self::Several(guard) => guard.leases().iter().cloned().map(Arc::new).collect(),
            Self::Leader(leadership) => vec![Arc::new(leadership.lease())],
            Self::Run(run) => vec![Arc::new(run.lease())],
        }
    }
}

/// A lock of any kind, with the options of a call.
macro_rules! with_options {
    ($lock:expr, $wish:expr, $terms:expr) => {{
        let (Wish { ttl, min_hold, max_hold, patience, .. }, terms) = ($wish, $terms);
        let mut lock = $lock.with_ttl(*ttl).with_min_hold(*min_hold).with_label(&terms.label);
        if let Some(span) = max_hold {
            lock = lock.with_max_hold(*span);
        }
        if let Patience::Until(wait) = patience {
            lock = lock.with_wait(*wait);
        }
        if let Some(renewal) = terms.renewal {
            lock = lock.with_renewal(renewal);
        }
        if let Some(owner) = terms.owner {
            lock = lock.with_owner(owner);
        }
        lock
    }};
}

/// Asks for what is wished, of the wishes' kind; all keys are asked for together.
pub(crate) async fn ask(locks: Locks, wishes: &[Wish], terms: &Terms) -> Result<Option<Held>> {
    let wish = &wishes[0];
    let (key, once) = (wish.key.as_str(), wish.patience == Patience::None);
    let one = match wish.kind {
        Kind::Mutex => {
            let mutex = with_options!(locks.mutex(key), wish, terms);
            if once { mutex.try_acquire().await? } else { Some(mutex.acquire().await?) }
        }
        Kind::Permits(units, of) => {
            let semaphore = with_options!(locks.semaphore(key, of), wish, terms);
            if once {
                semaphore.try_acquire_many(units).await?
            } else {
                Some(semaphore.acquire_many(units).await?)
            }
        }
        Kind::Reader => {
            let rwlock = with_options!(locks.rwlock(key), wish, terms);
            if once { rwlock.try_read().await? } else { Some(rwlock.read().await?) }
        }
        Kind::Writer => {
            let rwlock = with_options!(locks.rwlock(key), wish, terms);
            if once { rwlock.try_write().await? } else { Some(rwlock.write().await?) }
        }
        Kind::Several => {
            let keys = wishes.iter().map(|wish| wish.key.as_str());
            let all = with_options!(locks.all(keys), wish, terms);
            let held = if once { all.try_acquire().await? } else { Some(all.acquire().await?) };
            return Ok(held.map(Held::Several));
        }
        Kind::Leader => {
            let election = with_options!(locks.election(key), wish, terms);
            let value = value(&terms.label, 0);
            let held = if once {
                election.try_campaign(value).await?
            } else {
                Some(election.campaign(value).await?)
            };
            return Ok(held.map(Held::Leader));
        }
        Kind::Run { every, retry_failed } => {
            let mut job = locks.once(key).every(every).with_ttl(wish.ttl).with_label(&terms.label);
            if retry_failed {
                job = job.retry_failed();
            }
            if let Some(renewal) = terms.renewal {
                job = job.with_renewal(renewal);
            }
            if let Some(span) = wish.max_hold {
                job = job.with_max_hold(span);
            }
            return Ok(match job.begin().await? {
                Begun::Ours(run) => Some(Held::Run(run)),
                Begun::Skipped(_) => None,
            });
        }
    };
    Ok(one.map(Held::One))
}

/// The label of a call: the number of its first attempt, and its keys if they are several, for
/// each of which the next number stands.
pub(crate) fn label(first: u64, wishes: &[Wish]) -> String {
    let mut label = format!("a{first}");
    for wish in wishes.iter().filter(|_| wishes.len() > 1) {
        label = label + " " + wish.key.as_str();
    }
    label
}

/// The value of a leader: its label, and how many values came before.
pub(crate) fn value(label: &str, revision: u64) -> String {
    format!("{label} {revision}")
}

/// The attempt that a label stands for on this key.
pub(crate) fn attempt_of(label: &Label, key: &Key) -> Option<u64> {
    let mut words = label.as_str().strip_prefix('a')?.split(' ');
    let first: u64 = words.next()?.parse().ok()?;
    let place = words.position(|name| name == key.as_str()).unwrap_or(0);
    Some(first + u64::try_from(place).unwrap_or(0))
}

/// How often a holder's lease is renewed: by the default, or more often.
pub(crate) fn renewal(renews: bool, often: bool, ttl: Duration) -> Option<Renewal> {
    match (renews, often) {
        (false, _) => Some(Renewal::Off),
        (true, true) => Some(Renewal::Every(ttl / 5)),
        (true, false) => None,
    }
}
