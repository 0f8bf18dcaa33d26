//! The scripts: one for all steps, and for each kind of lone step that somebody waits for one of
//! its own. What is not used need not be set up, which takes a server longer than the step itself.

use super::link::Script;

macro_rules! source {
    ($($part:literal),*) => { concat!($(include_str!(concat!("steps/", $part, ".lua"))),*) };
}

const ALL: &str = source!(
    "clock", "begin", "calls", "propose", "pass", "line", "take", "lock", "machine", "simple",
    "call"
);
const ACQUIRE: &str =
    source!("clock", "lone/granting", "calls", "take", "lock", "lone/busy", "lone/acquire");
const PROPOSE: &str =
    source!("clock", "lone/granting", "calls", "propose", "lock", "lone/busy", "lone/propose");
const PASS: &str = source!("clock", "lone/holding", "pass", "lone/pass");
const RELEASE: &str = source!("clock", "lone/holding", "line", "lone/release");

/// Which script carries a request out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    All,
    Acquire,
    Propose,
    Pass,
    Release,
}

#[derive(Debug)]
pub(super) struct Scripts {
    all: Script,
    acquire: Script,
    propose: Script,
    pass: Script,
    release: Script,
}

impl Scripts {
    /// All of them, each as `change` has it.
    pub(super) fn new(change: impl Fn(Script) -> Script) -> Self {
        Self {
            all: change(Script::new("steps", ALL)),
            acquire: change(Script::new("acquire", ACQUIRE)),
            propose: change(Script::new("propose", PROPOSE)),
            pass: change(Script::new("pass", PASS)),
            release: change(Script::new("release", RELEASE)),
        }
    }

    pub(super) fn get(&self, by: By) -> &Script {
        match by {
            By::All => &self.all,
            By::Acquire => &self.acquire,
            By::Propose => &self.propose,
            By::Pass => &self.pass,
            By::Release => &self.release,
        }
    }
}
