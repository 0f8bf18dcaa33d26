//! The ways on that a node of a cluster answers when it is not the one to ask: another node, or the
//! same again. (Redis Cluster specification, *Redirection and resharding*.)

use std::sync::Arc;

use crate::store::{StoreError, StoreErrorClass};

use super::failure::{Cause, Failure};
use super::server_error::ServerSays;

/// A host and a port.
pub(crate) type Address = (Arc<str>, u16);

/// A way on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Redirect {
    /// The slot is at another node from now on. Without a host it is the same host.
    Moved { host: Option<Arc<str>>, port: u16 },
    /// This one time another node is to be asked, behind `ASKING`.
    Ask { host: Option<Arc<str>>, port: u16 },
    /// The node cannot tell, or not yet.
    Again,
}

impl Failure {
    /// The error for people where nobody follows it, or no longer: a node that names another one is
    /// not to blame on the URL, and it passes.
    pub(crate) fn unsettled(self) -> StoreError {
        let is_sent_on =
            matches!(self.redirect(), Some(Redirect::Moved { .. } | Redirect::Ask { .. }));
        let may_have_run = self.may_have_run;
        match &self.cause {
            Cause::Server(says) if is_sent_on => StoreError {
                class: StoreErrorClass::Transient,
                message: format!(
                    "the key's hash slot is on its way to another node of the cluster, or the \
                     nodes do not agree on where it is: it passes ({}: {} {})",
                    says.command,
                    says.code,
                    says.said().unwrap_or_default()
                ),
                may_have_run,
                source: None,
            },
            _ => self.into(),
        }
    }

    /// Where to go after this answer of a node; `None`: it would be the same anywhere.
    pub(crate) fn redirect(&self) -> Option<Redirect> {
        match &self.cause {
            Cause::Server(says) => says.redirect(),
            _ => None,
        }
    }
}

impl ServerSays {
    fn redirect(&self) -> Option<Redirect> {
        let text = self.said().unwrap_or_default();
        match &*self.code {
            "MOVED" => address(text).map(|(host, port)| Redirect::Moved { host, port }),
            "ASK" => address(text).map(|(host, port)| Redirect::Ask { host, port }),
            "TRYAGAIN" | "CLUSTERDOWN" | "CROSSSLOT" | "READONLY" | "MASTERDOWN" | "LOADING" => {
                Some(Redirect::Again)
            }
            _ if IN_SCRIPT.iter().any(|part| text.contains(part)) => Some(Redirect::Again),
            _ => None,
        }
    }
}

/// Parts of the texts about a key within a script that is, or may be, at another node.
const IN_SCRIPT: [&str; 3] =
    ["access a non local key", "do not hash to the same slot", "cluster is down"];

/// The address behind the number of a slot: `3999 127.0.0.1:6381`. An IPv6 address has no brackets.
fn address(text: &str) -> Option<(Option<Arc<str>>, u16)> {
    let mut words = text.split(' ');
    let (_slot, place) = (words.next()?, words.next()?);
    let (host, port) = place.rsplit_once(':')?;
    let is_known = !matches!(host, "" | "?");
    Some((is_known.then(|| host.into()), port.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_says_where_to_go() {
        let redirect = |error: &str| Failure::answered("EVALSHA", error).redirect();
        let to = |host: &str| (Some(Arc::from(host)), 6381);
        for (text, (host, port)) in [
            ("MOVED 3999 127.0.0.1:6381", to("127.0.0.1")),
            ("MOVED 3999 fe80::1:6381", to("fe80::1")),
            ("MOVED 3999 node-7.example:6381", to("node-7.example")),
            ("MOVED 3999 :6381", (None, 6381)),
            ("MOVED 3999 ?:6381", (None, 6381)),
        ] {
            assert_eq!(redirect(text), Some(Redirect::Moved { host, port }), "{text}");
        }
        let (host, port) = to("h");
        assert_eq!(redirect("ASK 3999 h:6381"), Some(Redirect::Ask { host, port }));
        for text in [
            "TRYAGAIN Multiple keys request during rehashing of slot",
            "CLUSTERDOWN Hash slot not served",
            "CROSSSLOT Keys in request don't hash to the same slot",
            "READONLY You can't write against a read only replica.",
            "LOADING Redis is loading the dataset in memory",
            "MASTERDOWN Link with MASTER is down",
            "ERR Script attempted to access a non local key in a cluster node script: 1, on @x:1.",
            "ERR Script attempted to access keys that do not hash to the same slot script: 1",
        ] {
            assert_eq!(redirect(text), Some(Redirect::Again), "{text}");
        }
        let error = Failure::answered("EVALSHA", "MOVED 3999 h:6381").unsettled();
        assert_eq!((error.class, error.may_have_run), (StoreErrorClass::Transient, false));
        assert!(error.message.ends_with("it passes (EVALSHA: MOVED 3999 h:6381)"), "{error}");
        let error = Failure::answered("GET", "WRONGPASS no").unsettled();
        assert_eq!(error.class, StoreErrorClass::Refused);
        for text in ["NOPERM this user has no permissions", "ERR what", "MOVED", "MOVED 1 h:x"] {
            assert_eq!(redirect(text), None, "{text}");
        }
    }
}
