//! Kinds of locks: thin translations to claims.

mod mutex;

pub use mutex::Mutex;
