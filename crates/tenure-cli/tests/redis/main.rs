//! The command on Redis and Valkey: how every fault of a server reads, and that CMD is gone before
//! the server can give its key to anybody else.

#![allow(clippy::disallowed_methods, reason = "tests measure time and limit it")]
#![allow(clippy::print_stdout, reason = "tests say what they measured")]

mod acl;
#[cfg(feature = "mcp")]
#[path = "../cli/agent.rs"]
mod agent;
mod canary;
mod confirmed;
mod contact;
mod doctor;
mod faults;
mod foreign;
mod guarded;
mod hindered;
mod look;
#[cfg(feature = "mcp")]
mod mcp;
mod patience;
mod renewals;
mod replica;
mod scenes;
#[path = "../cli/schema.rs"]
mod schema;
mod secrets;
mod sentry;
mod signalled;
mod silent;
