//! The processes that live on when CMD has ended by itself, and their fate.

use serde::{Deserialize, Serialize};

use crate::procs::{Process, Table};

/// At most so many are named.
const NAMED: usize = 8;

/// The fate of the processes that CMD leaves when it ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OnRest {
    /// They go on, without the lock.
    #[default]
    Leave,
    /// The lock is kept until they have ended.
    Wait,
    /// They are ended before the lock is given back.
    Kill,
}

/// Living processes that CMD has left: one at least.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rest {
    count: usize,
    /// The first few, by number and name.
    named: Vec<(i32, String)>,
}

impl Rest {
    /// The descendants in this table; `None` if it shows none.
    pub(crate) fn of(table: &Table) -> Option<Self> {
        let all = table.descendants();
        let named = |process: &Process| {
            let number = table.pid_of(process)?.as_raw_nonzero().get();
            let name = std::fs::read_to_string(format!("/proc/{}/comm", process.number)).ok()?;
            Some((number, name.chars().filter(|c| !c.is_control()).collect()))
        };
        let named = all.iter().filter_map(named).take(NAMED).collect();
        (!all.is_empty()).then_some(Self { count: all.len(), named })
    }

    /// The message about them. A verb without the options does not name them.
    pub(crate) fn told(&self, on_rest: OnRest, has_options: bool) -> String {
        let Self { count, named } = self;
        let (plural, them) = if *count == 1 { ("", "it") } else { ("es", "them") };
        let names: Vec<_> =
            named.iter().map(|(number, name)| format!("{number} ({name})")).collect();
        let more = if named.len() < *count { ", ..." } else { "" };
        let then = match (on_rest, *count) {
            (OnRest::Leave, 1) => "it is not under the lock any more",
            (OnRest::Leave, _) => "they are not under the lock any more",
            (OnRest::Wait, 1) => "the lock is kept until it has ended",
            (OnRest::Wait, _) => "the lock is kept until they have ended",
            (OnRest::Kill, 1) => "ending it",
            (OnRest::Kill, _) => "ending them",
        };
        let hint = if on_rest == OnRest::Leave && has_options {
            format!(" (--wait-all waits for {them}, --kill-rest ends {them})")
        } else {
            String::new()
        };
        let names = names.join(", ");
        format!(
            "CMD has ended and left {count} process{plural} running: {names}{more}; {then}{hint}"
        )
    }
}
