//! Time as a store counts it, and the limits of a ttl. It never mixes with a client's clock, which
//! has a type of its own ([`Moment`](crate::runtime::Moment)).

use std::time::Duration;

/// The shortest lease that is accepted.
pub const TTL_MIN: Duration = Duration::from_millis(10);
/// The longest lease that is accepted: 30 days.
pub const TTL_MAX: Duration = Duration::from_secs(30 * 24 * 3600);

/// A moment on a store's own clock, in microseconds since that clock's origin.
///
/// Moments of two stores, or of a store and a client, must never be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct StoreTime(u64);

impl StoreTime {
    /// A moment so many microseconds after the clock's origin.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds since the clock's origin.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to here; zero if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl std::ops::Add<Duration> for StoreTime {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(span.as_micros()).unwrap_or(u64::MAX)))
    }
}
