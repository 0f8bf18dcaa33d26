//! The tasks of this process that poll for one key, where the store has no queue. Only the first
//! of them polls; the others stand behind it here. It never asks the store.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Mutex as AsyncMutex, MutexGuard as AsyncMutexGuard, Notify};
use tokio_util::sync::CancellationToken;

use crate::runtime::shielded;
use crate::types::Key;

use super::waiter::Silence;

/// The lines, key by key.
#[derive(Debug, Default)]
pub(super) struct PollQueue {
    /// Only keys for which somebody waits.
    lines: Mutex<HashMap<Key, Arc<Line>>>,
    closed: CancellationToken,
}

#[derive(Debug, Default)]
pub(super) struct Line {
    /// Fair: its holder polls, the others come after, in order of arrival.
    fair: AsyncMutex<()>,
    freed: Notify,
    silence: Mutex<Silence>,
}

impl PollQueue {
    /// This process has released the key: the first of its line polls at once.
    pub(super) fn freed(&self, key: &Key) {
        // A waker may want the table, so the lock is not held while it is called.
        let line = self.lines().get(key).cloned();
        if let Some(line) = line {
            shielded(|| line.freed.notify_one());
            self.leave(key, &line);
        }
    }

    /// Ends all waiting.
    pub(super) fn close(&self) {
        shielded(|| self.closed.cancel());
    }

    /// Ends when all waiting has ended.
    pub(super) async fn closed(&self) {
        self.closed.cancelled().await;
    }

    /// The line of a key, until [`leave`](Self::leave).
    pub(super) fn line(&self, key: &Key) -> Arc<Line> {
        Arc::clone(self.lines().entry(key.clone()).or_default())
    }

    /// Takes the line out of the table if nobody but the caller uses it.
    pub(super) fn leave(&self, key: &Key, line: &Arc<Line>) {
        let mut lines = self.lines();
        if Arc::strong_count(line) == 2 {
            lines.remove(key);
        }
    }

    fn lines(&self) -> MutexGuard<'_, HashMap<Key, Arc<Line>>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    /// Ends when all who came before have left the front.
    pub(super) async fn front(&self) -> Front<'_> {
        Front(Some(self.fair.lock().await))
    }

    /// How the store has answered to this line.
    pub(super) fn silence(&self) -> MutexGuard<'_, Silence> {
        self.silence.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends when this process has released the key.
    pub(super) async fn freed(&self) {
        self.freed.notified().await;
    }
}

/// The first place of a line, until it is dropped: that wakes the next.
pub(super) struct Front<'a>(Option<AsyncMutexGuard<'a, ()>>);

impl Drop for Front<'_> {
    fn drop(&mut self) {
        let fair = self.0.take();
        shielded(|| drop(fair));
    }
}
