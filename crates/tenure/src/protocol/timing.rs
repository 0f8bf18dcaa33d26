//! The times of a client. A lease is trusted from the moment *before* its request was sent, on this
//! process's own clock, less an allowance for clocks that advance at different rates (the reasoning
//! of Gray and Cheriton, *Leases*, SOSP 1989), and never from a reply. Tries have pauses between
//! them: exponential, capped, with jitter (Marc Brooker, *Exponential Backoff And Jitter*, AWS
//! 2015). It never sleeps itself.

use std::time::Duration;

use crate::runtime::Moment;

/// The fixed part of the drift allowance. It covers rounding, which does not shrink with the ttl.
const ALLOWANCE: Duration = Duration::from_millis(2);
/// The least time between an alarm and its deadline, for ttls of 40 ms and more.
const SLACK: Duration = Duration::from_millis(10);

/// The drift allowance: two clocks may drift apart by 1 % and 2 ms during `ttl`.
pub(crate) fn allowance(ttl: Duration) -> Duration {
    ttl / 100 + ALLOWANCE
}

/// The deadline of a lease of `ttl` whose request was sent at `sent`.
pub(crate) fn deadline(sent: Moment, ttl: Duration) -> Moment {
    sent + span_of(ttl)
}

/// The ttl to ask for, so that the deadline is `span` away.
pub(crate) fn ttl_for(span: Duration) -> Duration {
    (span + ALLOWANCE).mul_f64(100.0 / 99.0) + Duration::from_micros(1)
}

/// The span for which a lease with so much left at the store can be relied on: the reverse of
/// [`ttl_for`].
pub(crate) fn span_of(ttl: Duration) -> Duration {
    ttl.saturating_sub(allowance(ttl))
}

/// Time between the signal of loss and the deadline of a lease of `ttl`, since timers ring 1 to
/// 20 ms late. It is at most a quarter of the ttl, or a short lease would be lost as soon as it is
/// won.
#[must_use]
pub fn slack(ttl: Duration) -> Duration {
    SLACK.max(ttl / 100).min(ttl / 4)
}

/// The waits between tries.
#[derive(Debug, Clone)]
pub struct Backoff {
    next: Duration,
    cap: Duration,
}

impl Backoff {
    /// Starts at `first` and doubles up to `cap`.
    #[must_use]
    pub fn new(first: Duration, cap: Duration) -> Self {
        Self { next: first.min(cap), cap }
    }

    /// The next wait: between half of the present step and all of it. `random` chooses.
    pub fn next(&mut self, random: u32) -> Duration {
        let step = self.step();
        step / 2 + part(step / 2, random)
    }

    /// The next wait of a client that contends with others: between zero and all of the present
    /// step ("full jitter"), so that their tries spread out.
    pub fn apart(&mut self, random: u32) -> Duration {
        part(self.step(), random)
    }

    fn step(&mut self) -> Duration {
        let step = self.next;
        self.next = (step * 2).min(self.cap);
        step
    }
}

fn part(step: Duration, random: u32) -> Duration {
    step.mul_f64(f64::from(random) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ttl_for_a_span_leaves_that_span_after_the_allowance() {
        for span in [1, 10, 999, 30_000, 2_592_000_000].map(Duration::from_millis) {
            let start = Moment::from_micros(7);
            let left = deadline(start, ttl_for(span)).since(start);
            assert!(left >= span && left < span + span / 1000 + Duration::from_millis(1));
        }
    }

    #[test]
    fn the_shortest_lease_has_time_before_its_alarm() {
        let (start, ttl) = (Moment::from_micros(0), crate::TTL_MIN);
        assert!(deadline(start, ttl) - slack(ttl) > start + Duration::from_millis(5));
    }

    #[test]
    fn steps_double_up_to_the_cap_and_stay_within_half_to_all() {
        let ms = Duration::from_millis;
        let mut low = Backoff::new(ms(10), ms(35));
        let mut high = low.clone();
        let steps = [ms(10), ms(20), ms(35), ms(35)];
        for step in steps {
            assert_eq!(low.next(0), step / 2);
            assert_eq!(high.next(u32::MAX), step);
        }
        assert_eq!((low.apart(0), high.apart(u32::MAX)), (ms(0), ms(35)));
    }
}
