//! Whether other hosts can reach a store, by its URL alone. It opens nothing and looks up no name:
//! a name that leads to this host is not recognised, except `localhost`.

use std::ffi::OsString;
#[cfg(feature = "redis")]
use std::net::IpAddr;

use super::StoreEntry;
use crate::types::{Error, ErrorKind, Operation, Result};

/// The variable that refuses a store which other hosts cannot reach.
pub const REQUIRE: &str = "TENURE_REQUIRE_NETWORK";

/// Whether the environment refuses a store that other hosts cannot reach. A value that is neither
/// on nor off is refused: whoever wrote it wanted something.
pub(super) fn is_required(env: impl Fn(&str) -> Option<OsString>) -> Result<bool> {
    let value = env(REQUIRE).unwrap_or_default();
    match value.to_str() {
        Some("" | "0") => Ok(false),
        Some("1") => Ok(true),
        _ => {
            let message = format!("{REQUIRE} is neither 1 (on) nor 0 (off): write one of them");
            Err(Error::new(ErrorKind::Config, Operation::Connect, message))
        }
    }
}

/// The reason why other hosts cannot reach a server, or all servers, of this name of a store.
#[cfg(feature = "redis")]
pub(super) fn of_servers(name: &str) -> Option<String> {
    if name.contains("+unix:") {
        return Some("is a Unix socket of this host".into());
    }
    let (_, rest) = name.split_once("://")?;
    let hosts: Vec<_> = rest.split('/').next()?.split(',').map(host).collect();
    let is_own = hosts.iter().all(|host| is_own(host));
    is_own.then(|| format!("has the address {} of this host alone", hosts.join(", ")))
}

/// The reason for a quorum. One node is enough: of a node that each host has for itself, no two
/// majorities need to have a server in common.
pub(super) fn of_nodes(nodes: &str) -> Option<String> {
    nodes.split_whitespace().find_map(|url| {
        let entry = StoreEntry::of(url).ok()?;
        let reason = entry.own_host(url)?;
        Some(format!("has a node ({}) that {reason}", entry.name_of(url)))
    })
}

/// The host in `HOST:PORT` or `[HOST]:PORT`.
#[cfg(feature = "redis")]
fn host(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.trim_start_matches('[').trim_end_matches(']')
}

/// Whether a host's name or address means another host on each host.
#[cfg(feature = "redis")]
fn is_own(host: &str) -> bool {
    let name = host.trim_end_matches('.').to_ascii_lowercase();
    let is_named = matches!(&*name, "localhost" | "localhost.localdomain" | "ip6-localhost");
    is_named
        || name.ends_with(".localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| {
            let address = address.to_canonical();
            address.is_loopback() || address.is_unspecified()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(url: &str) -> Option<String> {
        StoreEntry::of(url).expect("a known store").own_host(url)
    }

    #[test]
    fn the_variable_is_on_off_or_refused() {
        let set = |value: &str| is_required(|name| (name == REQUIRE).then(|| value.into()));
        assert_eq!(is_required(|_| None).ok(), Some(false));
        for (value, expected) in [("", false), ("0", false), ("1", true)] {
            assert_eq!(set(value).ok(), Some(expected), "{value}");
        }
        for value in ["yes", "true", "no", " 1", "2", "off"] {
            let error = set(value).expect_err(value);
            assert_eq!(error.kind(), ErrorKind::Config, "{value}");
        }
    }

    #[test]
    fn memory_is_of_one_process() {
        assert_eq!(reason("memory:").as_deref(), Some("is the memory of one process"));
    }

    #[cfg(feature = "sqlite")]
    #[test]
    fn a_file_is_of_one_host() {
        assert_eq!(reason("sqlite:/x/locks.db").as_deref(), Some("is a file of this host"));
    }

    #[cfg(feature = "redis")]
    #[test]
    fn a_server_under_an_address_of_this_host_alone_is_told_from_others() {
        for url in [
            "redis://localhost",
            "redis://ada:s3cret@LOCALHOST:6380/1",
            "rediss://127.0.0.1",
            "valkey://127.1.2.3:7000",
            "redis://[::1]:6379",
            "redis://0.0.0.0",
            "redis://[::ffff:127.0.0.1]",
            "redis://redis.localhost",
            "redis+sentinel://127.0.0.1,localhost/main",
            "redis+cluster://127.0.0.1:7000,127.0.0.1:7001",
        ] {
            let reason = reason(url).unwrap_or_else(|| panic!("{url} is no store for other hosts"));
            assert!(reason.contains("of this host alone"), "{url}: {reason}");
            assert!(!reason.contains("s3cret"), "{reason}");
        }
        let socket = reason("redis+unix:///run/redis.sock");
        assert_eq!(socket.as_deref(), Some("is a Unix socket of this host"));
        for url in [
            "redis://locks.internal",
            "redis://10.0.0.1:6379/0",
            "redis://localhost.example",
            "redis+sentinel://127.0.0.1,s2,s3/main",
            "redis://[2001:db8::1]",
        ] {
            assert_eq!(reason(url), None, "{url}");
        }
    }

    /// Two hosts may hold at a time: each by its own node and one of the two others.
    #[cfg(feature = "redis")]
    #[test]
    fn one_node_of_this_host_makes_no_quorum_for_others() {
        for url in [
            "quorum:redis://a redis://b redis://localhost",
            "quorum:redis://127.0.0.1:1 redis://127.0.0.1:2 redis://127.0.0.1:3 ?max_ttl=1m",
        ] {
            let reason = reason(url).unwrap_or_else(|| panic!("{url}"));
            assert!(reason.starts_with("has a node (redis://"), "{reason}");
        }
        assert_eq!(reason("quorum:redis://a redis://b redis://c ?max_ttl=1m"), None);
    }
}
