//! The end of a run at its store: the lock is given back, and a claim that came to nothing is
//! withdrawn. The user waits for the store once. Requests that are not answered by then are told,
//! and they never change how CMD ended.

use std::sync::Arc;
use std::time::Duration;

use tenure::{ErrorKind, Locks, Outcome as JobOutcome};

use super::Flow;
use super::verdict::Verdict;
use crate::duration::show;
use crate::exit::Exit;
use crate::lock::Grip;
use crate::report::Outcome;
use crate::wait;

/// Time for a withdrawal once the key was busy until the limit, or a signal has ended the wait.
/// A store that takes longer is silent, and silence is not "busy".
const WITHDRAWAL: Duration = Duration::from_secs(2);
/// A store that has not answered for so long was asked over a new connection too: the client of a
/// server gives a dead one up 3 s after the first request.
const SILENCE: Duration = Duration::from_millis(3_500);
/// Time for a withdrawal at a store that was silent for longer: it may just answer again.
const LAST_TRY: Duration = Duration::from_millis(500);
/// Time for requests that are left after a loss. Nothing that they do helps the user, who waits.
const AFTER_LOSS: Duration = Duration::from_millis(500);
/// The shortest time for which a waiter's place in the queue outlives it.
const PLACE_MIN: Duration = Duration::from_secs(1);

impl Flow<'_> {
    /// Gives the lock back, with the outcome of a job. A release that is not answered goes on in
    /// [`Flow::close`]. Answers what there is to say if the lock was not ours any more.
    pub(super) async fn release(&mut self, grip: Grip, outcome: JobOutcome) -> Option<String> {
        let until = self.runtime.now() + self.plan.store_timeout;
        self.release_until = Some(until);
        let runtime = Arc::clone(&self.runtime);
        let releasing = async {
            tokio::select! {
                biased;
                released = grip.end(outcome) => Some(released),
                () = runtime.sleep_until(until) => None,
            }
        };
        match wait::or_signal(releasing, &mut self.signals, &self.job).await {
            Ok(Some(Err(e))) if e.kind() == ErrorKind::Unavailable => {
                self.unreleased = Some(e.to_string());
            }
            // A job whose run was taken away: its outcome is not on record.
            Ok(Some(Err(e))) if e.kind() == ErrorKind::Lost => {
                let message = e.to_string();
                self.plan.output.notice(&message);
                return Some(message);
            }
            Ok(Some(Err(e))) => self.tell_unreleased(&e.to_string()),
            Ok(Some(Ok(true))) => {
                let (keys, held) = (&self.plan.keys, self.times.held.unwrap_or_default());
                let held = show(Duration::from_millis(held));
                self.plan.output.detail("released", || format!("released {keys} after {held}"));
            }
            // Taken away since the last renewal, and CMD has ended before the next.
            Ok(Some(Ok(false))) => {
                let message = format!(
                    "{} was taken away before CMD ended: another may have run beside it",
                    self.plan.keys
                );
                self.plan.output.notice(&message);
                return Some(message);
            }
            Ok(None) | Err(_) => {}
        }
        None
    }

    /// Waits until the store has answered all that it was asked. A signal cuts that short. The
    /// user is told what the store may still do afterwards.
    pub(super) async fn close(&mut self, locks: &Locks, mut verdict: Verdict) -> Verdict {
        let is_busy = verdict.outcome == Outcome::Busy;
        let time = self.time_to_close(verdict.outcome);
        let (signals, job) = (&mut self.signals, &self.job);
        let closed = wait::for_answers(locks, time, signals, job, &*self.runtime).await;
        if let Some(signal) = closed.signal.filter(|_| is_busy) {
            verdict = Verdict::interrupted(signal);
        }
        if !closed.is_answered {
            return self.left_at(locks, verdict);
        }
        let is_busy = verdict.outcome == Outcome::Busy;
        if let Some(message) = verdict.reason.as_ref().filter(|_| is_busy) {
            self.plan.output.decline(Exit::BUSY, message);
        }
        verdict
    }

    fn time_to_close(&self, outcome: Outcome) -> Duration {
        let time = match (self.release_until, outcome) {
            (Some(until), _) => until.since(self.runtime.now()),
            (None, Outcome::Failed) => {
                let waited = Duration::from_millis(self.times.waited.unwrap_or(0));
                SILENCE.saturating_sub(waited).max(LAST_TRY)
            }
            (None, Outcome::Lost) => AFTER_LOSS,
            (None, _) => WITHDRAWAL,
        };
        time.min(self.plan.store_timeout)
    }

    /// The store has not answered everything.
    fn left_at(&mut self, locks: &Locks, verdict: Verdict) -> Verdict {
        if self.times.fences.is_some() {
            let unreleased = self.unreleased.take();
            let (store, keys) = (locks.store_name(), &self.plan.keys);
            let unanswered = || format!("{store} has not answered the release of {keys}");
            self.tell_unreleased(&unreleased.unwrap_or_else(unanswered));
            return verdict;
        }
        let output = self.plan.output;
        let verdict = match verdict.reason {
            Some(busy) if verdict.outcome == Outcome::Busy => {
                let message = format!(
                    "{busy}; since then the store has not answered; is it up, and reachable from \
                     here?"
                );
                output.fail(Exit::UNAVAILABLE, &message);
                Verdict::failed(Exit::UNAVAILABLE, message)
            }
            _ => verdict,
        };
        let (keys, span) = (&self.plan.keys, show(self.plan.ttl.max(PLACE_MIN)));
        let left = format!(
            "a request that was not answered may still count at {}: {keys} is then taken for up \
             to {span}",
            locks.store_name()
        );
        output.error(&left);
        verdict.with_reasons([left])
    }

    pub(super) fn tell_unreleased(&self, what: &str) {
        let ttl = show(self.plan.ttl);
        self.plan.output.notice(format!("{what}; the key is free in {ttl} at the latest"));
    }
}
