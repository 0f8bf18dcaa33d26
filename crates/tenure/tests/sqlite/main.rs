//! The embedded store: its file, what may become of it, and the processes and users that share it.

#![allow(clippy::disallowed_methods, reason = "tests measure, and wait for real processes")]
#![allow(clippy::print_stdout, reason = "processes speak and tests say what they measured")]

mod faults;
mod life;
mod opening;
mod place;
mod processes;
mod rights;
mod runs;
mod tombstones;
mod world;
