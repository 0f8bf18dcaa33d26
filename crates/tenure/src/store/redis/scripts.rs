//! The scripts: one for all steps, one for a crowd of the commonest, and for each kind of lone
//! step that somebody waits for one of its own. What is not used need not be set up, which takes a
//! server longer than a step itself.

use super::client::Script;

macro_rules! source {
    ($($part:literal),*) => { concat!($(include_str!(concat!("steps/", $part, ".lua"))),*) };
}

const ALL: &str = source!(
    "words", "failed", "clock", "begin", "marker", "calls", "known", "propose", "pass", "line",
    "take", "lock", "machine", "simple", "call"
);
const CROWD: &str = source!(
    "words",
    "failed",
    "clock",
    "crowd/looked_up",
    "marker",
    "calls",
    "take",
    "lock",
    "busy",
    "crowd/steps"
);
const ACQUIRE: &str = source!(
    "words",
    "clock",
    "lone/granting",
    "marker",
    "calls",
    "take",
    "lock",
    "busy",
    "lone/acquire"
);
const PROPOSE: &str = source!(
    "words",
    "clock",
    "lone/granting",
    "marker",
    "calls",
    "propose",
    "lock",
    "busy",
    "lone/propose"
);
const PASS: &str = source!("words", "clock", "lone/holding", "marker", "pass", "lone/pass");
const RELEASE: &str = source!(
    "words",
    "lone/holding",
    "marker",
    "lone/whole",
    "clock",
    "line",
    "lock",
    "busy",
    "lone/release"
);
/// The first words on each new connection to a guarded server.
pub(super) const MEET: &str = source!("words", "clock", "meet");

/// A script that reads the time from a key of the server, in microseconds.
pub(super) fn with_clock(source: &str, key: &str) -> String {
    let clock = format!("{{ 0, redis.call('GET', '{key}') }}");
    // Keys end by the server's own clock, so how long one stays says nothing about its lease.
    let source = source.replacen("redis.call('TIME')", &clock, 1);
    source.replacen("KEY_SLACK_MS = 2\n", "KEY_SLACK_MS = 1e15\n", 1)
}

/// Which script carries a request out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    All,
    Crowd,
    Acquire,
    Propose,
    Pass,
    Release,
}

#[derive(Debug)]
pub(super) struct Scripts {
    all: Script,
    crowd: Script,
    acquire: Script,
    propose: Script,
    pass: Script,
    release: Script,
}

impl Scripts {
    /// All of them behind a preface, each as `change` has it.
    pub(super) fn new(preface: &str, change: impl Fn(Script) -> Script) -> Self {
        let script = |name, source| {
            change(Script { source: [preface, source].concat().into(), ..Script::new(name, "") })
        };
        Self {
            all: script("steps", ALL),
            crowd: script("crowd", CROWD),
            acquire: script("acquire", ACQUIRE),
            propose: script("propose", PROPOSE),
            pass: script("pass", PASS),
            release: script("release", RELEASE),
        }
    }

    pub(super) fn get(&self, by: By) -> &Script {
        match by {
            By::All => &self.all,
            By::Crowd => &self.crowd,
            By::Acquire => &self.acquire,
            By::Propose => &self.propose,
            By::Pass => &self.pass,
            By::Release => &self.release,
        }
    }
}
