//! Programs that share locks, each a process of its own: at one counter, in a crowd, killed and
//! stopped; and the programs under `examples/`.

#![allow(clippy::disallowed_methods, reason = "tests measure real processes")]
#![allow(clippy::print_stdout, reason = "processes speak and tests say what they measured")]

mod election;
mod example_programs;
mod examples;
mod fair_share;
mod holders;
mod home;
mod multi_lock;
mod permits;
mod readers;
#[cfg(target_os = "linux")]
mod stopped;
