//! The promises of a mutex, over every store.

pub(crate) mod acquiring;
pub(crate) mod holding;
pub(crate) mod identity;
pub(crate) mod refusing;
pub(crate) mod releasing;
pub(crate) mod unqueued;
