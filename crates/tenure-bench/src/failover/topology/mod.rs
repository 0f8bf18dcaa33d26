//! The servers of a run.

mod cluster;
mod sentinel;
mod single;

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tenure_testkit::{Flavour, Host, Server};

use super::setting::Setting;

/// Which servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// One server alone.
    Single,
    /// A master with two replicas, and three Sentinels.
    Sentinel,
    /// Three masters with a replica each.
    Cluster,
}

/// The host of the master that is struck, and that of all other servers.
pub(crate) type Hosts = [Arc<Host>; 2];

impl Kind {
    pub(crate) const THAT_FAIL_OVER: [Self; 2] = [Self::Sentinel, Self::Cluster];

    /// Starts the servers: the master of all keys on the first host, all others on the second.
    pub(crate) fn start(
        self,
        flavour: Flavour,
        setting: Setting,
        hosts: Option<&Hosts>,
    ) -> Box<dyn Topology> {
        match self {
            Self::Single => Box::new(single::start(flavour, setting, hosts)),
            Self::Sentinel => Box::new(sentinel::start(flavour, setting, hosts)),
            Self::Cluster => Box::new(cluster::start(flavour, setting, hosts)),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Single => "single",
            Self::Sentinel => "sentinel",
            Self::Cluster => "cluster",
        })
    }
}

/// Running servers.
pub(crate) trait Topology {
    /// The store's URL, without parameters.
    fn url(&self) -> String;

    /// The beginning of keys that are the master's.
    fn prefix(&self) -> String;

    /// The server that is the keys' master when a run begins.
    fn master(&self) -> &Server;

    /// The servers that are its replicas when a run begins.
    fn replicas(&self) -> Vec<&Server>;

    /// Asks for a failover, and returns when a replica was promoted.
    fn switch(&self);

    /// Waits until all servers agree on one master, and follow it.
    fn settle(&self);
}
