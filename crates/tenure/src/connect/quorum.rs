//! Opens a quorum: `quorum:` and the URLs of its nodes, separated by spaces. Each node is opened as
//! its own URL says. Nodes that can restart empty get the restart guard that the quorum needs. A
//! message never repeats a URL, which may carry a password.

use std::sync::Arc;
use std::time::Duration;

use crate::runtime::Runtime;
use crate::store::{Access, Answer, Quorum, QuorumOptions, Store, StoreError};

use crate::connect::entry_of;

/// A quorum as its URL names it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct QuorumUrl {
    nodes: Vec<String>,
    options: QuorumOptions,
}

/// Opens the quorum behind `quorum:`.
pub(super) fn open(
    url: &str,
    runtime: Arc<dyn Runtime>,
    access: Access,
) -> Answer<'static, Arc<dyn Store>> {
    let read = QuorumUrl::read(url);
    Box::pin(async move {
        let QuorumUrl { nodes, options } = read?;
        let mut stores = Vec::with_capacity(nodes.len());
        #[cfg(feature = "redis")]
        let mut servers = Vec::new();
        for (index, node) in nodes.iter().enumerate() {
            let opened = open_node(node, &runtime, options, access).await;
            let opened = opened.map_err(|error| {
                let message = format!("node {}: {}", index + 1, error.message);
                StoreError { message, ..error }
            })?;
            stores.push(match opened {
                #[cfg(feature = "redis")]
                Node::Server(server) => {
                    servers.push(server.clone());
                    Arc::new(server)
                }
                Node::Other(store) => store,
            });
        }
        let quorum = Quorum::open(stores, Arc::clone(&runtime), options).await?;
        #[cfg(feature = "redis")]
        servers.iter().for_each(|server| server.warn_of_eviction(&runtime));
        Ok(Arc::new(quorum) as Arc<dyn Store>)
    })
}

/// The store of one node.
enum Node {
    /// It is not connected yet: a quorum opens while a minority of its servers is away.
    #[cfg(feature = "redis")]
    Server(crate::store::Redis),
    Other(Arc<dyn Store>),
}

async fn open_node(
    url: &str,
    runtime: &Arc<dyn Runtime>,
    options: QuorumOptions,
    access: Access,
) -> Result<Node, StoreError> {
    let entry = entry_of(url)?;
    if entry.scheme == "quorum" {
        return Err(StoreError::config("a node cannot be a quorum itself".into()));
    }
    if matches!(entry.scheme, "redis+sentinel" | "redis+cluster") {
        return Err(StoreError::config(
            "a node cannot be a group of servers: it would have one vote, and forget at a \
             failover what it voted for; name independent servers by redis://"
                .into(),
        ));
    }
    #[cfg(feature = "redis")]
    if entry.scheme == "redis" {
        let url = guarded(url, options.max_ttl());
        let node_runtime = Arc::clone(runtime);
        let options = crate::store::RedisOptions { access, ..Default::default() };
        // Reading certificates may block.
        let open = move || crate::store::Redis::unopened(&url, &node_runtime, &options);
        let opened = crate::runtime::blocking(&**runtime, open).await;
        let panicked = || StoreError::config("opening it panicked: this is a defect".into());
        return Ok(Node::Server(opened.ok_or_else(panicked)??));
    }
    #[cfg(not(feature = "redis"))]
    let _ = options;
    // `node_timeout` limits each answer of a node. Opening a node may take longer.
    (entry.open)(url, Arc::clone(runtime), Duration::MAX, access).await.map(Node::Other)
}

/// The URL with the quorum's restart guard, unless it has one.
#[cfg(feature = "redis")]
fn guarded(url: &str, max_ttl: Duration) -> String {
    let gap = match url.split_once('?') {
        Some((_, parameters)) if parameters.contains("restart_guard=") => return url.to_owned(),
        Some(_) => '&',
        None => '?',
    };
    format!("{url}{gap}restart_guard={}ms", max_ttl.as_millis())
}

impl QuorumUrl {
    /// Reads the nodes and the quorum's own parameters.
    fn read(text: &str) -> Result<Self, StoreError> {
        let rest = text.split_once(':').map_or("", |(_, rest)| rest);
        let mut words: Vec<_> = rest.split_whitespace().collect();
        let mut options = QuorumOptions::default();
        if let Some(parameters) = words.last().and_then(|word| word.strip_prefix('?')) {
            words.pop();
            for part in parameters.split('&').filter(|part| !part.is_empty()) {
                options = with(options, part)?;
            }
        }
        if words.is_empty() {
            return Err(StoreError::config(
                "a quorum is named by the URLs of its nodes with spaces between, such as \
                 quorum:redis://a redis://b redis://c ?max_ttl=5m&node_timeout=1s"
                    .into(),
            ));
        }
        Ok(Self { nodes: words.into_iter().map(str::to_owned).collect(), options })
    }
}

fn with(options: QuorumOptions, parameter: &str) -> Result<QuorumOptions, StoreError> {
    let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
    let span = || {
        humantime::parse_duration(value).map_err(|_| {
            let message = format!("{name} is a time with its unit, such as 500ms, 2s or 5m");
            StoreError::config(message)
        })
    };
    match name {
        "max_ttl" => Ok(options.with_max_ttl(span()?)),
        "node_timeout" => Ok(options.with_node_timeout(span()?)),
        _ => Err(StoreError::config(
            "a quorum's parameters, behind its last space, are max_ttl and node_timeout; those \
             of a node stand in the node's own URL"
                .into(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn nodes_and_parameters_are_told_apart() {
        let read = QuorumUrl::read("quorum:redis://a  redis://b?db=1\nsqlite:/c").expect("good");
        assert_eq!(read.nodes, ["redis://a", "redis://b?db=1", "sqlite:/c"]);
        assert_eq!(read.options, QuorumOptions::default());
        let read = QuorumUrl::read("quorum:memory: ?max_ttl=2h&node_timeout=70ms").expect("good");
        let options = QuorumOptions::default().with_max_ttl(Duration::from_secs(7200));
        assert_eq!(read.nodes, ["memory:"]);
        assert_eq!(read.options, options.with_node_timeout(Duration::from_millis(70)));
    }

    #[test]
    fn what_is_wrong_is_told_without_what_was_given() {
        for (text, words) in [
            ("quorum:", "spaces between"),
            ("quorum: ?max_ttl=5m", "spaces between"),
            ("quorum:redis://:secret@a ?max_ttl=5", "max_ttl is a time"),
            ("quorum:redis://:secret@a ?secret=5m", "max_ttl and node_timeout"),
        ] {
            let message = QuorumUrl::read(text).expect_err(text).message;
            assert!(message.contains(words) && !message.contains("secret"), "{text}: {message}");
        }
    }

    #[cfg(feature = "redis")]
    #[test]
    fn a_server_gets_the_guard_that_it_does_not_have() {
        let five = Duration::from_secs(300);
        assert_eq!(guarded("redis://a", five), "redis://a?restart_guard=300000ms");
        assert_eq!(guarded("redis://a?db=1", five), "redis://a?db=1&restart_guard=300000ms");
        assert_eq!(guarded("redis://a?restart_guard=10m", five), "redis://a?restart_guard=10m");
    }
}
