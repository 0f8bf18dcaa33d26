//! Resources that check a fence: statements for SQL databases, and files. Nothing here knows a
//! lock: the fence comes from a guard, and the resource compares it.
//!
//! A holder that was paused may write after the next one has begun. Only the resource can refuse
//! that, by the rule that all of this keeps: **a writer with a smaller fence than the largest that
//! was seen is refused**. An equal one is the same holder, and may write again.
//!
//! The fences of one resource must come from one key. Each key has its own.

mod file;
mod sql;

pub use file::{StaleFence, write_file};
pub use sql::{MYSQL, POSTGRESQL, SQLITE, Statements};
