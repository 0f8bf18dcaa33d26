//! Kinds of locks: each translates its options to a claim. A kind never knows a store and starts no
//! task.

mod lazy_locks;
mod mutex;

pub(crate) use lazy_locks::{LazyLocks, Opening};
pub use mutex::Mutex;
