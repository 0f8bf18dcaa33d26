//! The first contact of a run with its store: it is opened, and answers a first request. A run that
//! may wait for the lock waits for the store as well. The contact is tried again and again, and the
//! lock is asked for only at a store that has answered.

use std::time::Duration;

use tenure::runtime::{Moment, Runtime};
use tenure::{Error, ErrorKind, Locks};

use crate::duration::{show, show_seconds};
use crate::plan::Plan;
use crate::progress::Progress;

/// The first attempt has so long at least, however short the wait is: a name is looked up, and a
/// connection is made.
const FIRST_MIN: Duration = Duration::from_secs(1);
/// The pause after the first failure. It doubles with each further failure, up to the last one.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LAST_PAUSE: Duration = Duration::from_secs(2);

/// The wait for the store, which is a part of the wait for the lock.
pub(super) struct Contact<'a> {
    plan: &'a Plan,
    runtime: &'a dyn Runtime,
    /// When the wait began.
    began: Moment,
}

impl<'a> Contact<'a> {
    pub(super) fn new(plan: &'a Plan, runtime: &'a dyn Runtime, began: Moment) -> Self {
        Self { plan, runtime, began }
    }

    /// Opens the store. Without a limit of the wait it ends with the store, or with an error that
    /// does not pass; with a limit also when that is over, and after one attempt if there is no
    /// wait at all.
    pub(super) async fn open(&self) -> tenure::Result<Locks> {
        let Self { plan, runtime, .. } = *self;
        let open = |limit| plan.store.open_within(limit, plan.store_timeout, runtime);
        self.until_answered(None, open).await
    }

    /// A store that was opened has failed with `error` before it gave the lock. Ends with its next
    /// answer, or as [`open`](Self::open) does.
    pub(super) async fn again(&self, locks: &Locks, error: Error) -> tenure::Result<()> {
        let mutex = locks.mutex(self.plan.keys.first());
        let look = async |limit: Duration| {
            let until = self.runtime.now() + limit;
            tokio::select! {
                biased;
                seen = mutex.inspect() => seen.map(drop),
                // Its own limit is the store's, which may be longer than what is left of the wait.
                () = self.runtime.sleep_until(until) => Err(error.clone()),
            }
        };
        self.until_answered(Some(error.clone()), look).await
    }

    /// Tries until an attempt succeeds, the first time at once unless one has failed before.
    async fn until_answered<T>(
        &self,
        mut before: Option<Error>,
        attempt: impl AsyncFn(Duration) -> tenure::Result<T>,
    ) -> tenure::Result<T> {
        let Self { plan, runtime, began } = *self;
        let is_once = plan.wait == Some(Duration::ZERO);
        let end = plan.wait.filter(|_| !is_once).map(|wait| began + wait);
        let telling = Telling { plan, began, progress: Progress::new(plan.output) };
        let (mut pause, mut told_at) = (FIRST_PAUSE, None);
        loop {
            if let Some(error) = &before {
                let now = runtime.now();
                telling.failed(error, now, &mut told_at);
                let next = now + pause;
                runtime.sleep_until(end.map_or(next, |end| next.min(end))).await;
                pause = (pause * 2).min(LAST_PAUSE);
                if is_over(end, runtime.now()) {
                    return Err(error.clone());
                }
            }
            let least = if before.is_none() { FIRST_MIN } else { Duration::ZERO };
            let left = end.map_or(Duration::MAX, |end| end.since(runtime.now()).max(least));
            let error = match attempt(left.min(plan.store_timeout)).await {
                Ok(answer) => {
                    if before.is_some() {
                        telling.reached(runtime.now());
                    }
                    return Ok(answer);
                }
                Err(error) => error,
            };
            if is_once || !passes(&error) {
                return Err(error);
            }
            if is_over(end, runtime.now()) {
                // An earlier failure tells more than "the time is over".
                return Err(before.unwrap_or(error));
            }
            before = Some(error);
        }
    }

    /// Whether a run that has failed with this may still wait for its store.
    pub(super) fn goes_on_after(&self, error: &Error) -> bool {
        let end = self.plan.wait.map(|wait| self.began + wait);
        passes(error) && !is_over(end, self.runtime.now())
    }
}

/// Whether the store may come, or come back.
fn passes(error: &Error) -> bool {
    error.kind() == ErrorKind::Unavailable && !error.is_of_replica()
}

fn is_over(end: Option<Moment>, now: Moment) -> bool {
    end.is_some_and(|end| now >= end)
}

/// The line about the store that is waited for.
struct Telling<'a> {
    plan: &'a Plan,
    began: Moment,
    progress: Progress,
}

impl Telling<'_> {
    /// The first failure is told at once, the others at the interval of the line.
    fn failed(&self, error: &Error, now: Moment, told_at: &mut Option<Moment>) {
        let due = told_at.is_none_or(|told| now >= told + self.progress.interval());
        if !due {
            return;
        }
        let waited = match told_at {
            None => String::new(),
            Some(_) => {
                format!(" for {}", show_seconds(now.since(self.began)))
            }
        };
        self.progress.show(&format!("waiting for the store{waited}: {error}"));
        *told_at = Some(now);
    }

    fn reached(self, now: Moment) {
        let Self { plan, began, progress } = self;
        // Its line is wiped before the next.
        drop(progress);
        let text = || format!("the store is reached again after {}", show(now.since(began)));
        plan.output.detail("reached", text);
    }
}
