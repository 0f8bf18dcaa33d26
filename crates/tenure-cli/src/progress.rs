//! The line about the waiting: who holds the key, and for how long. It comes when the waiting has
//! lasted for a second. On a terminal it is replaced every second, elsewhere repeated every minute.

use std::cell::Cell;
use std::time::Duration;

use tenure::Locks;
use tenure::protocol::{Inspection, State};
use tenure::runtime::{Moment, Runtime};

use crate::duration::show;
use crate::output::Output;
use crate::told;
use crate::view::used;
use crate::wait::{Subject, blocked_on};

/// Time before the first line.
const FIRST: Duration = Duration::from_secs(1);
/// Interval of the lines on a terminal.
const IN_PLACE: Duration = Duration::from_secs(1);
/// Interval of the lines elsewhere.
const IN_A_LOG: Duration = Duration::from_secs(60);

/// The line about the waiting. It is wiped when this is dropped.
#[derive(Debug)]
pub(crate) struct Progress {
    output: Output,
    in_place: bool,
    shown: Cell<bool>,
}

impl Progress {
    pub(crate) fn new(output: Output) -> Self {
        Self { output, in_place: output.can_update(), shown: Cell::new(false) }
    }

    /// Tells again and again. It never ends.
    pub(crate) async fn tell(&self, locks: &Locks, subject: Subject<'_>, runtime: &dyn Runtime) {
        let began = runtime.now();
        let mut at = began + FIRST;
        let mut told = None;
        loop {
            runtime.sleep_until(at).await;
            // The acquire deals with a store that does not answer.
            let (key, seen) = blocked_on(locks, subject).await;
            // A candidate may wait for days: it tells each leader once.
            let leader = seen.as_ref().ok().and_then(|seen| Some(seen.holders.first()?.fence));
            if subject.is_candidacy && !self.in_place && told.replace(leader) == Some(leader) {
                at = next(at, runtime.now(), IN_A_LOG);
                continue;
            }
            let key = key.as_str();
            let line = match seen {
                Ok(seen) => line(key, &seen, runtime.now().since(began), runtime.wall_micros()),
                Err(e) => format!("waiting for {key:?}: {}", e.message()),
            };
            if self.in_place {
                self.output.update(&line);
                self.shown.set(true);
            } else {
                self.output.notice_of("waiting", line);
            }
            at = next(at, runtime.now(), if self.in_place { IN_PLACE } else { IN_A_LOG });
        }
    }
}

/// The time of the next line. A process that was stopped does not catch up.
fn next(last: Moment, now: Moment, every: Duration) -> Moment {
    (last + every).max(now)
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown.get() {
            self.output.clear();
        }
    }
}

fn line(key: &str, seen: &Inspection, waited: Duration, now: u64) -> String {
    let waited = show(Duration::from_secs(waited.as_secs()));
    let Some(holder) = seen.holders.first() else {
        let hindrance = told::hindrance(seen, now);
        let what = match (&seen.state, &hindrance) {
            (State::Foreign(what), _) => what,
            (_, Some(hindrance)) => hindrance.as_str(),
            _ => "it is changing hands",
        };
        return format!("waiting for {key:?} for {waited}: {what}");
    };
    let since = show(Duration::from_secs(holder.since.as_secs()));
    let others = match seen.waiters.len() {
        0 | 1 => String::new(),
        all => format!(", {all} in line"),
    };
    let (label, used) = (&holder.label, used(seen));
    let hindrance = told::hindrance(seen, now).map(|why| format!("; {why}")).unwrap_or_default();
    if holder.kept {
        let kept = told::kept(holder, now);
        return format!("waiting for {key:?} for {waited}: {kept} ({label}){others}{hindrance}");
    }
    format!(
        "waiting for {key:?} for {waited}: held by {label} for {since}{used}{others}{hindrance}"
    )
}
