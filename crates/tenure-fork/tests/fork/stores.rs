//! The stores that the tests run over, with real servers.

use std::sync::Arc;
use std::time::Duration;

use pollster::block_on;
use tempfile::TempDir;
use tenure::store::{Quorum, QuorumOptions, Redis, RedisOptions, Store};
use tenure::{Locks, LocksOptions, runtime};
use tenure_testkit::{Flavour, Server};

/// A store, and how to connect to it.
pub(crate) enum Place {
    Memory,
    Sqlite(TempDir),
    Redis(Server),
    Quorum(Vec<Server>),
}

impl Place {
    pub(crate) fn sqlite() -> Self {
        Self::Sqlite(tempfile::tempdir().expect("a directory"))
    }

    pub(crate) fn redis() -> Self {
        Self::Redis(Server::redis().start())
    }

    pub(crate) fn quorum() -> Self {
        let flavours = [Flavour::Redis, Flavour::Valkey, Flavour::Redis];
        Self::Quorum(flavours.map(|flavour| Server::of(flavour).start()).into())
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Sqlite(_) => "SQLite",
            Self::Redis(_) => "Redis",
            Self::Quorum(_) => "a quorum",
        }
    }

    pub(crate) fn connect(&self) -> Locks {
        self.try_connect().unwrap_or_else(|e| panic!("{}: {e}", self.name()))
    }

    pub(crate) fn try_connect(&self) -> tenure::Result<Locks> {
        match self {
            Self::Memory | Self::Sqlite(_) | Self::Redis(_) => {
                block_on(tenure::connect_with(&self.url(), patient()))
            }
            Self::Quorum(servers) => Ok(quorum(servers)),
        }
    }

    pub(crate) fn url(&self) -> String {
        match self {
            Self::Memory => "memory:".to_owned(),
            Self::Sqlite(directory) => format!("sqlite:{}/locks.db", directory.path().display()),
            Self::Redis(server) => unhurried(server),
            Self::Quorum(_) => unreachable!("the servers of tests are too young for a URL"),
        }
    }

    /// How many calls the servers have run.
    pub(crate) fn calls(&self) -> u64 {
        let servers = match self {
            Self::Memory | Self::Sqlite(_) => &[],
            Self::Redis(server) => std::slice::from_ref(server),
            Self::Quorum(servers) => &servers[..],
        };
        let calls = ["cmdstat_evalsha", "cmdstat_eval", "cmdstat_get", "cmdstat_scan"];
        let of = |server: &Server, name: &str| -> Option<u64> {
            let stat = server.info(name)?;
            stat.strip_prefix("calls=")?.split(',').next()?.parse().ok()
        };
        let all = servers.iter().flat_map(|server| calls.map(|name| of(server, name)));
        all.flatten().sum()
    }
}

/// Servers of tests are young, and are taken for old.
fn quorum(servers: &[Server]) -> Locks {
    let machine = || runtime::machine().expect("threads");
    let old = RedisOptions { up_for: Some(Duration::from_secs(86_400)), ..RedisOptions::default() };
    let node = |server: &Server| {
        let url = format!("{}&restart_guard=60s", unhurried(server));
        Arc::new(Redis::unopened(&url, &machine(), &old).expect("a good URL")) as Arc<dyn Store>
    };
    // No node may count as silent because the machine is busy.
    let options = QuorumOptions::default().with_max_ttl(Duration::from_secs(60));
    let options = options.with_node_timeout(Duration::from_secs(20));
    let opened = block_on(Quorum::open(servers.iter().map(node).collect(), machine(), options));
    Locks::over(Arc::new(opened.expect("a majority answers")), machine(), patient())
}

/// A busy machine answers late.
fn patient() -> LocksOptions {
    LocksOptions::default().with_store_timeout(Duration::from_secs(60))
}

/// A server's URL, with limits that no pause of a busy machine reaches.
pub(crate) fn unhurried(server: &Server) -> String {
    format!("{}?call_timeout=60s&connect_timeout=60s", server.url())
}
