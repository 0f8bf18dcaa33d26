//! Releases and withdrawals that did not reach their node yet. Each node has one sender task, from
//! its first entry to its last, so that a node that stays away costs one try a second, however
//! many entries wait. It drops an entry whose time is over.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::protocol::{Backoff, Request};
use crate::runtime::{Moment, Runtime, answer_by, random_u32};

use super::node::Node;

/// The most entries of a node. Beyond it the oldest is dropped: its lease ends with its ttl.
const ENTRIES_MAX: usize = 10_000;
/// The most steps in one call.
const BATCH: usize = 250;
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The entries of one node.
pub(super) struct Outbox {
    node: Arc<Node>,
    runtime: Arc<dyn Runtime>,
    limit: Duration,
    queue: Mutex<Queue>,
}

#[derive(Debug)]
struct Entry {
    step: Request,
    /// After it nothing is left to undo.
    until: Moment,
}

#[derive(Debug, Default)]
struct Queue {
    entries: VecDeque<Entry>,
    is_running: bool,
}

impl Outbox {
    pub(super) fn new(node: &Arc<Node>, runtime: &Arc<dyn Runtime>, limit: Duration) -> Arc<Self> {
        let (node, runtime) = (Arc::clone(node), Arc::clone(runtime));
        Arc::new(Self { node, runtime, limit, queue: Mutex::default() })
    }

    /// Sends a step as soon as the node can be reached, but not after `until`: by then nothing is
    /// left to undo.
    pub(super) fn put(self: &Arc<Self>, step: Request, until: Moment) {
        let mut queue = self.queue();
        queue.entries.push_back(Entry { step, until });
        if queue.entries.len() > ENTRIES_MAX {
            queue.entries.pop_front();
        }
        if !std::mem::replace(&mut queue.is_running, true) {
            self.runtime.spawn(Box::pin(Arc::clone(self).run()));
        }
    }

    async fn run(self: Arc<Self>) {
        let fresh = || Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        let mut backoff = fresh();
        while let Some(batch) = self.take() {
            let steps = batch.iter().map(|entry| entry.step.clone()).collect();
            let limit = self.runtime.now() + self.limit;
            let answer = answer_by(&*self.runtime, limit, self.node.ask(steps)).await;
            if answer.is_some_and(|answer| answer.is_ok()) {
                backoff = fresh();
                continue;
            }
            self.put_back(batch);
            let pause = backoff.next(random_u32(&*self.runtime));
            self.runtime.sleep_until(self.runtime.now() + pause).await;
        }
    }

    /// The next entries to send; `None` ends the task.
    fn take(&self) -> Option<Vec<Entry>> {
        let now = self.runtime.now();
        let mut queue = self.queue();
        queue.entries.retain(|entry| entry.until > now);
        if queue.entries.is_empty() {
            queue.is_running = false;
            return None;
        }
        let count = queue.entries.len().min(BATCH);
        Some(queue.entries.drain(..count).collect())
    }

    fn put_back(&self, batch: Vec<Entry>) {
        let mut queue = self.queue();
        batch.into_iter().rev().for_each(|entry| queue.entries.push_front(entry));
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox")
            .field("entries", &self.queue().entries.len())
            .finish_non_exhaustive()
    }
}
