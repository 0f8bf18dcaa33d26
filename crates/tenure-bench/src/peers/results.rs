//! The results of a comparison: `bench/peers.json`, from which the tables and the plots of the
//! documents are made.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::Failure;
use crate::lines::lines;
use crate::record::{Occasion, read, root, write};
use crate::sample::Sample;

use super::contender::{self, Role};
use super::cores::Cores;
use super::protocol::Workload;

/// Shares of a sample that are kept of it, for the plots.
pub(crate) const SHARES: [f64; 7] = [0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99];

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Results {
    pub(crate) occasion: Occasion,
    /// The versions that contenders and servers tell.
    pub(crate) versions: Vec<Version>,
    pub(crate) skipped: Vec<Skipped>,
    pub(crate) lone: Vec<LoneRow>,
    pub(crate) tasks: Vec<TasksRow>,
    pub(crate) waiters: Vec<WaitersRow>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Version {
    pub(crate) of: String,
    pub(crate) version: String,
}

/// A contender that took no part, or not to the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Skipped {
    pub(crate) contender: String,
    pub(crate) workload: Workload,
    pub(crate) reason: String,
}

/// One caller's cycle on a free lock. Numbers are medians of the rounds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct LoneRow {
    pub(crate) server: String,
    pub(crate) contender: String,
    /// Those that the server and the caller shared.
    pub(crate) cores: Cores,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    /// At [`SHARES`], of the cycles of all rounds.
    pub(crate) quantiles_us: Vec<f64>,
    pub(crate) rounds_p50_us: Vec<f64>,
}

/// Tasks, each with a key of its own. Numbers are medians of the rounds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct TasksRow {
    pub(crate) server: String,
    pub(crate) contender: String,
    /// `tasks`, or `runtimes` with one thread each.
    pub(crate) workload: Workload,
    pub(crate) tasks: u32,
    pub(crate) cycles_per_second: f64,
    /// Of the server, in microseconds per cycle.
    pub(crate) server_cpu_us: f64,
    /// Of the adapter to the server, after the last round.
    pub(crate) connections: usize,
    pub(crate) rounds_per_second: Vec<f64>,
    pub(crate) rounds_cpu_us: Vec<f64>,
}

/// 16 waiters of four processes on one key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct WaitersRow {
    pub(crate) server: String,
    pub(crate) contender: String,
    /// From a release to the grant to a task of another process that waited already.
    pub(crate) handoff_p50_us: f64,
    pub(crate) handoff_p99_us: f64,
    pub(crate) quantiles_us: Vec<f64>,
    pub(crate) handoffs: usize,
    /// The same to any other task, of this process or another.
    pub(crate) all_handoffs_p50_us: f64,
    /// PING over a blocking socket before each round, median.
    pub(crate) ping_us: f64,
    /// The longest wait of any waiter, median of the rounds, and the same in mean rounds: the time
    /// in which each waiter would have had one turn.
    pub(crate) longest_wait_ms: f64,
    pub(crate) longest_wait_rounds: f64,
    /// Waiters that never held, of all waiters of all rounds.
    pub(crate) never: usize,
    pub(crate) waiters: usize,
    /// Turns of all waiters in a second.
    pub(crate) turns_per_second: f64,
}

impl LoneRow {
    pub(crate) fn is_on_one_core(&self) -> bool {
        self.cores == Cores::One
    }
}

impl Skipped {
    pub(crate) fn new(contender: &str, workload: Workload, reason: &Failure) -> Self {
        Self { contender: contender.into(), workload, reason: reason.to_string() }
    }
}

/// The numbers of a sample at [`SHARES`].
pub(crate) fn quantiles(sample: &Sample) -> Vec<f64> {
    SHARES.iter().map(|&share| tenths(sample.quantile(share))).collect()
}

/// A number with one decimal: what lies behind it is chance.
pub(crate) fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    Sample::new(values.into_iter().collect()).median()
}

/// The file of the committed comparison.
pub(crate) fn file() -> PathBuf {
    root().join("bench/peers.json")
}

impl Results {
    pub(crate) fn version(&mut self, of: &str, version: String) {
        let version = Version { of: of.into(), version };
        if !self.versions.contains(&version) {
            self.versions.push(version);
        }
    }

    /// Adds one that is skipped; a second server skips the same ones.
    pub(crate) fn skip(&mut self, skipped: Skipped) {
        if !self.skipped.contains(&skipped) {
            self.skipped.push(skipped);
        }
    }

    /// Whether every workload was measured.
    pub(crate) fn is_whole(&self) -> bool {
        !(self.lone.is_empty() || self.tasks.is_empty() || self.waiters.is_empty())
    }

    /// Reads a comparison; `None` if there is none yet.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>, Failure> {
        read(path)
    }

    /// One row per line, so that a change can be read.
    pub(crate) fn write(&self, path: &Path) -> Result<(), Failure> {
        write(path, &lines(self)?)
    }
}

/// A row of a contender at a server.
pub(crate) trait Row {
    fn server(&self) -> &str;
    fn contender(&self) -> &str;

    fn is_of(&self, role: Role) -> bool {
        contender::role(self.contender()) == Some(role)
    }
}

macro_rules! rows {
    ($($row:ty),*) => {
        $(impl Row for $row {
            fn server(&self) -> &str {
                &self.server
            }

            fn contender(&self) -> &str {
                &self.contender
            }
        })*
    };
}

rows!(LoneRow, TasksRow, WaitersRow);

/// The row of one contender, if it took part.
pub(crate) fn of<'a, R: Row>(rows: &'a [R], contender: &str) -> Option<&'a R> {
    rows.iter().find(|row| row.contender() == contender)
}

/// The lock library whose number is the least.
pub(crate) fn best<R: Row>(rows: &[R], number: impl Fn(&R) -> f64) -> Option<&R> {
    let libraries = rows.iter().filter(|row| row.is_of(Role::Library));
    libraries.min_by(|one, other| number(one).total_cmp(&number(other)))
}
