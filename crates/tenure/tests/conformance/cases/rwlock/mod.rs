//! The promises of a read-write lock beyond those that a writer shares with a mutex, over every
//! store.

pub(crate) mod changes;
pub(crate) mod readers;
pub(crate) mod refusing;
