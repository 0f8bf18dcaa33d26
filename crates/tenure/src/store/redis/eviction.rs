//! The eviction policy of a server: any but `noeviction` takes locks away as if they were a cache's
//! entries. It asks nothing itself.

use std::sync::Arc;

use crate::observe::report;
use crate::runtime::Runtime;

use super::client::Value;

/// The question for the policy. It needs no right that an acquire with `ack` does not need.
pub(super) const QUESTION: [&str; 2] = ["INFO", "memory"];

/// The setting that mends it.
pub(super) const NO_EVICTION: &str = "maxmemory-policy noeviction";

/// CONFIG SET alone changes the running server, and not its next start.
const REMEDY: &str = "CONFIG SET maxmemory-policy noeviction, and write it into the configuration \
                      (CONFIG REWRITE) for the next start";

/// The harm of a policy to locks; `None`: none. Each lock has a ttl, so the `volatile` policies
/// choose among locks first of all.
pub(super) fn threat(policy: &str, is_limited: bool) -> Option<String> {
    if policy == "noeviction" {
        return None;
    }
    let which = match policy.strip_prefix("volatile-") {
        Some(_) => "keys with a ttl, which all locks are,",
        None => "any keys, locks among them,",
    };
    let when = if is_limited { "when its memory is full" } else { "once it has a maxmemory" };
    Some(format!(
        "the server deletes {which} {when} (maxmemory-policy {policy}): a lock that is deleted is \
         granted to the next while its holder still works"
    ))
}

/// Warns of a policy that takes locks away, by the answer to [`question`]. A server that does not
/// answer it is not blamed.
pub(super) fn warn(runtime: &Arc<dyn Runtime>, store: &Arc<str>, answer: &Value) {
    let Value::BulkString(info) = answer else { return };
    let info = String::from_utf8_lossy(info);
    let field = |name: &str| {
        let mut lines = info.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
    };
    let is_limited = field("maxmemory").is_some_and(|bytes| bytes != "0");
    let Some(threat) = field("maxmemory_policy").and_then(|policy| threat(policy, is_limited))
    else {
        return;
    };
    let say = |store: &Arc<str>, threat: &String| {
        tracing::warn!(%store, %threat, remedy = REMEDY, "this server may evict locks");
    };
    report!(runtime, say, store, &threat);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_policy_but_noeviction_is_a_threat() {
        assert_eq!(threat("noeviction", true), None);
        for (policy, words) in [
            ("volatile-lru", "which all locks are"),
            ("volatile-ttl", "which all locks are"),
            ("allkeys-lfu", "locks among them"),
        ] {
            let text = threat(policy, true).expect(policy);
            assert!(text.contains(words) && text.contains("memory is full"), "{text}");
            assert!(threat(policy, false).expect(policy).contains("once it has a maxmemory"));
        }
    }
}
