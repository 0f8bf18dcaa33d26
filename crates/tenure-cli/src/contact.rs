//! The first contact of a command with its store: it is opened, and answers a first request. A
//! command that may wait for the lock waits for the store as well. The contact is tried again and
//! again, and the lock is asked for only at a store that has answered.

use std::time::Duration;

use tenure::runtime::{Moment, Runtime};
use tenure::{Error, ErrorKind, Key, Locks};

use crate::duration::{show, show_seconds};
use crate::output::Output;
use crate::progress::Progress;
use crate::store::Located;

/// The first attempt has so long at least, however short the wait is: a name is looked up, and a
/// connection is made.
const FIRST_MIN: Duration = Duration::from_secs(1);
/// The pause after the first failure. It doubles with each further failure, up to the last one.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LAST_PAUSE: Duration = Duration::from_secs(2);

/// The store that a lock is wanted at, and how long that may take.
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) store: &'a Located,
    pub(crate) store_timeout: Duration,
    /// A key to look at.
    pub(crate) key: &'a Key,
    /// `None`: without limit. Zero: do not wait.
    pub(crate) wait: Option<Duration>,
    pub(crate) output: Output,
}

/// The wait for the store, which is a part of the wait for the lock.
pub(crate) struct Contact<'a> {
    wanted: Wanted<'a>,
    runtime: &'a dyn Runtime,
    /// When the wait began.
    began: Moment,
}

impl<'a> Contact<'a> {
    /// The wait counts from `began`.
    pub(crate) fn new(wanted: Wanted<'a>, runtime: &'a dyn Runtime, began: Moment) -> Self {
        Self { wanted, runtime, began }
    }

    /// Opens the store. Without a limit of the wait it ends with the store, or with an error that
    /// does not pass; with a limit also when that is over, and after one attempt if there is no
    /// wait at all.
    pub(crate) async fn open(&self) -> tenure::Result<Locks> {
        let Self { wanted: Wanted { store, store_timeout, .. }, runtime, .. } = *self;
        let open = |limit| store.open_within(limit, store_timeout, runtime);
        self.until_answered(None, open).await
    }

    /// A store that was opened has failed with `error` before it gave the lock. Ends with its next
    /// answer, or as [`open`](Self::open) does.
    pub(crate) async fn again(&self, locks: &Locks, error: Error) -> tenure::Result<()> {
        let mutex = locks.mutex(self.wanted.key);
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
        let Self { wanted, runtime, began } = *self;
        let is_once = wanted.wait == Some(Duration::ZERO);
        let end = wanted.wait.filter(|_| !is_once).map(|wait| began + wait);
        let telling =
            Telling { output: wanted.output, began, progress: Progress::new(wanted.output) };
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
            let error = match attempt(left.min(wanted.store_timeout)).await {
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

    /// Whether a command that has failed with this may still wait for its store.
    pub(crate) fn goes_on_after(&self, error: &Error) -> bool {
        let end = self.wanted.wait.map(|wait| self.began + wait);
        passes(error) && !is_over(end, self.runtime.now())
    }

    /// The rest of the wait for the lock; `None`: without limit.
    pub(crate) fn left(&self) -> Option<Duration> {
        let waited = self.runtime.now().since(self.began);
        self.wanted.wait.map(|wait| wait.saturating_sub(waited))
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
struct Telling {
    output: Output,
    began: Moment,
    progress: Progress,
}

impl Telling {
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
        let Self { output, began, progress } = self;
        // Its line is wiped before the next.
        drop(progress);
        let text = || format!("the store is reached again after {}", show(now.since(began)));
        output.detail("reached", text);
    }
}
