//! Kinds of locks: each translates its options to a claim. A kind never knows a store and starts no
//! task.

mod mutex;

pub use mutex::Mutex;
