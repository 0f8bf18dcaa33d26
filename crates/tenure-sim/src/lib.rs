//! Tenure's engine, as it is shipped, with many clients over one simulated server, or over
//! Tenure's quorum of several, on virtual time and from seeds: a run is a pure function of its
//! seed. No thread, no clock, no network.
//!
//! - `world`, `process`, `clock`, `dice`: time, tasks, and machines that are slow, stopped or dead
//! - `server`, `link`, `weather`, `faults`, `defect`: servers, and all that can go wrong with them
//! - `plan`, `home`, `user`, `hold`: who wants which lock, when, and what for
//! - `judge`: which promise was broken
//! - `run`: one seed; `trace`, `brief`: what happened in it, for people

mod brief;
mod clock;
mod defect;
mod dice;
mod faults;
mod hold;
mod home;
mod judge;
mod link;
mod plan;
mod process;
mod run;
mod server;
mod trace;
mod user;
mod weather;
mod world;

pub use defect::Defect;
pub use judge::Rule;
pub use run::{Options, Outcome, run};
pub use world::Failure;
