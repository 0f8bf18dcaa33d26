//! What an engine owes its store: an answer to be waited for, a release, a withdrawal. Closing
//! waits until nothing is owed. It sends nothing itself.
//!
//! A tracked is counted *before* the books of what is held and awaited lose sight of the owner.
//! Whoever closes at any moment therefore finds an owner there or its tracked here.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::Notify;

use crate::process::Process;
use crate::runtime::shielded;

/// All that is owed.
#[derive(Debug)]
pub(crate) struct InFlight {
    process: Process,
    count: AtomicUsize,
    /// Told whenever the count falls to zero, once somebody has asked to be told. Every lock in
    /// its turn brings the count there.
    none: Notify,
    is_awaited: AtomicBool,
}

/// One thing that is owed, until it is dropped.
#[derive(Debug)]
#[must_use = "it is owed for as long as this lives"]
pub(crate) struct Tracked<'a>(&'a InFlight);

impl Default for InFlight {
    fn default() -> Self {
        let (count, none, is_awaited) = Default::default();
        Self { process: Process::current(), count, none, is_awaited }
    }
}

impl InFlight {
    /// All here is sequentially consistent, as is the flag of the close: of who owes and then
    /// looks whether it is closed, and who closes and then looks what is owed, one sees the other.
    pub(crate) fn track(&self) -> Tracked<'_> {
        self.count.fetch_add(1, Ordering::SeqCst);
        Tracked(self)
    }

    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    /// One thing less is owed.
    pub(crate) fn finish(&self) {
        let was_last = self.count.fetch_sub(1, Ordering::SeqCst) == 1;
        if was_last && self.is_awaited.load(Ordering::SeqCst) {
            shielded(|| self.none.notify_waiters());
        }
    }

    /// Ends when nothing is owed.
    pub(crate) async fn wait(&self) {
        self.is_awaited.store(true, Ordering::SeqCst);
        loop {
            let none = self.none.notified();
            if self.count() == 0 {
                return;
            }
            none.await;
        }
    }
}

impl Tracked<'_> {
    /// From here on an entry of the schedule stands for it, and is paid with that.
    pub(crate) fn enter(self) {
        std::mem::forget(self);
    }
}

impl Drop for Tracked<'_> {
    fn drop(&mut self) {
        if self.0.process.is_current() {
            self.0.finish();
        }
    }
}
