//! The faults, and how they come to an end.

use std::fmt;
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tenure_testkit::{Host, Reply, Server, wait_until};

use crate::worker::boot_micros;

use super::contender::TTL;
use super::judge::Side;
use super::topology::Topology;

/// How long the old master stays away after another was promoted: until the leases that both of
/// them know are over.
const LATE: Duration = TTL;

/// One fault of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Fault {
    /// None: all that is found is the contenders' own.
    None,
    /// `kill -9` of the master. It is started again, empty, when all know another one.
    Kill,
    /// `kill -9` of the master, which is started again at once, empty.
    Restart,
    /// The master is stopped (SIGSTOP), and runs on when another was promoted.
    Pause,
    /// The failover is asked for.
    Planned,
    /// The master's host is cut off, half of the contenders with it, and joined again when another
    /// was promoted.
    Partition,
}

impl Fault {
    pub(crate) const ALL: [Self; 5] =
        [Self::Planned, Self::Kill, Self::Restart, Self::Pause, Self::Partition];

    pub(crate) fn needs_network(self) -> bool {
        self == Self::Partition
    }

    /// Those of whom a grant is expected after the fault.
    pub(crate) fn survivors(self) -> &'static [Side] {
        match self {
            Self::Partition => &[Side::Majority],
            _ => &[Side::Minority, Side::Majority],
        }
    }

    /// Strikes, and returns when the old master is back, whatever it takes itself for. Answers
    /// when the fault began, in microseconds of the boot clock.
    ///
    /// # Panics
    /// If no other master is promoted in time.
    pub(crate) fn strike(self, topology: &dyn Topology, few: Option<&Host>) -> u64 {
        let begun = boot_micros();
        let master = topology.master();
        match self {
            Self::None => {}
            Self::Planned => topology.switch(),
            Self::Kill => {
                master.kill9();
                promoted(topology);
                topology.settle();
                master.restart_empty();
            }
            Self::Restart => master.restart_empty(),
            Self::Pause => {
                master.stop();
                promoted(topology);
                thread::sleep(LATE);
                master.cont();
            }
            Self::Partition => {
                let few = few.expect("a network");
                few.cut();
                promoted(topology);
                thread::sleep(LATE);
                few.heal();
            }
        }
        begun
    }
}

/// Waits until a replica takes itself for a master.
fn promoted(topology: &dyn Topology) {
    wait_until("a replica is promoted", || topology.replicas().into_iter().any(is_master));
}

fn is_master(server: &Server) -> bool {
    // The connection is cut at the very promotion.
    let role = server.runs().then(|| server.try_command(&["ROLE"]).ok()).flatten();
    role.is_some_and(
        |role| matches!(&role, Reply::Array(parts) if parts[0].text().as_deref() == Some("master")),
    )
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "no fault",
            Self::Kill => "master killed",
            Self::Restart => "master restarted, empty",
            Self::Pause => "master stopped, continued",
            Self::Planned => "planned failover",
            Self::Partition => "master cut off",
        })
    }
}
