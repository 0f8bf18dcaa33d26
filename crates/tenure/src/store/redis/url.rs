//! The parameters of a URL that are about the store behind a server: how locks are called, and the
//! restart guard. It connects nothing.

use std::time::Duration;

use crate::store::StoreError;

use super::ack::Ack;
use super::client::{Place, ServerUrl};
use super::keys::{Scope, Template};

/// The server's parameters are in `client/url.rs`.
const PARAMETERS: [&str; 4] = [
    // How many replicas must acknowledge a grant: none (default), a number, or majority.
    "ack",
    // For how long they are waited for (default: a quarter of call_timeout).
    "ack_timeout",
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
    pub(super) ack: Option<Ack>,
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
        let ack = given.take("ack");
        let ack = Ack::read(ack.as_deref(), given.limit("ack_timeout")?, server.limits.call)?;
        Ok(Self { server, key_template, restart_guard, ack })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_its_locks_and_its_restart_guard() {
        let url = StoreUrl::parse("redis://h").expect("a good URL");
        assert_eq!((url.key_template, url.restart_guard), (Template::default(), Duration::ZERO));
        assert_eq!(url.ack, None);
        let text = "redis://h?key_template=lock:%7Bname%7D:x&restart_guard=5m&db=7";
        let url = StoreUrl::parse(text).expect("a good URL");
        assert_eq!(Ok(url.key_template), Template::parse("lock:{name}:x"));
        assert_eq!(url.restart_guard, Duration::from_secs(300));
        assert_eq!(&*url.server.name(), "redis://h:6379/7");
        let url = StoreUrl::parse("redis://h?ack=2&ack_timeout=300ms").expect("a good URL");
        assert_eq!(url.ack.map(|ack| ack.within), Some(Duration::from_millis(300)));
        for (text, words) in [
            ("redis://h?key_template=lock", "{name} in it exactly once"),
            ("redis://h?key_template={name}{name}", "{name} in it exactly once"),
            ("redis://h?restart_guard=5", "a time with its unit"),
            ("redis://h?ack=all", "none, majority, or a number of replicas"),
            ("redis://h?ack=1&ack_timeout=5", "a time with its unit"),
            ("redis://h?ack=1&call_timeout=400ms&ack_timeout=400ms", "make it shorter"),
            ("redis://h?ack_timeout=400ms", "name their number by ack"),
            (
                "redis://h?timeout=1s",
                "known are: ack, ack_timeout, ca, call_timeout, cert, connect_timeout, db, key, \
                 key_template, password_file, restart_guard, server_name",
            ),
        ] {
            let message = StoreUrl::parse(text).expect_err(text).message;
            assert!(message.contains(words), "{text}: {message}");
        }
    }

    /// The page is what people have who read no code.
    #[test]
    fn the_page_of_this_store_has_every_parameter() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/redis.md");
        let page = std::fs::read_to_string(page).expect("a clone has the page");
        let section = page.split("\n## ").find(|section| section.starts_with("The URL\n"));
        let rows = section.expect("a section").lines().filter(|line| line.starts_with("| `"));
        let cells = rows.filter_map(|row| row.split('|').nth(1));
        let mut documented: Vec<_> = cells
            .flat_map(|cell| cell.split('`').skip(1).step_by(2))
            .filter_map(|word| Some(word.split_once('=')?.0))
            .collect();
        documented.sort_unstable();
        documented.dedup();
        let message = StoreUrl::parse("redis://h?nosuch=1").expect_err("unknown").message;
        let (_, known) = message.split_once("known are: ").expect("a list");
        assert_eq!(documented, known.split(", ").collect::<Vec<_>>());
    }
}
