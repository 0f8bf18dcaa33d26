//! The promises of a semaphore beyond those that it shares with a mutex, over every store.

pub(crate) mod number;
pub(crate) mod permits;
pub(crate) mod refusing;
