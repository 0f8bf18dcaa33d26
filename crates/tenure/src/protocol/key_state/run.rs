//! A run begins and ends. Of the runs of a key, the last one is kept on record.

use std::time::Duration;

use crate::types::{Owner, StoreTime};

use super::super::request::{Acquire, Reply};
use super::super::runs::{LastRun, Outcome, Run, RunEnd, Runs, Ticks};
use super::{KeyState, StepContext};

impl KeyState {
    /// Acquires, if a run is due, and puts that on record.
    pub(super) fn begin(&mut self, acquire: &Acquire, ticks: &Ticks, at: StepContext) -> Reply {
        let Some(now) = ticks.now(at.wall) else {
            let why = "the clocks of the two hosts are too far apart for ticks of this length";
            return Reply::Refused(why.into());
        };
        let holds = self.holders.iter().any(|h| h.owner == acquire.owner);
        let own = self.runs.as_ref().filter(|runs| runs.last.owner == acquire.owner);
        let is_own = own.is_some();
        let is_repeated = holds && own.is_some_and(|runs| runs.last.end.is_none());
        if !is_repeated && (is_own || !self.is_due(ticks, now)) {
            return self.last_run(at.now).map_or(Reply::Gone, |run| Reply::AlreadyRan(run.into()));
        }
        // A grant from the queue would come later than the tick that was looked at.
        let reply = self.acquire(&Acquire { queue: None, ..acquire.clone() }, at);
        if matches!(reply, Reply::Granted { .. }) && !is_repeated {
            let before = self.runs.take().map(|runs| runs.last);
            let (owner, label) = (acquire.owner.clone(), acquire.label.clone());
            let begun = before.as_ref().map_or(now, |before| before.begun.max(now));
            let last = Run { owner, label, begun, every: ticks.every, end: None };
            self.runs = Some(Box::new(Runs { last, before }));
        }
        reply
    }

    /// Puts the outcome of a run on record, if its holder has the lease, and releases.
    pub(super) fn finish(
        &mut self,
        owner: &Owner,
        outcome: &Outcome,
        tombstone: Option<Duration>,
        at: StepContext,
    ) -> Reply {
        let holds = self.holders.iter().any(|h| h.owner == *owner);
        let runs = self.runs.as_mut().filter(|runs| runs.last.owner == *owner);
        let mut is_recorded = false;
        if let Some(runs) = runs {
            if holds && runs.last.end.is_none() {
                let took = Duration::from_micros(at.wall.saturating_sub(runs.last.begun));
                runs.last.end = Some(RunEnd { outcome: outcome.clone(), took });
                runs.before = None;
            }
            is_recorded = runs.last.end.is_some();
        }
        let released = self.release(owner, Duration::ZERO, tombstone, at.now);
        if is_recorded { Reply::Finished } else { released }
    }

    /// A run that is withdrawn was never begun: its holder had no answer.
    pub(super) fn withdraw_run(&mut self, owner: &Owner) {
        let is_open = |runs: &Runs| runs.last.owner == *owner && runs.last.end.is_none();
        if let Some(runs) = self.runs.take_if(|runs| is_open(runs)) {
            let last = runs.before;
            self.runs = last.map(|last| Box::new(Runs { last, before: None }));
        }
    }

    /// The last run, as it is shown.
    pub(super) fn last_run(&self, now: StoreTime) -> Option<LastRun> {
        let last = &self.runs.as_ref()?.last;
        let holds = |h: &super::Holder| h.owner == last.owner && h.expires > now;
        Some(last.view(self.holders.iter().any(holds)))
    }

    /// The end of the time for which the record of the last run is needed.
    pub(super) fn run_until(&self, at: StepContext) -> StoreTime {
        let over_by = self.runs.as_ref().map_or(0, |runs| runs.last.over_by());
        at.now + Duration::from_micros(over_by.saturating_sub(at.wall))
    }

    fn is_due(&self, ticks: &Ticks, now: u64) -> bool {
        let Some(last) = self.runs.as_ref().map(|runs| &runs.last) else { return true };
        let is_running = self.holders.iter().any(|h| h.owner == last.owner);
        let has_failed = match &last.end {
            Some(end) => matches!(end.outcome, Outcome::Failed(_)),
            None => !is_running,
        };
        let is_open = last.end.is_none() && is_running;
        !is_open && (ticks.is_over(last.begun, now) || (ticks.retry_failed && has_failed))
    }
}
