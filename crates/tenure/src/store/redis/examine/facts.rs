//! The facts that a server tells of itself, if they matter to locks. It asks nothing and judges
//! nothing.

use std::sync::Arc;
use std::time::Duration;

use crate::protocol::Guarded;

/// The facts about one server. `None`, or an error with its reason: the server does not tell.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    /// The server, without secrets.
    pub(super) place: Arc<str>,
    /// The longest ttl in use.
    pub(super) ttl: Duration,
    /// How the URL names the store.
    pub(super) wanted: Wanted,
    /// Round trips of PING.
    pub(super) pings: Vec<Duration>,
    pub(super) info: Result<Info, String>,
    pub(super) clock: Result<Clock, String>,
    /// The text of `CONFIG GET save`.
    pub(super) save: Option<String>,
    pub(super) marker: Marker,
    /// The restart guard, until it has ended.
    pub(super) guarded: Option<Guarded>,
    pub(super) rights: Result<Missing, String>,
    pub(super) pushes: Pushes,
}

/// The part of the URL that changes how a finding counts.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Wanted {
    /// Zero: off.
    pub(super) restart_guard: Duration,
    pub(super) ack: bool,
    pub(super) group: Group,
}

/// The servers around the one that is examined.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Group {
    #[default]
    None,
    Sentinels,
    Cluster,
}

/// The answer to a question for the marker of the restart guard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Marker {
    /// Somebody uses a restart guard there.
    Set,
    Missing,
    /// A node of a cluster that serves no keys now.
    ClusterDown,
    Untold,
}

/// The server's clock beside ours.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    /// How far it is ahead, in microseconds.
    pub(super) ahead: i64,
    /// How much of that may be the way there, in microseconds.
    pub(super) fuzz: i64,
    /// By how much more it advanced than our steady clock meanwhile, in microseconds.
    pub(super) step: i64,
}

/// The commands that this user may not use, or that the server lacks.
#[derive(Debug, Clone, Default)]
pub(super) struct Missing(pub(super) Vec<String>);

/// Whether waiters are told of their grants.
#[derive(Debug, Clone)]
pub(super) enum Pushes {
    Arrive,
    /// Subscribing is not allowed, or not possible.
    Forbidden,
    Failed(String),
}

/// The text of INFO.
#[derive(Debug, Clone)]
pub(super) struct Info(pub(super) String);

impl Info {
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let mut lines = self.0.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
    }

    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.text(name)?.parse().ok()
    }

    /// The replicas that are linked.
    pub(super) fn replicas(&self) -> Vec<Replica<'_>> {
        let lines = self.0.lines().filter_map(|line| line.strip_prefix("slave")?.split_once(':'));
        let numbered = lines.filter(|(number, _)| number.bytes().all(|b| b.is_ascii_digit()));
        numbered.map(|(_, fields)| Replica { fields: fields.trim() }).collect()
    }

    /// The kind of server and its version.
    pub(super) fn version(&self) -> Option<String> {
        match self.text("valkey_version") {
            Some(version) => Some(format!("Valkey {version}")),
            None => self.text("redis_version").map(|version| format!("Redis {version}")),
        }
    }
}

/// The text of a primary about a replica: `ip=10.0.0.2,port=6379,state=online,offset=14,lag=1`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Replica<'a> {
    fields: &'a str,
}

impl<'a> Replica<'a> {
    pub(super) fn field(self, name: &str) -> Option<&'a str> {
        let mut fields = self.fields.split(',').filter_map(|field| field.split_once('='));
        fields.find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// Host and port.
    pub(super) fn address(self) -> String {
        let of = |name| self.field(name).unwrap_or("?");
        format!("{}:{}", of("ip"), of("port"))
    }

    /// The time since it last acknowledged anything.
    pub(super) fn lag(self) -> Option<Duration> {
        self.field("lag")?.parse().ok().map(Duration::from_secs)
    }
}
