//! A message of `tenure` as a line on stderr: text for people, or JSON for programs (`--log-format
//! json`, see `schema/log.json`). It writes nothing.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::{clock, printable};

/// The form of the messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Serialize, Deserialize)]
pub(crate) enum Format {
    #[default]
    Text,
    Json,
}

/// How much a message matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    Error,
    Info,
    Debug,
}

/// The thing that the messages of this process are about.
#[derive(Debug, Serialize)]
struct Subject {
    keys: Vec<String>,
    store: String,
    label: String,
}

/// One message as JSON.
#[derive(Serialize)]
struct Line<'a> {
    time: String,
    level: Severity,
    event: &'a str,
    message: &'a str,
    key: Option<&'a str>,
    keys: &'a [String],
    store: Option<&'a str>,
    label: Option<&'a str>,
    pid: u32,
}

static IS_JSON: AtomicBool = AtomicBool::new(false);
static SUBJECT: OnceLock<Subject> = OnceLock::new();

/// Sets the form of all messages from here on.
pub(crate) fn set_format(format: Format) {
    IS_JSON.store(format == Format::Json, Ordering::Relaxed);
}

/// The form of the messages.
pub(crate) fn format() -> Format {
    if IS_JSON.load(Ordering::Relaxed) { Format::Json } else { Format::Text }
}

/// Names the keys, the store and the holder for the lines of JSON from here on. The first call
/// counts.
pub(crate) fn about(keys: Vec<String>, store: String, label: String) {
    let _ = SUBJECT.set(Subject { keys, store, label });
}

/// The line, with its end.
pub(crate) fn line(severity: Severity, event: &str, message: &str) -> String {
    if format() == Format::Text {
        return format!("tenure: {}\n", printable::lines(message));
    }
    let subject = SUBJECT.get();
    let line = Line {
        time: clock::timestamp(clock::wall()),
        level: severity,
        event,
        message,
        key: subject.and_then(|subject| subject.keys.first()).map(String::as_str),
        keys: subject.map_or(&[], |subject| &subject.keys),
        store: subject.map(|subject| subject.store.as_str()),
        label: subject.map(|subject| subject.label.as_str()),
        pid: std::process::id(),
    };
    let json = serde_json::to_string(&line).unwrap_or_default();
    json + "\n"
}
