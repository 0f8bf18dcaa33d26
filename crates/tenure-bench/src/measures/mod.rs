//! All measurements, in the order of the report. One file per question.

mod clean_build;
mod command;
pub(crate) mod crowd;
pub(crate) mod death;
pub(crate) mod handoff;
mod held;
pub(crate) mod memory;
pub(crate) mod redis;
mod sqlite;

use crate::Failure;
use crate::figure::{Figure, Scale};

pub(crate) struct Measure {
    /// For `--only`.
    pub(crate) name: &'static str,
    /// Too slow to run without being asked for.
    pub(crate) on_request: bool,
    pub(crate) run: fn(Scale) -> Result<Vec<Figure>, Failure>,
}

const fn always(name: &'static str, run: fn(Scale) -> Result<Vec<Figure>, Failure>) -> Measure {
    Measure { name, on_request: false, run }
}

pub(crate) const ALL: &[Measure] = &[
    always("memory", memory::measure),
    always("sqlite", sqlite::measure),
    always("handoff", handoff::measure),
    always("crowd", crowd::measure),
    always("death", death::measure),
    always("held", held::measure),
    always("command", command::measure),
    always("redis-handoff", redis::handoff),
    always("redis-commands", redis::commands),
    always("redis-idle", redis::idle),
    always("redis-shares", redis::shares),
    always("redis-cluster", redis::cluster),
    always("quorum", redis::quorum),
    Measure { name: "clean-build", on_request: true, run: clean_build::measure },
];
