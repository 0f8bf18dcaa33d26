//! Runs of jobs: one begins in a tick of the store's clock, and one that is on record as ok was
//! held to its end.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tenure::protocol::{Op, Outcome};

use crate::kind::{Kind, attempt_of};

use super::rule::Rule;
use super::truth::{Change, Truth};
use super::{Book, Judge, micros};

/// The runs that a server has begun, and those of them that were handed to programs.
#[derive(Debug, Default)]
pub(super) struct Runs {
    begins: BTreeMap<u64, Begin>,
    handed: BTreeSet<u64>,
    /// On record as ok.
    ok: BTreeSet<u64>,
}

/// The begin of a run.
#[derive(Debug, Clone, Copy)]
struct Begin {
    /// The true time.
    at: u64,
    /// The time of the store's wall clock.
    wall: u64,
}

impl Judge {
    /// A server has carried out a step on a key that was in this state before.
    pub(super) fn follow_runs(&self, runs: &mut Runs, before: &Truth, change: &Change<'_>) {
        let now = self.world.now();
        let held = |owner| before.holding(owner).is_some_and(|h| h.until > now);
        if let Op::Begin { acquire, .. } = change.op {
            let is_held = change.after.holders().iter().any(|h| h.owner == acquire.owner);
            let number = attempt_of(&acquire.label, change.key);
            if let Some(number) = number.filter(|_| is_held && !held(&acquire.owner)) {
                runs.begins.insert(number, Begin { at: now, wall: change.clock.wall(now) });
            }
        }
        let Some(last) = change.after.runs().map(|runs| &runs.last) else { return };
        let is_ok = last.end.as_ref().is_some_and(|end| end.outcome == Outcome::Ok);
        let Some(number) = attempt_of(&last.label, change.key).filter(|_| is_ok) else { return };
        if runs.ok.insert(number) && !held(&last.owner) {
            self.fail(Rule::Once, || format!("a{number} is on record as ok without its lease"));
        }
    }

    /// A program was handed a guard. If it is that of a run, no other may have begun in its tick,
    /// but for one that failed and may be retried.
    pub(super) fn judge_run(&self, book: &mut Book, number: u64) {
        let Book { attempts, runs, forgotten, .. } = book;
        let wish = &attempts[&number].wish;
        let (Kind::Run { every, .. }, true) = (wish.kind, runs.begins.contains_key(&number)) else {
            return;
        };
        let same_key = |other: &&u64| attempts[other].wish.key == wish.key;
        for other in runs.handed.iter().filter(same_key) {
            let mut pair = [number, *other].map(|n| (runs.begins[&n], n));
            pair.sort_by_key(|(begin, _)| begin.at);
            let [(first, one), (second, two)] = pair;
            // That a run under way keeps others out is for the rule of exclusion.
            let retries = matches!(attempts[&two].wish.kind, Kind::Run { retry_failed: true, .. });
            let may_retry = retries && !runs.ok.contains(&one);
            let was_forgotten = forgotten.is_some_and(|at| at >= first.at);
            if first.tick(every) == second.tick(every) && !may_retry && !was_forgotten {
                self.fail(Rule::Once, || {
                    format!("a{one} and a{two} have begun in one tick of {}", wish.key)
                });
            }
        }
        runs.handed.insert(number);
    }
}

impl Begin {
    fn tick(self, every: Duration) -> u64 {
        self.wall / micros(every)
    }
}
