//! The keys of all locks, found by scanning the servers that have them, in rounds, so that these
//! serve others in between. A lock is known by its value, and where it is not, by its record.

use std::collections::BTreeSet;
use std::iter;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::observe::tell;
#[cfg(doc)]
use crate::store::Access;
use crate::store::{StoreError, StoreErrorClass};
use crate::types::Key;

use super::carrier::all;
use super::client::{Command, Failure};
use super::keys::Scope;
use super::marker::nonsense;
use super::node::Node;
use super::topology::Topology;
use super::{decode, defect};

/// How many names one round looks at.
const COUNT: u32 = 1000;

/// How many keys the last whole scan was not allowed to read. It is told whenever it changes.
#[derive(Debug, Default)]
pub(super) struct Hidden(AtomicUsize);

impl Hidden {
    fn found(&self, topology: &Topology, store: &Arc<str>, count: usize) {
        if self.0.swap(count, Ordering::Relaxed) == count || count == 0 {
            return;
        }
        let say = |store: &Arc<str>, count: &usize| {
            let keys =
                if *count == 1 { "key that may be a lock" } else { "keys that may be locks" };
            tracing::warn!(
                %store,
                "{count} {keys}: not shown, since this user lacks the right to read them"
            );
        };
        tell!(topology.settings().runtime, say, store, &count);
    }
}

/// All keys of ours, and with [`Access::LooksAtAll`] all strings, that begin with `prefix` and come
/// after `after`, in order.
pub(super) async fn keys(
    (topology, store): (&Topology, &Arc<str>),
    hidden: &Hidden,
    prefix: &str,
    after: Option<&Key>,
) -> Result<Vec<Key>, StoreError> {
    let is_meant =
        |key: &Key| key.as_str().starts_with(prefix) && after.is_none_or(|after| key > after);
    let template = &topology.settings().template;
    let (mut keys, mut refused) = (Vec::new(), BTreeSet::new());
    for node in topology.masters().await? {
        let mut cursor = "0".to_owned();
        loop {
            let count = COUNT.to_string();
            let scan = Command::of(&["SCAN", &cursor, "COUNT", &count, "TYPE", "string"]);
            let answer = node.link.command(&scan).await?;
            let Some((next, names)) = decode::decode_scan(answer) else {
                return Err(defect("a SCAN was answered with something else".into()));
            };
            keys.extend(names.iter().filter_map(|name| template.key_of_record(name)));
            let is_wanted =
                |name: &&String| template.key_of_lock(name).is_some_and(|k| is_meant(&k));
            let names: Vec<_> = names.iter().filter(is_wanted).collect();
            if topology.settings().lists_all {
                keys.extend(names.iter().filter_map(|name| template.key_of_lock(name)));
            } else {
                let locks = ours(&node, template.scope(), &names, &mut refused).await?;
                keys.extend(locks.iter().filter_map(|name| template.key_of_lock(name)));
            }
            if next == "0" {
                break;
            }
            cursor = next;
        }
    }
    // Later pages see only the rest.
    if after.is_none() {
        hidden.found(topology, store, refused.len());
    }
    keys.retain(is_meant);
    keys.sort_unstable();
    keys.dedup();
    Ok(keys)
}

/// Those of some names that are locks of ours by their value. Names that this user may not read
/// are added to `refused`: a scan may see one twice.
async fn ours(
    node: &Node,
    scope: Scope,
    names: &[&String],
    refused: &mut BTreeSet<String>,
) -> Result<Vec<String>, StoreError> {
    let mut ours = Vec::new();
    for names in names.chunks(COUNT as usize) {
        if scope == Scope::Server {
            match ours_of(node, names).await {
                // A user who may not read all of them may read some.
                Err(failure) if failure.class() == StoreErrorClass::Refused => {}
                found => {
                    ours.extend(found?);
                    continue;
                }
            }
        }
        // One command reads the keys of one slot alone.
        let each = names.iter().map(|name| Box::pin(ours_of(node, std::slice::from_ref(name))));
        for (name, found) in names.iter().zip(all(each.collect()).await) {
            match found {
                Err(failure) if failure.class() == StoreErrorClass::Refused => {
                    refused.insert((*name).clone());
                }
                // One that has moved meanwhile may be where nobody looks any more.
                found => ours.extend(found.map_err(Failure::unsettled)?),
            }
        }
    }
    Ok(ours)
}

async fn ours_of(node: &Node, names: &[&String]) -> Result<Vec<String>, Failure> {
    let words: Vec<_> = iter::once("MGET").chain(names.iter().map(|n| n.as_str())).collect();
    let answer = node.link.command(&Command::of(&words)).await?;
    decode::decode_locks(answer, names).ok_or_else(|| nonsense("MGET"))
}
