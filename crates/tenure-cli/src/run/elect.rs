//! `tenure elect`: a candidate again and again. It decides what follows when a leadership has
//! ended, and holds nothing itself.

use std::time::Duration;

use tenure::Locks;
use tenure::runtime::Moment;

use super::Flow;
use super::verdict::{Termination, Times, Verdict};
use crate::duration::show;
use crate::exit::Exit;
use crate::process_tree::Status;
use crate::report::Outcome;
use crate::wait;
use crate::watch::Cause;

/// The pause after the first failure. It doubles with each further failure, up to the last one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_secs(60);
/// A CMD that ran for so long has worked: the next failure counts as the first.
const WORKED: Duration = Duration::from_secs(60);
/// The pause before the next candidature if nothing has failed.
const AFTER_LOSS: Duration = Duration::from_millis(100);

/// The next step when a leadership, or the way to it, has ended.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// The run ends as it says.
    End,
    /// A candidate again. The leadership was lost, by no failure of this host.
    Again,
    /// A candidate again, later: this failed here.
    Later(String),
}

impl Next {
    fn after(verdict: &Verdict) -> Self {
        let reason = || verdict.reason.clone().unwrap_or_default();
        match (verdict.outcome, verdict.end) {
            _ if verdict.is_asked_for => Self::End,
            (Outcome::Lost, _) => Self::Again,
            (_, Termination::Interrupt { .. }) => Self::End,
            (Outcome::Failed, Termination::Exit(Exit::UNAVAILABLE)) => Self::Later(reason()),
            _ if matches!(verdict.cause, Some(Cause::Unhealthy | Cause::SentryDied)) => {
                Self::Later(reason())
            }
            (Outcome::Ended, _) => match verdict.status {
                Some(Status::Code(0)) => Self::End,
                Some(Status::Code(code)) => Self::Later(format!("CMD ended with {code}")),
                Some(Status::Signal(number)) => {
                    Self::Later(format!("CMD was ended by {}", crate::signals::name(number)))
                }
                None => Self::Later(reason()),
            },
            _ => Self::End,
        }
    }
}

impl Flow<'_> {
    /// A candidate until CMD's work is done, or somebody asks for the end.
    pub(super) async fn elect(&mut self, locks: &Locks) -> Verdict {
        let mut pause = FIRST_PAUSE;
        loop {
            let began = self.runtime.now();
            let verdict = self.with_store(locks, began).await;
            let now = self.runtime.now();
            let next = match Next::after(&verdict) {
                Next::End => return verdict,
                Next::Again => now + AFTER_LOSS,
                Next::Later(why) => {
                    if self.has_worked(began, now) {
                        pause = FIRST_PAUSE;
                    }
                    let (keys, span) = (&self.plan.keys, show(pause));
                    let message = format!("{why}; a candidate for {keys} again in {span}");
                    self.plan.output.notice(message);
                    let next = now + pause;
                    pause = (pause * 2).min(LAST_PAUSE);
                    next
                }
            };
            self.forget();
            let sleeping = self.runtime.sleep_until(next);
            if let Err(signal) = wait::or_signal(sleeping, &mut self.signals, &self.job).await {
                return Verdict::interrupted(signal);
            }
        }
    }

    fn has_worked(&self, began: Moment, now: Moment) -> bool {
        let held = self.times.held.map(Duration::from_millis);
        held.is_some_and(|held| held >= WORKED) && now.since(began) >= WORKED
    }

    /// Begins anew. A release that was not answered goes on in the background.
    fn forget(&mut self) {
        if let Some(failure) = self.unreleased.take() {
            self.tell_unreleased(&failure);
        }
        (self.times, self.release_until) = (Times::now(), None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_work_that_is_done_ends_a_candidate() {
        let ended = |code| Verdict::ended(Status::Code(code));
        assert_eq!(Next::after(&ended(0)), Next::End);
        assert!(matches!(Next::after(&ended(3)), Next::Later(why) if why.contains('3')));
        let killed = Verdict::ended(Status::Signal(9));
        assert!(matches!(Next::after(&killed), Next::Later(why) if why.contains("SIGKILL")));
        assert_eq!(Next::after(&Verdict { is_asked_for: true, ..ended(3) }), Next::End);
        let lost = Verdict::lost("gone");
        assert_eq!(Next::after(&lost), Next::Again);
        let away = Verdict::failed(Exit::UNAVAILABLE, "away");
        assert_eq!(Next::after(&away), Next::Later("away".into()));
        assert_eq!(Next::after(&Verdict::failed(Exit::CONFIG, "wrong")), Next::End);
    }
}
