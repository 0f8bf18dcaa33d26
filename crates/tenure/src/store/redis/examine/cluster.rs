//! The dangers to locks in a cluster as a whole: masters that do not answer, and slots that nobody
//! serves. It asks nothing.

use std::fmt::Write as _;
use std::sync::Arc;

use crate::store::{Finding, Severity};

use super::super::slots::SLOTS;
use super::super::topology::slot_map::SlotMap;
use super::Examined;
use super::facts::Marker;

/// The number of ranges of slots that are named.
const RANGES: usize = 3;

/// The remedy of a cluster that is down.
const START: &str = "start the nodes that are away again, or promote their replicas (CLUSTER \
                     FAILOVER TAKEOVER); redis-cli --cluster check HOST:PORT says what is missing";

/// The findings about the cluster, of which these masters were asked.
pub(super) fn findings(store: &Arc<str>, map: &SlotMap, masters: &[Examined]) -> Vec<Finding> {
    vec![nodes(store, masters), slots(store, map)]
}

fn nodes(store: &Arc<str>, masters: &[Examined]) -> Finding {
    let say = |severity, what: String| Finding::new(store, "nodes", severity, what);
    let nothing = "nothing is granted, and holders are lost by their deadlines";
    let is_down = |examined: &&Examined| {
        examined.facts.as_ref().is_ok_and(|facts| facts.marker == Marker::ClusterDown)
    };
    let away: Vec<_> = masters
        .iter()
        .filter_map(|examined| examined.facts.as_ref().err().map(|why| (&examined.place, why)))
        .collect();
    let all = masters.len();
    let mut what = format!("{} of {all} masters answer", all - away.len());
    for (at, (place, why)) in away.iter().enumerate() {
        // Writing to a text does not fail.
        let _ = write!(what, "{}{place} ({why})", if at == 0 { "; not: " } else { "; " });
    }
    if let Some(told) = masters.iter().find(is_down) {
        let what = format!("the cluster is down, as {} says (CLUSTERDOWN); {what}", told.place);
        return say(Severity::Error, what).so(nothing, START);
    }
    if away.len() == all {
        return say(Severity::Error, what).so(nothing, START);
    }
    if away.is_empty() {
        return say(Severity::Ok, what);
    }
    say(Severity::Warning, what).so(
        "locks whose slots these nodes serve are neither granted nor renewed, until a replica is \
         promoted; with cluster-require-full-coverage no lock is, after cluster-node-timeout",
        START,
    )
}

fn slots(store: &Arc<str>, map: &SlotMap) -> Finding {
    let say = |severity, what: String| Finding::new(store, "slots", severity, what);
    let unserved = map.unserved();
    let count: usize = unserved.iter().map(ExactSizeIterator::len).sum();
    if count == 0 {
        return say(Severity::Ok, format!("all {SLOTS} hash slots are served"));
    }
    let ranges = unserved.iter().take(RANGES);
    let mut named: Vec<_> =
        ranges.map(|slots| format!("{}-{}", slots.start(), slots.end())).collect();
    if unserved.len() > RANGES {
        named.push("...".to_owned());
    }
    let what = format!("{count} of {SLOTS} hash slots are served by nobody ({})", named.join(", "));
    say(Severity::Error, what).so(
        "keys of these slots cannot be locked; with cluster-require-full-coverage (the default) \
         no key can",
        "redis-cli --cluster fix HOST:PORT, or CLUSTER ADDSLOTSRANGE at a node",
    )
}
