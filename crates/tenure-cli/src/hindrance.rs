//! The reason why a store grants nothing new, or may not know of a holder: it is a replica, a
//! restart guard is on, or nodes of a quorum are away. A look at any key tells it. The fields of
//! the JSON are a contract: more may come, none goes.

use std::sync::Arc;

use serde::Serialize;
use tenure::protocol::{Guarded, Inspection, NodeView, State, majority};
use tenure::store::Reach;
use tenure::{Error, ErrorKind, Key, Locks};

use crate::exit::{Exit, Refusal};
use crate::inspect::Early;
use crate::report::millis;
use crate::told;

/// The consequence of nodes that are away, and the remedy.
const AWAY: &str = "a lock of which they have a part may not be shown; tenure doctor tells more";

/// The reason, as of the moment of a look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "mcp", derive(schemars::JsonSchema))]
pub(crate) struct Hindrance {
    /// "replica", "restart_guard", "nodes_away" or "unknown".
    kind: &'static str,
    /// The reason and what to do, for people.
    pub(crate) text: String,
    /// Milliseconds until it ends by itself, if that is known.
    left_ms: Option<u64>,
    /// The primary of a replica, or the nodes that are away.
    #[serde(skip)]
    about: String,
}

impl Hindrance {
    /// The reason that a look at a key has told. `now` is the wall clock in microseconds.
    pub(crate) fn of(seen: &Inspection, now: u64) -> Option<Self> {
        let silent = seen.nodes.iter().filter(|node| !node.answered);
        let away: Vec<_> = silent.map(|node| &*node.name).collect();
        let about = seen.replica_of.as_deref().map_or_else(|| away.join(" "), str::to_owned);
        let nodes = || format!("{}; {AWAY}", told::nodes(&seen.nodes));
        let nodes = (!away.is_empty()).then(nodes);
        let (kind, text) = match (told::hindrance(seen, now), nodes) {
            (Some(text), nodes) => {
                let kind = if seen.replica_of.is_some() { "replica" } else { "restart_guard" };
                (kind, nodes.map_or(text.clone(), |nodes| format!("{text}; {nodes}")))
            }
            (None, Some(nodes)) => ("nodes_away", nodes),
            (None, None) => return None,
        };
        let left_ms = seen.guarded.filter(|_| kind == "restart_guard").map(|g| millis(g.left));
        Some(Self { kind, text, left_ms, about })
    }

    /// The reason for all keys that begin with `prefix`, of which there may be none. To a user who
    /// may look at other keys alone, one of those tells it.
    pub(crate) async fn of_store(
        locks: &Locks,
        prefix: &str,
        now: u64,
    ) -> tenure::Result<Option<Self>> {
        // A file has no such thing.
        if locks.capabilities().reach != Reach::Network && !locks.capabilities().composite {
            return Ok(None);
        }
        let key = if Key::new(prefix).is_ok() { prefix } else { "tenure" };
        match locks.mutex(key).inspect().await {
            Ok(seen) => Ok(Self::of(&seen, now)),
            Err(e) if e.kind() == ErrorKind::Refused => {
                let readable = locks.list(prefix, None, 1).await?;
                let first = readable.first();
                Ok(first.map_or_else(|| Some(Self::unknown()), |(_, seen)| Self::of(seen, now)))
            }
            Err(e) => Err(of_all(e)),
        }
    }

    /// The user has no key to look at.
    fn unknown() -> Self {
        let text = "this user may not read whether it is a replica or under a restart guard, and \
                    so may know of no lock: name a prefix of the user's own";
        Self { kind: "unknown", text: text.into(), left_ms: None, about: String::new() }
    }

    /// Whether a later look has told the same, but for the time that has passed.
    pub(crate) fn is_as(&self, later: &Self) -> bool {
        self.kind == later.kind && self.about == later.about
    }

    /// The line about its end.
    pub(crate) fn over(&self) -> &'static str {
        match self.kind {
            "replica" => "this server is no replica any more",
            "restart_guard" => "the restart guard has ended, and new locks are granted",
            "unknown" => "it is neither a replica nor under a restart guard",
            _ => "all nodes answer",
        }
    }
}

/// The failure of a look at a key that stands for all: nobody has named it.
fn of_all(error: Error) -> Error {
    let all = Error::new(error.kind(), error.operation(), error.message());
    let all = match error.store() {
        Some(store) => all.with_store(&store.into()),
        None => all,
    };
    all.with_source(Arc::new(error))
}

/// Whether a store that says that a key is free may have forgotten, or not yet heard, of a lease.
pub(crate) fn is_unsure(seen: &Inspection) -> bool {
    seen.guarded.is_some() || seen.replica_of.is_some() || is_split(seen)
}

/// Whether a key that the store takes for free may be held all the same.
pub(crate) fn may_be_held(seen: &Inspection) -> bool {
    seen.state == State::Free && is_unsure(seen)
}

/// Whether nodes that are away could make a majority with those that have a holder of a key, which
/// the others do not know.
pub(crate) fn is_split(seen: &Inspection) -> bool {
    let count = |is_meant: fn(&NodeView) -> bool| seen.nodes.iter().filter(|n| is_meant(n)).count();
    let (holding, away) = (count(|node| node.holds), count(|node| !node.answered));
    seen.state == State::Free && holding > 0 && holding + away >= majority(seen.nodes.len())
}

/// The refusal to say who holds a key, of a store that may not know; `None`: it knows.
pub(crate) fn unknown(seen: &Inspection) -> Option<Early> {
    let message = if let Some(primary) = &seen.replica_of {
        format!(
            "this server is a replica of {primary}, and may not know who holds the key: name its \
             primary by --store"
        )
    } else if is_split(seen) {
        format!("{} ({})", told::SPLIT, told::nodes(&seen.nodes))
    } else {
        return None;
    };
    Some(Early::Refusal(Refusal { exit: Exit::UNAVAILABLE, message }))
}

/// The same, of a key that the store knows nobody to use: under a restart guard it may have
/// forgotten somebody. `now` is the wall clock in microseconds.
pub(crate) fn forgotten(key: &Key, seen: &Inspection, now: u64) -> Option<Early> {
    let forgets = |guarded: &Guarded| {
        let key = key.as_str();
        let message = format!("{key:?} is not known to be free: {}", guarded.told(now));
        Early::Refusal(Refusal { exit: Exit::UNAVAILABLE, message })
    };
    unknown(seen).or_else(|| seen.guarded.as_ref().map(forgets))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn node(answered: bool, holds: bool) -> NodeView {
        let (name, said) = ("redis://n".into(), "".into());
        NodeView { name, answered, holds, said, took: Duration::ZERO }
    }

    #[test]
    fn a_key_is_surely_free_only_if_no_majority_can_have_it() {
        for (nodes, expected) in [
            ([(true, false), (true, false), (true, false)], false),
            ([(true, false), (true, false), (false, false)], false),
            // One that answered knows of a holder, and the one that is away may as well.
            ([(true, true), (true, false), (false, false)], true),
            ([(true, true), (true, false), (true, false)], false),
        ] {
            let mut seen = Inspection::free();
            seen.nodes = nodes.map(|(answered, holds)| node(answered, holds)).into();
            assert_eq!(is_unsure(&seen), expected, "{nodes:?}");
            assert_eq!(unknown(&seen).is_some(), expected, "{nodes:?}");
        }
    }
}
