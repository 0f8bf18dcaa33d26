//! The dangers to locks in a quorum: the findings of its nodes, and how many of them there are. It
//! judges no node itself.

use std::time::Duration;

use crate::protocol::majority;
use crate::runtime::{answer_by, shown};
use crate::store::{Finding, Severity, StoreError, StoreErrorClass};

use super::Shared;
use super::node::Node;

/// Time for a node to say which store it is, and then for all other questions to it.
const NODE_LIMIT: Duration = Duration::from_secs(10);

/// The findings about the quorum, and then those about each node.
pub(super) async fn examine(shared: &Shared, ttl: Duration) -> Vec<Finding> {
    let runtime = &*shared.runtime;
    let limit = shown(NODE_LIMIT).to_string();
    let (mut of_nodes, mut away, mut unfit) = (Vec::new(), Vec::new(), Vec::new());
    for node in &shared.nodes {
        let until = runtime.now() + NODE_LIMIT;
        match answer_by(runtime, until, node.vet()).await {
            Some(Ok(())) => {}
            Some(Err(failure)) => {
                away.push(format!("{} ({})", node.name, failure.message));
                if failure.class == StoreErrorClass::Config {
                    unfit.push(never_counts(shared, node, &failure));
                }
            }
            None => {
                away.push(format!("{} (no answer within {limit})", node.name));
                continue;
            }
        }
        let until = runtime.now() + NODE_LIMIT;
        match answer_by(runtime, until, node.store().examine(ttl)).await {
            Some(found) => of_nodes.extend(found),
            None => of_nodes.push(too_slow(node, &limit)),
        }
    }
    let mut all = vec![count(shared, &away)];
    all.extend(unfit);
    all.extend(of_nodes);
    all
}

/// A node that the opening would have refused, had it answered in time.
fn never_counts(shared: &Shared, node: &Node, why: &StoreError) -> Finding {
    let what = format!("node {} ({}): {}", node.index + 1, node.name, why.message);
    Finding::new(&shared.name, "nodes", Severity::Error, what).so(
        "its vote never counts, so fewer nodes may fail than the quorum names",
        "correct the quorum's URL",
    )
}

fn too_slow(node: &Node, limit: &str) -> Finding {
    let what = format!("not all questions were answered within {limit}");
    Finding::new(&node.name, "latency", Severity::Warning, what).so(
        "its vote may come too late",
        "look at the network to it and at what it does (SLOWLOG), and run tenure doctor again",
    )
}

fn count(shared: &Shared, away: &[String]) -> Finding {
    let all = shared.nodes.len();
    let (count, needed) = (all - away.len(), majority(all));
    let what = format!("{count} of {all} nodes count, and {needed} are needed");
    let say = |severity, what| Finding::new(&shared.name, "nodes", severity, what);
    if away.is_empty() {
        return say(Severity::Ok, what);
    }
    let what = format!("{what}; not: {}", away.join("; "));
    if count < needed {
        say(Severity::Error, what).so(
            "nothing is granted or renewed",
            "start the nodes again, or mend what each of them says",
        )
    } else {
        let left = count - needed;
        say(Severity::Warning, what).so(
            format!("locks work, and survive the loss of {left} more"),
            "start the nodes again, or mend what each of them says",
        )
    }
}
