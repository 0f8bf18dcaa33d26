//! How bad the network is: what may befall a call, a reply and a push. What it never does is
//! what no transport does: a request that was sent once and answered is not repeated later.
//!
//! TCP delivers a request once or not at all, but late: it lies in a socket's buffer while the
//! server is stopped, or is retransmitted when a cut has healed, long after its caller gave up.
//! A client that reconnects may send it again on the new link as long as nobody has answered.
//! So a copy arrives before the reply has reached the caller, or the caller never saw a reply.

use crate::dice::Dice;

/// What happens to a call.
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
pub(crate) struct Weather {
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

impl Weather {
    /// Some of the faults, more or less of each.
    pub(crate) fn roll(dice: &mut Dice) -> Self {
        let rate = |dice: &mut Dice, most: u64| match dice.below(3) {
            0 => 0,
            1 => dice.between(1, most / 5),
            _ => dice.between(1, most),
        };
        Self {
            delay: dice.pick(&[300, 1_000, 5_000, 20_000]),
            slow_per_mille: rate(dice, 200),
            slow: dice.pick(&[50_000, 200_000, 800_000]),
            lost_per_mille: rate(dice, 100),
            unanswered_per_mille: rate(dice, 100),
            late_per_mille: rate(dice, 100),
            doubled_per_mille: rate(dice, 200),
            late: dice.pick(&[500_000, 3_000_000, 15_000_000]),
            push_lost_per_mille: rate(dice, 1_000),
            push_late_per_mille: rate(dice, 500),
            push_doubled_per_mille: rate(dice, 500),
            call_timeout: dice.pick(&[200_000, 700_000, 2_000_000]),
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
    pub(crate) fn way(&self, dice: &mut Dice) -> u64 {
        if dice.per_mille(self.slow_per_mille) {
            return dice.between(self.delay, self.slow);
        }
        dice.between(self.delay / 10, self.delay)
    }

    pub(crate) fn fate(&self, dice: &mut Dice) -> Fate {
        let mut rest = dice.below(1_000);
        let late = |dice: &mut Dice| dice.between(self.delay, self.late);
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
            if dice.per_mille(300) {
                Fate::UnansweredThenLate(late(dice))
            } else {
                Fate::Late(late(dice))
            }
        } else if is(self.doubled_per_mille) {
            Fate::Doubled
        } else {
            Fate::Answered
        }
    }
}
