//! Tenure's engine, as it is shipped, with many clients over one simulated server, or over
//! Tenure's quorum of several, on virtual time and from seeds: a run is a pure function of its
//! seed. No thread, no clock, no network.
//!
//! - `world`, `process`, `clock`, `rng`: time, tasks, and machines that are slow, stopped or dead
//! - `server`, `link`, `network_faults`, `faults`, `defect`: servers, and what can go wrong
//! - `plan`, `host`, `user`, `kind`, `hold`: who wants which lock, when, and what for
//! - `judge`: which promise was broken
//! - `run`: one seed; `trace`, `summary`: what happened in it, for people

mod clock;
mod defect;
mod faults;
mod hold;
mod host;
mod judge;
mod kind;
mod link;
mod network_faults;
mod plan;
mod process;
mod rng;
mod run;
mod server;
mod summary;
mod trace;
mod user;
mod world;

pub use defect::Defect;
pub use judge::Rule;
pub use run::{Options, Outcome, run};
pub use world::Failure;
