//! The line about the waiting: who holds the key, and for how long. It comes when the waiting has
//! lasted for a second, and at the first look if nobody holds the key and the store grants nothing
//! all the same. On a terminal it is replaced every second, elsewhere repeated every minute.

use std::cell::Cell;
use std::time::Duration;

use tenure::Locks;
use tenure::protocol::{Inspection, State};
use tenure::runtime::{Moment, Runtime};

use crate::duration::{show, show_seconds};
use crate::output::Output;
use crate::told;
use crate::view::used;
use crate::wait::{Subject, blocked_on};

/// Time before the first look. A lock that is free is held by then.
const LOOK: Duration = Duration::from_millis(100);
/// Time before the first line about a key that is held.
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

    /// Shows a line, in the place of the last one on a terminal.
    pub(crate) fn show(&self, line: &str) {
        if self.in_place {
            self.output.update(line);
            self.shown.set(true);
        } else {
            self.output.notice_of("waiting", line);
        }
    }

    /// The least time between two lines.
    pub(crate) fn interval(&self) -> Duration {
        if self.in_place { IN_PLACE } else { IN_A_LOG }
    }

    /// Tells again and again. It never ends.
    pub(crate) async fn tell(&self, locks: &Locks, subject: Subject<'_>, runtime: &dyn Runtime) {
        let began = runtime.now();
        let mut at = began + LOOK;
        let mut told = None;
        loop {
            runtime.sleep_until(at).await;
            // The acquire deals with a store that does not answer.
            let (key, seen) = blocked_on(locks, subject).await;
            if runtime.now() < began + FIRST && !seen.as_ref().is_ok_and(grants_nothing) {
                at = began + FIRST;
                continue;
            }
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
            self.show(&line);
            at = next(at, runtime.now(), self.interval());
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

/// Nobody holds the key, and the store hands out nothing for now.
fn grants_nothing(seen: &Inspection) -> bool {
    seen.state == State::Free && (seen.guarded.is_some() || seen.replica_of.is_some())
}

fn line(key: &str, seen: &Inspection, waited: Duration, now: u64) -> String {
    let waited = match waited.as_secs() {
        0 => String::new(),
        seconds => format!(" for {}", show(Duration::from_secs(seconds))),
    };
    let Some(holder) = seen.holders.first() else {
        let hindrance = told::hindrance(seen, now).map(|why| match seen.guarded {
            Some(_) => format!("{why}; this command goes on by itself then"),
            None => why,
        });
        let what = match (&seen.state, &hindrance) {
            (State::Foreign(what), _) => what,
            (_, Some(hindrance)) => hindrance.as_str(),
            _ => "it is changing hands",
        };
        return format!("waiting for {key:?}{waited}: {what}");
    };
    let since = show_seconds(holder.since);
    let others = match seen.waiters.len() {
        0 | 1 => String::new(),
        all => format!(", {all} in line"),
    };
    let (label, used) = (&holder.label, used(seen));
    let hindrance = told::hindrance(seen, now).map(|why| format!("; {why}")).unwrap_or_default();
    if holder.kept {
        let kept = told::kept(holder, now);
        return format!("waiting for {key:?}{waited}: {kept} ({label}){others}{hindrance}");
    }
    format!("waiting for {key:?}{waited}: held by {label} for {since}{used}{others}{hindrance}")
}
