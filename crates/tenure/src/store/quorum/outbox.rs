//! What nodes must still be told: releases and withdrawals that did not reach them. Each node
//! has one errand runner, started with its first debt and gone with its last, so that a node
//! that stays away costs one try a second, whatever is owed to it.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::protocol::{Backoff, Request};
use crate::runtime::{Moment, Runtime, random_u32};

use super::node::Node;

/// What is owed beyond so many steps is left to end with its ttl, the oldest first.
const OWED_MAX: usize = 10_000;
/// How many steps travel in one call.
const BATCH: usize = 250;
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The debts to one node.
pub(super) struct Outbox {
    node: Arc<Node>,
    runtime: Arc<dyn Runtime>,
    limit: Duration,
    book: Mutex<Book>,
}

#[derive(Debug, Default)]
struct Book {
    owed: VecDeque<(Request, Moment)>,
    is_running: bool,
}

impl Outbox {
    pub(super) fn new(node: &Arc<Node>, runtime: &Arc<dyn Runtime>, limit: Duration) -> Arc<Self> {
        let (node, runtime) = (Arc::clone(node), Arc::clone(runtime));
        Arc::new(Self { node, runtime, limit, book: Mutex::default() })
    }

    /// The node is told this as soon as it can be reached, but not after `until`: by then
    /// nothing is left to undo.
    pub(super) fn owe(self: &Arc<Self>, step: Request, until: Moment) {
        let mut book = self.book();
        book.owed.push_back((step, until));
        if book.owed.len() > OWED_MAX {
            book.owed.pop_front();
        }
        if !std::mem::replace(&mut book.is_running, true) {
            self.runtime.spawn(Box::pin(Arc::clone(self).run()));
        }
    }

    async fn run(self: Arc<Self>) {
        let fresh = || Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        let mut backoff = fresh();
        while let Some(batch) = self.take() {
            let steps = batch.iter().map(|(step, _)| step.clone()).collect();
            let answer = tokio::select! {
                biased;
                answer = self.node.ask(steps) => answer.is_ok(),
                () = self.runtime.sleep_until(self.runtime.now() + self.limit) => false,
            };
            if answer {
                backoff = fresh();
                continue;
            }
            self.put_back(batch);
            let pause = backoff.next(random_u32(&*self.runtime));
            self.runtime.sleep_until(self.runtime.now() + pause).await;
        }
    }

    /// The next steps to send; `None` ends the runner.
    fn take(&self) -> Option<Vec<(Request, Moment)>> {
        let now = self.runtime.now();
        let mut book = self.book();
        book.owed.retain(|(_, until)| *until > now);
        if book.owed.is_empty() {
            book.is_running = false;
            return None;
        }
        let count = book.owed.len().min(BATCH);
        Some(book.owed.drain(..count).collect())
    }

    fn put_back(&self, batch: Vec<(Request, Moment)>) {
        let mut book = self.book();
        batch.into_iter().rev().for_each(|debt| book.owed.push_front(debt));
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox").field("owed", &self.book().owed.len()).finish_non_exhaustive()
    }
}
