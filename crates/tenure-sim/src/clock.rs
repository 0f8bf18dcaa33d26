//! A clock that is wrong: it began somewhere else and runs too fast or too slow, but never
//! jumps. True time is known to the simulation alone.

use tenure::runtime::Moment;

const MILLION: i128 = 1_000_000;
/// Wall clocks began here: some day in 2026.
const WALL_ORIGIN: u64 = 1_790_000_000_000_000;

/// True time to local time and back, in microseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    /// The time that it showed at the beginning of true time.
    offset: u64,
    /// How many microseconds it gains in a true second.
    ppm: i64,
    /// How far the wall clock beside it is ahead, in microseconds.
    ahead: i64,
}

impl Clock {
    pub(crate) fn new(offset: u64, ppm: i64) -> Self {
        Self { offset, ppm, ahead: 0 }
    }

    /// The same, beside a wall clock that is so many microseconds ahead.
    pub(crate) fn with_wall_ahead(self, ahead: i64) -> Self {
        Self { ahead, ..self }
    }

    /// The same, at another rate.
    pub(crate) fn with_rate(self, ppm: i64) -> Self {
        Self { ppm, ..self }
    }

    /// The time of the wall clock at the true time `at`, in microseconds since 1970.
    pub(crate) fn wall(self, at: u64) -> u64 {
        (WALL_ORIGIN + at).saturating_add_signed(self.ahead)
    }

    /// The time that it shows at the true time `at`.
    pub(crate) fn read(self, at: u64) -> u64 {
        let gone = i128::from(at) * (MILLION + i128::from(self.ppm)) / MILLION;
        self.offset + u64::try_from(gone).unwrap_or(0)
    }

    /// The first true time at which it shows `local` or more.
    pub(crate) fn when(self, local: u64) -> u64 {
        if local >= self.read(u64::MAX / 4) {
            return u64::MAX / 4;
        }
        let gone = i128::from(local.saturating_sub(self.offset));
        let rate = MILLION + i128::from(self.ppm);
        let mut at = u64::try_from(gone * MILLION / rate).unwrap_or(0);
        while self.read(at) < local {
            at += 1;
        }
        at
    }

    pub(crate) fn moment(self, at: u64) -> Moment {
        Moment::from_micros(self.read(at))
    }

    pub(crate) fn when_moment(self, moment: Moment) -> u64 {
        self.when(moment.as_micros())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn back_and_forth_agree() {
        for ppm in [-50_000, -5_000, 0, 3, 5_000, 50_000] {
            let clock = Clock::new(17_000_000, ppm);
            for at in [0, 1, 999, 1_000_000, 123_456_789] {
                let local = clock.read(at);
                let back = clock.when(local);
                assert!(back <= at && clock.read(back) >= local, "{ppm} {at}");
                assert!(back == 0 || clock.read(back - 1) < local, "{ppm} {at}");
            }
        }
    }
}
