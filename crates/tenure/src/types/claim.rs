//! How much of a key is claimed: the pair of numbers behind mutex, semaphore and read-write lock.
//! It knows no holder and no time.

/// `units` out of `limit`.
///
/// A mutex is 1 of 1; a semaphore of n permits claims k of n; a reader claims 1 of
/// [`Claim::MAX`] and a writer all of them. All live claims on a key share one limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Claim {
    units: u32,
    limit: u32,
}

impl Claim {
    /// 1 of 1.
    pub const MUTEX: Self = Self { units: 1, limit: 1 };
    /// The largest limit.
    pub const MAX: u32 = 1 << 30;

    /// `units` of `limit`, or `None` unless `1 <= units <= limit <= Claim::MAX`.
    #[must_use]
    pub const fn new(units: u32, limit: u32) -> Option<Self> {
        if units >= 1 && units <= limit && limit <= Self::MAX {
            Some(Self { units, limit })
        } else {
            None
        }
    }

    /// How many units are claimed.
    #[must_use]
    pub const fn units(self) -> u32 {
        self.units
    }

    /// The number of units that the key has.
    #[must_use]
    pub const fn limit(self) -> u32 {
        self.limit
    }
}
