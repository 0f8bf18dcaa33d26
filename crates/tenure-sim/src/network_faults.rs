//! The faults of the network: what can happen to a call, a reply and a push. It never does what no
//! transport does: a request that was sent once and answered is not repeated later.
//!
//! TCP delivers a request once or not at all, but late: it lies in a socket's buffer while the
//! server is stopped, or is retransmitted when a cut has healed, long after its caller gave up.
//! A client that reconnects may send it again on the new link as long as nobody has answered.
//! So a copy arrives before the reply has reached the caller, or the caller never saw a reply.

use crate::rng::Rng;

/// The end of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is carried out and answered.
    Answered,
    /// The same, and a copy is carried out before the answer arrives.
    Doubled,
    /// It is lost on the way.
    Lost,
    /// It is carried out, and the answer is lost.
    Unanswered,
    /// It is carried out after this time, and the answer is lost.
    Late(u64),
    /// Both: at once, and again after this time; the answer is lost.
    UnansweredThenLate(u64),
}

/// Chances in a thousand, and times in microseconds.
#[derive(Debug, Clone)]
pub(crate) struct NetworkFaults {
    /// One way takes up to so long.
    pub(crate) delay: u64,
    pub(crate) slow_per_mille: u64,
    /// One way takes up to so long when it is slow.
    pub(crate) slow: u64,
    pub(crate) lost_per_mille: u64,
    pub(crate) unanswered_per_mille: u64,
    pub(crate) late_per_mille: u64,
    pub(crate) doubled_per_mille: u64,
    /// The latest that a request is carried out after it was sent.
    pub(crate) late: u64,
    pub(crate) push_lost_per_mille: u64,
    pub(crate) push_late_per_mille: u64,
    pub(crate) push_doubled_per_mille: u64,
    /// A call without an answer ends in an error after this time.
    pub(crate) call_timeout: u64,
}

impl NetworkFaults {
    /// Some of the faults, more or less of each.
    pub(crate) fn roll(rng: &mut Rng) -> Self {
        let rate = |rng: &mut Rng, most: u64| match rng.below(3) {
            0 => 0,
            1 => rng.between(1, most / 5),
            _ => rng.between(1, most),
        };
        Self {
            delay: rng.pick(&[300, 1_000, 5_000, 20_000]),
            slow_per_mille: rate(rng, 200),
            slow: rng.pick(&[50_000, 200_000, 800_000]),
            lost_per_mille: rate(rng, 100),
            unanswered_per_mille: rate(rng, 100),
            late_per_mille: rate(rng, 100),
            doubled_per_mille: rate(rng, 200),
            late: rng.pick(&[500_000, 3_000_000, 15_000_000]),
            push_lost_per_mille: rate(rng, 1_000),
            push_late_per_mille: rate(rng, 500),
            push_doubled_per_mille: rate(rng, 500),
            call_timeout: rng.pick(&[200_000, 700_000, 2_000_000]),
        }
    }

    /// The same distances, and nothing goes wrong.
    pub(crate) fn calm(&self) -> Self {
        Self {
            slow_per_mille: 0,
            lost_per_mille: 0,
            unanswered_per_mille: 0,
            late_per_mille: 0,
            doubled_per_mille: 0,
            push_lost_per_mille: 0,
            push_late_per_mille: 0,
            push_doubled_per_mille: 0,
            ..self.clone()
        }
    }

    /// How long one way takes.
    pub(crate) fn way(&self, rng: &mut Rng) -> u64 {
        if rng.per_mille(self.slow_per_mille) {
            return rng.between(self.delay, self.slow);
        }
        rng.between(self.delay / 10, self.delay)
    }

    pub(crate) fn fate(&self, rng: &mut Rng) -> Fate {
        let mut rest = rng.below(1_000);
        let late = |rng: &mut Rng| rng.between(self.delay, self.late);
        let mut is = |rate: u64| {
            let hit = rest < rate;
            rest = rest.saturating_sub(rate);
            hit
        };
        if is(self.lost_per_mille) {
            Fate::Lost
        } else if is(self.unanswered_per_mille) {
            Fate::Unanswered
        } else if is(self.late_per_mille) {
            if rng.per_mille(300) {
                Fate::UnansweredThenLate(late(rng))
            } else {
                Fate::Late(late(rng))
            }
        } else if is(self.doubled_per_mille) {
            Fate::Doubled
        } else {
            Fate::Answered
        }
    }
}
