//! Whether SQLite may be used: never in a process whose parent had files open at the fork.
//!
//! SQLite keeps one table of all open files of a process, with the locks that it believes to have
//! on each. A child inherits the table, but none of the locks: its own connection to the same file
//! would join the parent's entry, and work without locks beside other processes. SQLite's mutexes
//! are inherited as well, and stay locked if a thread of the parent was inside. Neither can be
//! repaired from outside of SQLite, so the child calls nothing of it.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::process::PerProcess;
use crate::store::{StoreError, StoreErrorClass};

use super::error;

/// The number of files that are open, or are being opened.
static OPEN: PerProcess<AtomicUsize> = PerProcess::new();

/// A file that is open, until this is dropped.
#[derive(Debug)]
pub(super) struct InUse(());

impl InUse {
    pub(super) fn begin() -> Result<Self, StoreError> {
        if OPEN.inherited().any(|open| open.load(Ordering::SeqCst) > 0) {
            return Err(error::plain(StoreErrorClass::Forked, REFUSAL.to_owned()));
        }
        OPEN.get().fetch_add(1, Ordering::SeqCst);
        Ok(Self(()))
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        OPEN.get().fetch_sub(1, Ordering::SeqCst);
    }
}

const REFUSAL: &str = "this process was forked while its parent had an SQLite store open, and \
                       SQLite cannot be used on both sides of a fork: connect to it only after \
                       the fork, or start the child as a new program (exec)";
