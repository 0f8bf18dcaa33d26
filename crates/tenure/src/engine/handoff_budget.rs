//! How long a process may keep a key to itself while other processes wait: a few handoffs, then
//! the next process has it.

use std::time::Duration;

use crate::runtime::Moment;

/// The handoffs of a key within one process since its last grant by the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HandoffBudget {
    since: Moment,
    handoffs: u32,
}

/// The limits of a budget, of which the first that is reached counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HandoffLimit {
    pub(super) handoffs: u32,
    pub(super) span: Duration,
}

impl Default for HandoffLimit {
    fn default() -> Self {
        Self { handoffs: 16, span: Duration::from_millis(100) }
    }
}

impl HandoffBudget {
    pub(super) fn first(now: Moment) -> Self {
        Self { since: now, handoffs: 0 }
    }

    /// The budget after one more handoff at `now`; `None` if it is used up.
    pub(super) fn next(self, now: Moment, limit: HandoffLimit) -> Option<Self> {
        let lasts = self.handoffs < limit.handoffs && now.since(self.since) < limit.span;
        lasts.then_some(Self { handoffs: self.handoffs + 1, ..self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_used_up_by_handoffs_or_by_time() {
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
