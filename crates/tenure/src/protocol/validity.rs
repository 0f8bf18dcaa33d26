//! How long a lease may be trusted: from the moment *before* the request was sent, on this
//! process's own clock, less an allowance for clocks that advance at different rates (the reasoning
//! of Gray and Cheriton, *Leases*, SOSP 1989). It never counts from a reply.

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
    sent + ttl.saturating_sub(allowance(ttl))
}

/// The ttl to ask for, so that the deadline is `span` away.
pub(crate) fn ttl_for(span: Duration) -> Duration {
    (span + ALLOWANCE).mul_f64(100.0 / 99.0) + Duration::from_micros(1)
}

/// Time between the signal of loss and the deadline of a lease of `ttl`, since timers ring 1 to
/// 20 ms late. It is at most a quarter of the ttl, or a short lease would be lost as soon as it is
/// won.
#[must_use]
pub fn slack(ttl: Duration) -> Duration {
    SLACK.max(ttl / 100).min(ttl / 4)
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
}
