//! Watches the programs' guards and the servers' truth, and says which promise was broken. It
//! never touches anything.

mod attempt;
mod claims;
mod lease;
mod program;
mod rule;
mod runs;
mod store;
mod truth;
mod values;
mod watch;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::world::{Observer, Pid, World};

use attempt::Attempt;
use lease::Lease;
use runs::Runs;
use truth::Truths;
use values::Values;

pub(crate) use attempt::{Ending, Patience, Stage, Wish};
pub use rule::Rule;
pub(crate) use truth::Change;

/// A place in line outlives so long a silence at most.
const LONGEST_WINDOW: u64 = 3_000_000;
/// Once nothing hinders it, a withdrawal takes at most so long: a call that hangs, a pause, a call.
const WITHDRAWN_WITHIN: u64 = 4_000_000;
/// Time that computing may take on top of every wait, in microseconds.
const GRACE: u64 = 30_000;

/// The judge of one run.
pub(crate) struct Judge {
    world: Arc<World>,
    /// Judges by this rule alone.
    only: Option<Rule>,
    /// the network is good from the beginning to the end.
    calm: bool,
    round_trip: u64,
    book: Mutex<Book>,
}

struct Book {
    attempts: BTreeMap<u64, Attempt>,
    leases: BTreeMap<u64, Lease>,
    /// The leases of each process that its program has not let go.
    open: BTreeMap<Pid, Vec<u64>>,
    truths: Truths,
    values: Values,
    runs: Runs,
    /// When a server last lost its memory.
    forgotten: Option<u64>,
    handed: u64,
}

impl fmt::Debug for Judge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Judge").field("only", &self.only).finish_non_exhaustive()
    }
}

impl Judge {
    pub(crate) fn new(
        world: Arc<World>,
        only: Option<Rule>,
        calm: bool,
        round_trip: u64,
        servers: usize,
    ) -> Arc<Self> {
        let book = Mutex::new(Book {
            attempts: BTreeMap::new(),
            leases: BTreeMap::new(),
            open: BTreeMap::new(),
            truths: Truths::new(servers),
            values: Values::default(),
            runs: Runs::default(),
            forgotten: None,
            handed: 0,
        });
        Arc::new(Self { world, only, calm, round_trip, book })
    }

    /// How many guards were handed out.
    pub(crate) fn handed_out(&self) -> u64 {
        self.book().handed
    }

    /// How many of them were lost in their holders' hands.
    pub(crate) fn lost(&self) -> u64 {
        self.book().leases.values().filter(|lease| lease.lost.is_some()).count() as u64
    }

    /// Every call has had time to end.
    pub(crate) fn nobody_waits(&self) {
        for (number, attempt) in &self.book().attempts {
            let crashed = self.world.is_crashed(attempt.wish.pid);
            if attempt.stage == Stage::Pending && !crashed {
                self.fail(Rule::Waiting, || format!("a{number} never ended: {attempt:?}"));
            }
        }
    }

    /// All programs have ended, and their `Locks` are closed.
    pub(crate) fn nothing_is_left(&self) {
        let book = self.book();
        for (number, attempt) in &book.attempts {
            let excused = self.world.is_crashed(attempt.wish.pid) || attempt.ghost;
            if let Some(what) = self.is_left(&book, *number).filter(|_| !excused) {
                self.fail(Rule::Orphan, || format!("a{number} left {what} behind"));
            }
        }
    }

    fn fail(&self, rule: Rule, text: impl FnOnce() -> String) {
        if self.only.is_none_or(|only| only == rule) {
            self.world.fail(rule, text());
        }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Judge {
    fn ran(self: Arc<Self>, pid: Pid) {
        self.look_at(pid);
    }
}

impl Book {
    fn was_forgotten(&self, since: u64) -> bool {
        self.forgotten.is_some_and(|at| at >= since)
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}
