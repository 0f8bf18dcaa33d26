//! The dangers to locks in a quorum: the findings of its nodes, and how many of them there are. It
//! judges no node itself.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::protocol::majority;
use crate::runtime::{shown, timeout};
use crate::store::{Finding, Severity};

use super::Shared;

/// Time for all questions to one node.
const NODE_LIMIT: Duration = Duration::from_secs(10);

/// The findings about the quorum, and then those about each node.
pub(super) async fn examine(shared: &Shared, ttl: Duration) -> Vec<Finding> {
    let runtime = &*shared.runtime;
    let (mut of_nodes, mut away) = (Vec::new(), Vec::new());
    let mut known: HashMap<Arc<str>, Arc<str>> = HashMap::new();
    let mut twice = Vec::new();
    for node in &shared.nodes {
        let until = runtime.now() + NODE_LIMIT;
        let of_node = async { (node.vet().await, node.store().examine(ttl).await) };
        let Some((vetted, found)) = timeout(runtime, until, of_node).await else {
            away.push(format!(
                "{} (no answer within {limit})",
                node.name,
                limit = shown(NODE_LIMIT)
            ));
            continue;
        };
        of_nodes.extend(found);
        match vetted {
            Ok(()) => {}
            Err(failure) => away.push(format!("{} ({})", node.name, failure.message)),
        }
        if let Ok(identity) = node.store().identity().await
            && let Some(first) = known.insert(identity.unique, Arc::clone(&node.name))
        {
            twice.push(format!("{first} and {}", node.name));
        }
    }
    let mut all = vec![count(shared, &away)];
    all.extend(twice.into_iter().map(|names| {
        Finding::new(&shared.name, "nodes", Severity::Error, format!("{names} are one store"))
            .so("its vote would count twice", "name each node once")
    }));
    all.extend(of_nodes);
    all
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
