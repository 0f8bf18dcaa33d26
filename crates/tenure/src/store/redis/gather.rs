//! How long the next batch to a node of a cluster waits for the callers of the last one. They call
//! again as soon as they are answered, and so few of them belong to each node that halves of them,
//! each under way while the other wakes up, would cost the node twice the calls. Meanwhile the
//! other nodes are at work.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::runtime::{Runtime, Task};

/// The longest wait.
const LONGEST: Duration = Duration::from_micros(500);
/// After a wait in vain, so many batches do without.
const WITHOUT: u32 = 4;

/// The wait for the callers of the last batch.
pub(super) struct Gather {
    runtime: Arc<dyn Runtime>,
    /// The number of calls that end the wait, and its end in any case; `None`: there is none.
    waiting_for: Option<(usize, Task)>,
    /// So many batches go without.
    without: u32,
}

impl Gather {
    pub(super) fn new(runtime: Arc<dyn Runtime>) -> Self {
        Self { runtime, waiting_for: None, without: 0 }
    }

    /// A batch is answered; so many calls can be expected for the next one.
    pub(super) fn begin(&mut self, expected: usize) {
        if self.without > 0 {
            self.without -= 1;
            return;
        }
        let end = self.runtime.sleep_until(self.runtime.now() + LONGEST);
        self.waiting_for = Some((expected, end));
    }

    /// The number of calls that make the next batch.
    pub(super) fn wanted(&self) -> usize {
        self.waiting_for.as_ref().map_or(1, |(wanted, _)| *wanted)
    }

    /// The batch goes out.
    pub(super) fn end(&mut self) {
        self.waiting_for = None;
    }

    /// Ends the wait when its time is over.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) {
        if let Some((_, end)) = &mut self.waiting_for
            && let Poll::Ready(()) = end.as_mut().poll(cx)
        {
            self.waiting_for = None;
            self.without = WITHOUT;
        }
    }
}

impl fmt::Debug for Gather {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gather").field("wanted", &self.wanted()).finish_non_exhaustive()
    }
}
