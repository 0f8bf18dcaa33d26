//! The parameters of a URL that are about the store behind a server: how locks are called, and the
//! restart guard. It connects nothing.

use std::time::Duration;

use crate::store::StoreError;

use super::client::{Place, ServerUrl};
use super::keys::{Scope, Template};

/// The server's parameters are in `client/url.rs`.
const PARAMETERS: [&str; 2] = [
    // How a lock is called in the server, with {name} in it (default {name}).
    "key_template",
    // The longest ttl: a server known for less grants nothing new (default: off).
    "restart_guard",
];

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StoreUrl {
    pub(super) server: ServerUrl,
    pub(super) key_template: Template,
    /// Zero: off.
    pub(super) restart_guard: Duration,
}

impl StoreUrl {
    pub(super) fn parse(text: &str) -> Result<Self, StoreError> {
        let (server, mut given) = ServerUrl::parse(text, &PARAMETERS)?;
        let key_template = match given.take("key_template") {
            Some(text) => Template::parse(&text).map_err(|text| StoreError::config(text.into()))?,
            None => Template::default(),
        };
        let scope = match server.place {
            Place::Cluster { .. } => Scope::Slot,
            Place::Host { .. } | Place::Socket(_) | Place::Sentinels(_) => Scope::Server,
        };
        let key_template = key_template.within(scope);
        let restart_guard = given.limit("restart_guard")?.unwrap_or_default();
        Ok(Self { server, key_template, restart_guard })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_its_locks_and_its_restart_guard() {
        let url = StoreUrl::parse("redis://h").expect("a good URL");
        assert_eq!((url.key_template, url.restart_guard), (Template::default(), Duration::ZERO));
        let text = "redis://h?key_template=lock:%7Bname%7D:x&restart_guard=5m&db=7";
        let url = StoreUrl::parse(text).expect("a good URL");
        assert_eq!(Ok(url.key_template), Template::parse("lock:{name}:x"));
        assert_eq!(url.restart_guard, Duration::from_secs(300));
        assert_eq!(&*url.server.name(), "redis://h:6379/7");
        for (text, words) in [
            ("redis://h?key_template=lock", "{name} in it exactly once"),
            ("redis://h?key_template={name}{name}", "{name} in it exactly once"),
            ("redis://h?restart_guard=5", "a time with its unit"),
            (
                "redis://h?timeout=1s",
                "known are: ca, call_timeout, cert, connect_timeout, db, key, key_template, \
                 password_file, restart_guard, server_name",
            ),
        ] {
            let message = StoreUrl::parse(text).expect_err(text).message;
            assert!(message.contains(words), "{text}: {message}");
        }
    }
}
