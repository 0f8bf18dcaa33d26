//! The number of requests that may have left something at the store: calls without an answer yet,
//! releases and withdrawals to be repeated. Closing waits until it is zero. It sends nothing.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::Notify;

use crate::process::Process;
use crate::runtime::shielded;

/// The count. It and the flag of the close are sequentially consistent: of a caller that counts
/// and then looks whether it is closed, and a close that sets its flag and then looks at the
/// count, one sees the other.
#[derive(Debug)]
pub(super) struct InFlight {
    process: Process,
    count: AtomicUsize,
    /// Told when the count falls to zero. It does so with every lock in turn, so this is told only
    /// after somebody has begun to wait.
    none: Notify,
    is_awaited: AtomicBool,
}

/// One counted request, until it is dropped.
#[derive(Debug)]
#[must_use = "it is counted for as long as this lives"]
pub(crate) struct Tracked<'a>(&'a InFlight);

impl Default for InFlight {
    fn default() -> Self {
        let (count, none, is_awaited) = Default::default();
        Self { process: Process::current(), count, none, is_awaited }
    }
}

impl InFlight {
    pub(super) fn track(&self) -> Tracked<'_> {
        self.count.fetch_add(1, Ordering::SeqCst);
        Tracked(self)
    }

    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    /// Ends the counting of a request whose [`Tracked`] was entered into the schedule.
    pub(super) fn finish(&self) {
        let was_last = self.count.fetch_sub(1, Ordering::SeqCst) == 1;
        if was_last && self.is_awaited.load(Ordering::SeqCst) {
            shielded(|| self.none.notify_waiters());
        }
    }

    /// Ends when the count is zero.
    pub(super) async fn wait(&self) {
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
    /// From here on an entry of the schedule stands for it. The end of that entry calls
    /// [`InFlight::finish`].
    pub(super) fn enter(self) {
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
