//! How servers and stores are set up, and what is promised then.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::contender::TTL;

/// `min-replicas-max-lag` of the settings that have it.
const MAX_LAG: Duration = Duration::from_secs(1);

/// A set of parameters of the URL, and of lines in the servers' configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Setting {
    /// All as it is by default.
    Defaults,
    /// `?ack=1`: a grant counts when a replica has it.
    Ack,
    /// The same, and a master without a replica takes no writes.
    AckReplicas,
    /// `?restart_guard`: a master that is new, or that forgot, grants nothing for a ttl.
    Guard,
    /// The same, for a ttl and the time in which a master misses its replicas; then it takes no
    /// writes.
    GuardReplicas,
}

impl Setting {
    pub(crate) const ALL: [Self; 5] =
        [Self::Defaults, Self::Ack, Self::AckReplicas, Self::Guard, Self::GuardReplicas];

    /// The one for which no overlap is promised, whatever the fault.
    pub(crate) const SAFEST: Self = Self::GuardReplicas;

    /// The parameters of the store's URL.
    pub(crate) fn parameters(self) -> String {
        let guard = |span: Duration| format!("?restart_guard={}ms", span.as_millis());
        match self {
            Self::Defaults => String::new(),
            Self::Ack | Self::AckReplicas => "?ack=1".to_owned(),
            Self::Guard => guard(TTL),
            Self::GuardReplicas => guard(TTL + MAX_LAG),
        }
    }

    /// Further lines in the configuration of every server.
    pub(crate) fn lines(self) -> Vec<String> {
        match self {
            Self::AckReplicas | Self::GuardReplicas => vec![
                "min-replicas-to-write 1".to_owned(),
                format!("min-replicas-max-lag {}", MAX_LAG.as_secs()),
            ],
            Self::Defaults | Self::Ack | Self::Guard => Vec::new(),
        }
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Defaults => "defaults",
            Self::Ack => "ack",
            Self::AckReplicas => "ack, min-replicas",
            Self::Guard => "guard",
            Self::GuardReplicas => "guard, min-replicas",
        })
    }
}
