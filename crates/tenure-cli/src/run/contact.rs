//! The first contact of a run with its store. A run that may wait for the lock waits for the store
//! as well: the contact is tried again and again, and nothing is asked of the store before it.

use std::time::Duration;

use tenure::runtime::{Moment, Runtime};
use tenure::{Error, ErrorKind, Locks};

use crate::duration::show;
use crate::plan::Plan;
use crate::progress::Progress;

/// The first attempt has so long at least, however short the wait is: a name is looked up, and a
/// connection is made.
const FIRST_MIN: Duration = Duration::from_secs(1);
/// The pause after the first failure. It doubles with each further failure, up to the last one.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LAST_PAUSE: Duration = Duration::from_secs(2);

/// Opens the store. Without a limit of the wait it ends with the store, or with an error that does
/// not pass; with a limit also when that is over, and after one attempt if there is no wait at all.
pub(super) async fn open(plan: &Plan, runtime: &dyn Runtime) -> tenure::Result<Locks> {
    let began = runtime.now();
    let is_once = plan.wait == Some(Duration::ZERO);
    let end = plan.wait.filter(|_| !is_once).map(|wait| began + wait);
    let telling = Telling { plan, began, progress: Progress::new(plan.output) };
    let (mut pause, mut told_at) = (FIRST_PAUSE, None);
    let mut before: Option<Error> = None;
    loop {
        let least = if before.is_none() { FIRST_MIN } else { Duration::ZERO };
        let left = end.map_or(Duration::MAX, |end| end.since(runtime.now()).max(least));
        let limit = left.min(plan.store_timeout);
        let error = match plan.store.open_within(limit, plan.store_timeout, runtime).await {
            Ok(locks) => {
                if before.is_some() {
                    telling.reached(runtime.now());
                }
                return Ok(locks);
            }
            Err(error) => error,
        };
        let now = runtime.now();
        if is_once || error.kind() != ErrorKind::Unavailable || error.is_of_replica() {
            return Err(error);
        }
        if is_over(end, now) {
            // An earlier failure tells more than "the time is over".
            return Err(before.unwrap_or(error));
        }
        telling.failed(&error, now, &mut told_at);
        let next = now + pause;
        runtime.sleep_until(end.map_or(next, |end| next.min(end))).await;
        if is_over(end, runtime.now()) {
            return Err(error);
        }
        pause = (pause * 2).min(LAST_PAUSE);
        before = Some(error);
    }
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
                format!(" for {}", show(Duration::from_secs(now.since(self.began).as_secs())))
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
