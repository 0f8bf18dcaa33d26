//! Decides when a server may be dialled. All links to one server pass here one at a time, so that
//! an outage costs the same few attempts however many links and callers there are: at most five in
//! its first two seconds, then about one a second.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::protocol::Backoff;
use crate::runtime::{Moment, Runtime, random_u32};

use super::failure::Failure;

/// The shortest waits that these two allow, one after the other, are 0.2, 0.4, 0.5, 0.5 and
/// 0.5 s: together with the attempt at once, five within the first two seconds.
const FIRST_WAIT: Duration = Duration::from_millis(400);
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// A link that lived for less counts as a failed attempt: a server may accept and then cut.
const STABLE: Duration = Duration::from_secs(2);

pub(crate) struct DialBackoff {
    runtime: Arc<dyn Runtime>,
    /// Held during an attempt and the wait before it.
    fair: tokio::sync::Mutex<()>,
    state: Mutex<State>,
    /// Ends the wait before an attempt.
    renewed: Notify,
}

struct State {
    backoff: Backoff,
    /// Counts failed attempts, so that links that waited for one share its failure.
    failures: u64,
    /// The last failure, and when the next attempt may be made; `None` while all is well.
    down: Option<(Failure, Moment)>,
}

impl DialBackoff {
    pub(crate) fn new(runtime: Arc<dyn Runtime>) -> Self {
        let state = State { backoff: fresh(), failures: 0, down: None };
        let (fair, renewed) = (tokio::sync::Mutex::default(), Notify::new());
        Self { runtime, fair, state: Mutex::new(state), renewed }
    }

    /// Makes one attempt when it may be made, or shares the failure of another link's attempt.
    pub(crate) async fn attempt<T, F, A>(&self, attempt: A) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
        A: FnOnce() -> F,
    {
        let seen = self.state().failures;
        let _turn = self.fair.lock().await;
        // Before the look, so that no end of a wait is missed.
        let renewed = self.renewed.notified();
        if let Some(not_before) = self.turn_comes(seen)? {
            tokio::select! {
                biased;
                () = renewed => {}
                () = self.runtime.sleep_until(not_before) => {}
            }
        }
        self.make(attempt).await
    }

    /// Makes one attempt at once; `None`: now is not the time for one, or another is under way.
    pub(crate) async fn attempt_now<T, F, A>(&self, attempt: A) -> Option<Result<T, Failure>>
    where
        F: Future<Output = Result<T, Failure>>,
        A: FnOnce() -> F,
    {
        let _turn = self.fair.try_lock().ok()?;
        if self.not_before().is_some_and(|not_before| self.runtime.now() < not_before) {
            return None;
        }
        Some(self.make(attempt).await)
    }

    async fn make<T, F, A>(&self, attempt: A) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
        A: FnOnce() -> F,
    {
        let verdict = attempt().await;
        match &verdict {
            Ok(_) => self.state().down = None,
            Err(failure) => self.shut(failure.clone()),
        }
        verdict
    }

    /// A link has ended after it had lived for so long.
    pub(crate) fn fell(&self, lived: Duration, failure: Failure) {
        if lived < STABLE {
            self.shut(failure);
            return;
        }
        let mut state = self.state();
        // An attempt may have failed before this link noticed the same outage.
        if state.down.is_none() {
            state.backoff = fresh();
        }
    }

    /// Another server is there from now on: the failures of the former one do not count, and
    /// nobody waits any more because of them.
    pub(crate) fn renew(&self) {
        {
            let mut state = self.state();
            state.backoff = fresh();
            state.down = None;
        }
        self.renewed.notify_waiters();
    }

    /// When the next attempt may be made; `None`: at any time.
    pub(crate) fn not_before(&self) -> Option<Moment> {
        self.state().down.as_ref().map(|(_, not_before)| *not_before)
    }

    /// The failure of a late attempt that would be refused again, such as for its password.
    pub(crate) fn refusal(&self) -> Option<Failure> {
        let now = self.runtime.now();
        self.state().down.as_ref().and_then(|(failure, not_before)| {
            let holds = now < *not_before && !failure.class().may_pass();
            holds.then(|| failure.clone())
        })
    }

    /// Why there is no connection, if an attempt has failed.
    pub(crate) fn last_failure(&self) -> Option<Failure> {
        self.state().down.as_ref().map(|(failure, _)| failure.clone())
    }

    /// The end of the wait, or the failure of an attempt since `seen`.
    fn turn_comes(&self, seen: u64) -> Result<Option<Moment>, Failure> {
        let state = self.state();
        match &state.down {
            Some((failure, _)) if state.failures != seen => Err(failure.clone()),
            Some((_, not_before)) => Ok(Some(*not_before)),
            None => Ok(None),
        }
    }

    fn shut(&self, failure: Failure) {
        let random = random_u32(&*self.runtime);
        let now = self.runtime.now();
        let mut state = self.state();
        state.failures += 1;
        let not_before = now + state.backoff.next(random);
        state.down = Some((failure, not_before));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn fresh() -> Backoff {
    Backoff::new(FIRST_WAIT, LONGEST_WAIT)
}

impl fmt::Debug for DialBackoff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DialBackoff").field("down", &self.state().down).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime;
    use crate::store::redis::client::failure::Cause;

    fn refused() -> Failure {
        Failure::unsent(Cause::StillConnecting { last: None })
    }

    #[test]
    fn a_link_that_notices_an_outage_late_does_not_begin_its_backoff_anew() {
        let backoff = DialBackoff::new(runtime::machine().expect("a runtime"));
        let wait = |backoff: &DialBackoff| {
            let now = backoff.runtime.now();
            backoff.fell(Duration::ZERO, refused());
            backoff.not_before().expect("it is down").since(now)
        };
        (0..3).for_each(|_| _ = wait(&backoff));
        backoff.fell(STABLE, refused());
        assert!(wait(&backoff) >= LONGEST_WAIT / 2, "the fourth wait is a long one");
        // While all is well, the end of a link that lived is the begin of an outage.
        backoff.renew();
        (0..3).for_each(|_| _ = wait(&backoff));
        backoff.state().down = None;
        backoff.fell(STABLE, refused());
        assert!(backoff.state().backoff.next(0) <= FIRST_WAIT);
    }
}
