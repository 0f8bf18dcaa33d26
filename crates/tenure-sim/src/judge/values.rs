//! The values of leaders as others see them: each beside the label and the fence of its own leader.
//! A value or a term is never seen after a later one.

use std::collections::BTreeMap;
use std::ops::Bound;

use tenure::{Fence, Key, Leader};

use crate::kind::{Kind, attempt_of, value};

use super::Judge;
use super::rule::Rule;

/// The terms and revisions of each key that were seen, and the true time of the first sight.
pub(super) type Values = BTreeMap<Key, BTreeMap<(Fence, u64), u64>>;

impl Judge {
    /// A program sees a leader; it began to look at the true time `began`.
    pub(crate) fn saw(&self, key: &Key, leader: &Leader, began: u64) {
        let mut book = self.book();
        let attempt = attempt_of(leader.label(), key).and_then(|number| book.attempts.get(&number));
        let Some(attempt) = attempt else { return };
        let text = leader.value();
        let revision = text.rsplit(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0);
        let leads = attempt.wish.kind == Kind::Leader;
        let own = if leads { value(leader.label().as_str(), revision) } else { String::new() };
        if text != own {
            self.fail(Rule::Value, || format!("{leader:?} has the value of another"));
        }
        if !leads {
            return;
        }
        let seen = book.values.entry(key.clone()).or_default();
        let place = (leader.term(), revision);
        let mut later = seen.range((Bound::Excluded(place), Bound::Unbounded));
        if let Some(((term, revision), _)) = later.find(|(_, since)| **since < began) {
            let rule = if *term == leader.term() { Rule::Value } else { Rule::Fence };
            self.fail(rule, || format!("{leader:?} is seen after {term} with {revision}"));
        }
        seen.entry(place).or_insert(self.world.now());
    }

    /// A leader is told that others see its value with this revision.
    pub(crate) fn has_value(&self, number: u64, revision: u64) {
        let mut book = self.book();
        let Some(fence) = book.leases.get(&number).map(|lease| lease.fence) else { return };
        let key = book.attempts[&number].wish.key.clone();
        let seen = book.values.entry(key).or_default();
        seen.entry((fence, revision)).or_insert(self.world.now());
    }
}
