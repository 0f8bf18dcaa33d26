//! The rounds in which heartbeats travel: which of them go out together, and when the next is due.
//! A heartbeat may come early, never late.

use std::time::Duration;

use crate::runtime::Moment;

use super::schedule::{Timer, TimerId};

/// The heartbeats that stay planned while others go out.
#[derive(Debug)]
pub(super) struct Rounds {
    now: Moment,
    /// When, and at what interval their waiter sends them; in order of time.
    planned: Vec<(Moment, Duration)>,
}

impl Rounds {
    /// Of what is entered in the schedule, in order of time.
    pub(super) fn of(entered: &[(Moment, TimerId, Timer)], now: Moment) -> Self {
        let mut rounds = Self { now, planned: Vec::new() };
        for (at, _, timer) in entered {
            if let Timer::Waiter(waiter) = timer {
                rounds.plan(*at, waiter.lease_options.heartbeat());
            }
        }
        rounds
    }

    fn plan(&mut self, at: Moment, every: Duration) {
        // Those of one round are many, and one of them says it for all.
        if !self.takes_along(at, every) && self.planned.last() != Some(&(at, every)) {
            self.planned.push((at, every));
        }
    }

    /// Whether a heartbeat that is due at `at` goes out now, with whatever does.
    pub(super) fn takes_along(&self, at: Moment, every: Duration) -> bool {
        at <= self.now + every / 4
    }

    /// When a waiter whose heartbeat goes out now sends the next: in the last round that is planned
    /// at its interval, unless that comes too soon to be worth it.
    ///
    /// Waiters that began apart would stay apart for ever otherwise, and cost the store a call
    /// for each of their rounds. Of two rounds one always finds the other far enough ahead: the
    /// larger gap between them is half the interval or more, and the rest is for a keepalive task
    /// that comes late. So all of one interval become one round before two intervals have passed,
    /// and that costs nobody more than two heartbeats too many.
    pub(super) fn next(&self, every: Duration) -> Moment {
        let (soonest, latest) = (self.now + every * 3 / 8, self.now + every);
        let count = self.planned.partition_point(|(at, _)| *at <= latest);
        let mut known = self.planned[..count].iter().rev().take_while(|(at, _)| *at >= soonest);
        known.find(|(_, other)| *other == every).map_or(latest, |(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const EVERY: Duration = Duration::from_secs(1);
    const BEGIN: u64 = 1_000_000_000;

    /// Who beats when: the waiters' plans after the rounds until `end`, and how many rounds each
    /// of them was in. The keepalive task is late as often as `late` says.
    fn beat(plans: &mut [(Moment, usize)], end: Moment, late: &mut impl Iterator<Item = u64>) {
        while let Some(first) = plans.iter().map(|(at, _)| *at).min().filter(|at| *at < end) {
            let now = first + Duration::from_micros(late.next().unwrap_or(0));
            let mut rounds = Rounds { now, planned: Vec::new() };
            let mut all: Vec<_> = plans.iter().map(|(at, _)| *at).collect();
            all.sort_unstable();
            all.into_iter().for_each(|at| rounds.plan(at, EVERY));
            for (at, beats) in plans.iter_mut() {
                if rounds.takes_along(*at, EVERY) {
                    (*at, *beats) = (rounds.next(EVERY), *beats + 1);
                    assert!(*at <= now + EVERY, "later than its promise");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn all_come_together_within_two_intervals(
            phases in prop::collection::vec(0..1_000_000_u64, 1..40),
            late in prop::collection::vec(0..50_000_u64, 200),
        ) {
            let at = |phase: &u64| Moment::from_micros(BEGIN + phase);
            let mut plans: Vec<_> = phases.iter().map(|phase| (at(phase), 0)).collect();
            let mut late = late.into_iter();
            let end = Moment::from_micros(BEGIN) + EVERY * 2;
            beat(&mut plans, end, &mut late);
            let rounds: BTreeSet<_> = plans.iter().map(|(at, _)| *at).collect();
            prop_assert_eq!(rounds.len(), 1, "still apart: {:?}", rounds);
            prop_assert!(plans.iter().all(|(_, beats)| *beats <= 4), "too many: {:?}", plans);

            // And it costs no heartbeat from there on.
            let before = plans.clone();
            beat(&mut plans, end + EVERY * 10, &mut late);
            for ((_, before), (_, after)) in before.iter().zip(&plans) {
                prop_assert!((9..=11).contains(&(after - before)), "{} beats", after - before);
            }
        }
    }

    #[test]
    fn a_round_at_another_interval_is_not_joined() {
        let now = Moment::from_micros(BEGIN);
        let mut rounds = Rounds { now, planned: Vec::new() };
        rounds.plan(now + EVERY * 5 / 8, EVERY);
        rounds.plan(now + EVERY * 7 / 8, EVERY * 3 / 2);
        assert_eq!(rounds.next(EVERY), now + EVERY * 5 / 8);
        assert_eq!(rounds.next(EVERY * 3 / 2), now + EVERY * 7 / 8);
        assert_eq!(rounds.next(EVERY * 5 / 4), now + EVERY * 5 / 4);
    }
}
