//! Every store answers as the machine of one key does, step by step, to the same random steps.

#![allow(clippy::disallowed_methods, reason = "tests limit their time")]

mod drafts;
mod memory;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(feature = "sqlite")]
#[path = "../sqlite_world/mod.rs"]
mod sqlite_world;
