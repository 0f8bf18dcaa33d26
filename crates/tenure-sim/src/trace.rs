//! The events of a run, line by line, for the person who replays a seed. It costs nothing unless it
//! is kept.

use std::sync::{Mutex, PoisonError};

/// The lines of one run.
#[derive(Debug, Default)]
pub(crate) struct Trace(Option<Mutex<Vec<String>>>);

impl Trace {
    pub(crate) fn new(keep: bool) -> Self {
        Self(keep.then(Mutex::default))
    }

    /// Adds a line about the true time `at`; `line` is made only if it is kept.
    pub(crate) fn note(&self, at: u64, line: impl FnOnce() -> String) {
        if let Some(lines) = &self.0 {
            let text = format!("{:>4}.{:06} {}", at / 1_000_000, at % 1_000_000, line());
            lines.lock().unwrap_or_else(PoisonError::into_inner).push(text);
        }
    }

    pub(crate) fn take(&self) -> Vec<String> {
        let lines = self.0.as_ref().map(|l| l.lock().unwrap_or_else(PoisonError::into_inner));
        lines.map(|mut lines| std::mem::take(&mut *lines)).unwrap_or_default()
    }
}
