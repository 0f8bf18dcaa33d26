//! The arguments of the tools, as they come. An unknown one is refused, so that a misspelt limit is
//! not taken for none.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use rmcp::model::JsonObject;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{DeserializeOwned, Error, Visitor};
use serde::{Deserialize, Deserializer};
use tenure::Key;

use crate::duration;

use super::answer::Failure;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Acquire {
    /// The lock's name, agreed among all who share the thing it protects, such as "migrations" or
    /// "file:src/schema.rs".
    pub(super) key: String,
    /// How long you hold it unless you renew it. It ends then, so that a lock that was forgotten
    /// does not stay for ever. Default "10m", or the longest that the store allows.
    pub(super) ttl: Option<Span>,
    /// How long to wait in line if another holds it. Default "0s": answer at once. Waits above
    /// "50s" may outlast your client's patience; ask again instead.
    pub(super) wait: Option<Span>,
    /// Your name, which others see.
    #[serde(rename = "as")]
    pub(super) name: Option<String>,
    /// Your reason, which others see.
    pub(super) purpose: Option<String>,
    /// Keep the lock when this session ends. The answer then has a ticket, by which a later session
    /// renews or releases it. Default false: the end of the session gives it back.
    pub(super) keep_after_session: Option<bool>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Renew {
    /// The key, if this session holds it.
    pub(super) key: Option<String>,
    /// The ticket, if an earlier session acquired it.
    pub(super) ticket: Option<String>,
    /// How long you hold it from now on. It never shortens. Default: the ttl it was acquired with.
    pub(super) ttl: Option<Span>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Release {
    /// The key, if this session holds it.
    pub(super) key: Option<String>,
    /// The ticket, if an earlier session acquired it.
    pub(super) ticket: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Who {
    /// The key.
    pub(super) key: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct List {
    /// Only keys that begin with this text. Default: all.
    pub(super) prefix: Option<String>,
    /// Only keys behind this one, in order: the `more_after` of the last answer.
    pub(super) after: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Wait {
    /// The key.
    pub(super) key: String,
    /// How long to wait at most. Default "30s".
    pub(super) limit: Option<Span>,
}

/// Reads the arguments of a tool. The refusal shows the right use.
pub(super) fn read<T: DeserializeOwned>(
    (arguments, example): (Option<JsonObject>, &str),
) -> Result<T, Failure> {
    let arguments = serde_json::Value::Object(arguments.unwrap_or_default());
    serde_json::from_value(arguments).map_err(|e| {
        Failure::invalid(format!("{e}; write the arguments like {example}. Nothing was touched"))
    })
}

/// The key, checked.
pub(super) fn key(text: &str) -> Result<Key, Failure> {
    Key::new(text).map_err(|e| Failure::invalid(format!("{e}. Nothing was touched")))
}

/// A duration as people write it, with a unit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span(pub(super) Duration);

impl JsonSchema for Span {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Span".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "examples": ["30s", "10m", "1h30m"] })
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OfText)
    }
}

struct OfText;

impl Visitor<'_> for OfText {
    type Value = Span;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration with its unit, such as \"30s\" or \"10m\"")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Span, E> {
        let span = duration::parse(text);
        span.map(Span).map_err(|e| E::custom(format!("{text:?} is no duration: {e}")))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Span, E> {
        self.visit_str(&number.to_string())
    }
}
