//! The findings of an examination: facts about a store that matter to locks, with what follows from
//! each and what to do. It asks no store.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

/// The findings of a store, still to come.
pub type Examination<'a> = Pin<Box<dyn Future<Output = Vec<Finding>> + Send + 'a>>;

/// How much a [`Finding`] matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Severity {
    /// As it should be.
    Ok,
    /// The store does not tell, or this user may not ask.
    Unknown,
    /// Worth knowing. Nothing has to be done.
    Note,
    /// Locks can be lost, or be refused, under conditions that come sooner or later.
    Warning,
    /// Locks do not work, or are lost in normal use.
    Error,
}

impl Severity {
    /// Its name in texts and in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Unknown => "unknown",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The subjects of all findings. The runbook has an entry for each of them.
pub const SUBJECTS: [&str; 22] = [
    "reachable",
    "latency",
    "clock",
    "version",
    "role",
    "promotion",
    "eviction",
    "memory",
    "persistence",
    "uptime",
    "replicas",
    "lag",
    "restart-guard",
    "rights",
    "pushes",
    "nodes",
    "slots",
    "sentinels",
    "file-system",
    "journal",
    "room",
    "reach",
];

/// A fact about a store that matters to locks. It has no secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// The store, or the server of several that it is about.
    pub place: Arc<str>,
    /// Its subject in one word, one of [`SUBJECTS`]. The same word for the same subject, always.
    pub about: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// The fact.
    pub what: String,
    /// The consequence for locks; empty if nothing does.
    pub consequence: String,
    /// The remedy, with the line to type; empty if nothing has to be done.
    pub remedy: String,
}

impl Finding {
    /// A fact of which nothing follows.
    #[must_use]
    pub fn new(
        place: &Arc<str>,
        about: &'static str,
        severity: Severity,
        what: impl Into<String>,
    ) -> Self {
        debug_assert!(SUBJECTS.contains(&about), "{about} is missing among the subjects");
        let (place, what) = (Arc::clone(place), what.into());
        Self { place, about, severity, what, consequence: String::new(), remedy: String::new() }
    }

    /// The same with what follows from it, and what to do.
    #[must_use]
    pub fn so(mut self, consequence: impl Into<String>, remedy: impl Into<String>) -> Self {
        (self.consequence, self.remedy) = (consequence.into(), remedy.into());
        self
    }
}
