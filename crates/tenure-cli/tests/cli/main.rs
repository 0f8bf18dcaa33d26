//! The command `tenure` from outside: every test runs the real program, on a store of its own.
#![allow(clippy::disallowed_methods, reason = "tests live on the machine's own clock")]
#![allow(clippy::print_stdout, reason = "figures, and what was skipped")]

#[cfg(feature = "mcp")]
mod agent;
mod background;
mod codes;
mod completions;
mod control;
mod doctor;
mod elect;
#[cfg(feature = "top")]
mod full_screen;
mod full_stderr;
mod help;
mod json;
mod keeper;
mod limits;
mod log;
mod look;
#[cfg(feature = "mcp")]
mod mcp;
#[cfg(feature = "mcp")]
mod mcp_client;
mod nested;
mod network;
mod once;
mod order;
mod other_user;
mod permits;
mod pipeline;
mod place;
mod refusals;
mod relay;
mod release;
mod report;
mod rest;
mod run;
mod schema;
mod screen;
mod sentry;
mod several_keys;
mod shared;
mod silent;
mod steal;
mod store_errors;
mod terminal;
mod ticket;
#[cfg(feature = "top")]
mod top;
