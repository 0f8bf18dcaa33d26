//! The results of the experiment: `bench/failover.json`, from which the tables of SAFETY.md are
//! made.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tenure_testkit::Flavour;

use crate::Failure;
use crate::lines::lines;
use crate::record::{Occasion, read, root, write};

use super::Plan;
use super::fault::Fault;
use super::judge::Verdict;
use super::setting::Setting;
use super::topology::Kind;

/// One experiment.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Results {
    pub(crate) occasion: Occasion,
    /// Of the servers, as in `redis 7.0.15`.
    pub(crate) servers: Vec<String>,
    /// Rows that could not be measured on this machine.
    pub(crate) skipped: Vec<String>,
    pub(crate) rows: Vec<Row>,
}

/// The runs of one plan.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) server: String,
    pub(crate) topology: Kind,
    pub(crate) fault: Fault,
    pub(crate) setting: Setting,
    pub(crate) runs: Vec<Verdict>,
}

/// Where the committed results stand.
pub(crate) fn file() -> PathBuf {
    root().join("bench/failover.json")
}

impl Results {
    /// Reads results; `None` if there are none yet.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>, Failure> {
        read(path)
    }

    pub(crate) fn write(&self, path: &Path) -> Result<(), Failure> {
        write(path, &lines(self)?)
    }

    pub(crate) fn version(&mut self, flavour: Flavour, version: &str) {
        let server = format!("{flavour} {version}");
        if !self.servers.contains(&server) {
            self.servers.push(server);
        }
    }
}

impl Row {
    pub(crate) fn new(flavour: Flavour, Plan { kind, fault, setting }: Plan) -> Self {
        let server = flavour.to_string();
        Self { server, topology: kind, fault, setting, runs: Vec::new() }
    }

    pub(crate) fn plan(&self) -> Plan {
        Plan { kind: self.topology, fault: self.fault, setting: self.setting }
    }

    /// The sum of a count over all runs.
    pub(crate) fn sum(&self, count: impl Fn(&Verdict) -> usize) -> usize {
        self.runs.iter().map(count).sum()
    }

    /// The times without grants, in ascending order.
    fn recoveries_ms(&self) -> Vec<u64> {
        let mut times: Vec<_> = self.runs.iter().map(|run| run.recovery_ms).collect();
        times.sort_unstable();
        times
    }

    pub(crate) fn recovery_p50_ms(&self) -> u64 {
        let times = self.recoveries_ms();
        times.get(times.len().saturating_sub(1) / 2).copied().unwrap_or_default()
    }

    pub(crate) fn recovery_worst_ms(&self) -> u64 {
        self.recoveries_ms().last().copied().unwrap_or_default()
    }

    /// Whether every promise was kept: fences grow, a resource that looks at them is safe, and
    /// nobody overlaps under the safest setting.
    pub(crate) fn is_kept(&self) -> bool {
        let is_safe = self.sum(|run| run.disordered + run.stale_fenced) == 0;
        is_safe && (self.setting != Setting::SAFEST || self.sum(|run| run.overlaps) == 0)
    }
}
