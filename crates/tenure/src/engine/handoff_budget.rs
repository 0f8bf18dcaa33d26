//! How long a process keeps a key to itself while other processes wait: a few local handoffs,
//! then it is the next one's.

use std::time::Duration;

use crate::runtime::Moment;

/// A process's turn with a key, from a grant by the store on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HandoffBudget {
    since: Moment,
    handoffs: u32,
}

/// How long a turn may last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HandoffLimit {
    pub(crate) handoffs: u32,
    pub(crate) span: Duration,
}

impl Default for HandoffLimit {
    fn default() -> Self {
        Self { handoffs: 16, span: Duration::from_millis(100) }
    }
}

impl HandoffBudget {
    pub(crate) fn first(now: Moment) -> Self {
        Self { since: now, handoffs: 0 }
    }

    /// The turn after one more local handoff at `now`; `None`: it is the next process's.
    pub(crate) fn next(self, now: Moment, limit: HandoffLimit) -> Option<Self> {
        let lasts = self.handoffs < limit.handoffs && now.since(self.since) < limit.span;
        lasts.then_some(Self { handoffs: self.handoffs + 1, ..self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_ends_after_its_handoffs_or_its_span() {
        let limit = HandoffLimit { handoffs: 2, span: Duration::from_millis(100) };
        let at = |ms: u64| Moment::from_micros(ms * 1000);
        let budget = HandoffBudget::first(at(0));
        let last = budget.next(at(50), limit).and_then(|budget| budget.next(at(99), limit));
        assert_eq!(last, Some(HandoffBudget { since: at(0), handoffs: 2 }));
        assert_eq!(last.and_then(|budget| budget.next(at(99), limit)), None);
        assert_eq!(budget.next(at(100), limit), None);
        assert_eq!(budget.next(at(0), HandoffLimit { handoffs: 0, ..limit }), None);
    }
}
