//! Which task or thread took a guard. Good for a suspicion, never for a decision: guards move.

use std::thread::{self, ThreadId};

use tokio::task;

/// A task of Tokio, or a thread that runs none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taker {
    Task(task::Id),
    Thread(ThreadId),
}

impl Taker {
    /// Who runs this.
    pub(crate) fn present() -> Self {
        task::try_id().map_or_else(|| Self::Thread(thread::current().id()), Self::Task)
    }
}
