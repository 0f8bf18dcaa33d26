//! A key as `status --json` and `list --json` show it. The fields are a contract; see
//! `schema/key.json`.

use std::time::SystemTime;

use serde::Serialize;
use tenure::protocol::{ForeignView, Guarded, HolderView, Inspection, NodeView, State, WaiterView};
use tenure::{Claim, Key, LastRun, RunState, Value};

use crate::duration::show;
use crate::hindrance::{self, Hindrance};
use crate::local;
use crate::printable;
use crate::report::millis;
use crate::told;

/// One key.
#[derive(Debug, Serialize)]
pub(crate) struct KeyView<'a> {
    key: &'a str,
    state: &'static str,
    limit: Option<u32>,
    fence: Option<u64>,
    holders: Vec<Holder<'a>>,
    waiters: Vec<Waiter<'a>>,
    guarded: Option<Restart>,
    last_run: Option<Run<'a>>,
    foreign: Option<Foreign<'a>>,
    nodes: Vec<Node<'a>>,
    replica_of: Option<&'a str>,
    hindrance: Option<&'a Hindrance>,
    may_be_held: bool,
}

/// The last run of a job.
#[derive(Debug, Serialize)]
struct Run<'a> {
    owner: &'a str,
    label: &'a str,
    /// Since 1970 (UTC).
    begun_ms: u64,
    state: &'static str,
    reason: Option<&'a str>,
    took_ms: Option<u64>,
}

/// Nothing new is granted, whatever the state.
#[derive(Debug, Serialize)]
struct Restart {
    known_ms: u64,
    remaining_ms: u64,
}

#[derive(Debug, Serialize)]
struct Holder<'a> {
    owner: &'a str,
    label: &'a str,
    units: u32,
    fence: u64,
    since_ms: u64,
    remaining_ms: u64,
    value: Option<&'a str>,
    kept: bool,
}

/// A value in the lock's place.
#[derive(Debug, Serialize)]
struct Foreign<'a> {
    r#type: &'a str,
    value: Option<&'a str>,
    remaining_ms: Option<u64>,
    delete: &'a str,
}

/// The answer of a quorum's node.
#[derive(Debug, Serialize)]
struct Node<'a> {
    name: &'a str,
    answered: bool,
    holds: bool,
    said: &'a str,
    took_ms: u64,
}

#[derive(Debug, Serialize)]
struct Waiter<'a> {
    label: &'a str,
    units: u32,
    waiting_ms: u64,
}

impl<'a> KeyView<'a> {
    /// `hindrance` is that of the store.
    pub(crate) fn of(key: &'a Key, seen: &'a Inspection, hindrance: Option<&'a Hindrance>) -> Self {
        Self {
            key: key.as_str(),
            state: state(&seen.state).0,
            limit: seen.limit,
            fence: seen.fence.map(tenure::Fence::get),
            holders: seen.holders.iter().map(holder).collect(),
            waiters: seen.waiters.iter().map(waiter).collect(),
            guarded: seen.guarded.as_ref().map(restart),
            last_run: seen.last_run.as_deref().map(run),
            foreign: seen.foreign.as_deref().map(foreign),
            nodes: seen.nodes.iter().map(node).collect(),
            replica_of: seen.replica_of.as_deref(),
            hindrance,
            may_be_held: hindrance::may_be_held(seen),
        }
    }

    /// As a line of JSON.
    pub(crate) fn json(&self) -> String {
        serde_json::to_string(self).expect("text and numbers are JSON")
    }
}

fn holder(seen: &HolderView) -> Holder<'_> {
    Holder {
        owner: seen.owner.value(),
        label: seen.label.as_str(),
        units: seen.units,
        fence: seen.fence.get(),
        since_ms: millis(seen.since),
        remaining_ms: millis(seen.remaining),
        value: seen.value.as_ref().map(Value::as_str),
        kept: seen.kept,
    }
}

fn foreign(seen: &ForeignView) -> Foreign<'_> {
    Foreign {
        r#type: &seen.kind,
        value: seen.value.as_deref(),
        remaining_ms: seen.remaining.map(millis),
        delete: &seen.delete,
    }
}

fn node(seen: &NodeView) -> Node<'_> {
    let NodeView { name, answered, holds, said, took } = seen;
    let took_ms = millis(*took);
    Node { name, answered: *answered, holds: *holds, said, took_ms }
}

fn waiter(seen: &WaiterView) -> Waiter<'_> {
    Waiter { label: seen.label.as_str(), units: seen.units, waiting_ms: millis(seen.waiting) }
}

fn restart(seen: &Guarded) -> Restart {
    Restart { known_ms: millis(seen.known_for), remaining_ms: millis(seen.left) }
}

fn run(seen: &LastRun) -> Run<'_> {
    let (state, reason) = match &seen.state {
        RunState::Running => ("running", None),
        RunState::Ok => ("ok", None),
        RunState::Failed(why) => ("failed", Some(why.as_str())),
        // Also a state that a later library knows, and this tool does not.
        _ => ("unfinished", None),
    };
    let begun = seen.begun.duration_since(SystemTime::UNIX_EPOCH);
    Run {
        owner: seen.owner.value(),
        label: seen.label.as_str(),
        begun_ms: begun.map_or(0, millis),
        state,
        reason,
        took_ms: seen.took.map(millis),
    }
}

/// The state's word, and an addition for people.
fn state(state: &State) -> (&'static str, Option<&str>) {
    match state {
        State::Free => ("free", None),
        State::Held => ("held", None),
        State::Foreign(what) => ("foreign", Some(what)),
        // A state that a later library knows, and this tool does not.
        _ => ("foreign", None),
    }
}

/// The key for people: a line, then one for each holder and waiter, one for the last run of a job,
/// and those of `told`. `now` is the wall clock in microseconds.
pub(crate) fn text(key: &Key, seen: &Inspection, now: u64) -> String {
    text_of(key, seen, now, true)
}

/// The same without the hindrance of the store, which was told for all keys.
pub(crate) fn text_of_many(key: &Key, seen: &Inspection, now: u64) -> String {
    text_of(key, seen, now, false)
}

fn text_of(key: &Key, seen: &Inspection, now: u64, tells_hindrance: bool) -> String {
    let (word, more) = match state(&seen.state) {
        _ if hindrance::may_be_held(seen) => ("not known to be free", None),
        known => known,
    };
    let mut text = format!("{key}: {word}");
    if let Some(more) = more {
        text += &format!(" ({more})");
    }
    text += &used(seen);
    if let Some(fence) = seen.fence {
        text += &format!(", last fence {fence}");
    }
    for holder in &seen.holders {
        let (since, remaining) = (show(holder.since), show(holder.remaining));
        let (label, fence) = (&holder.label, holder.fence);
        text += &if holder.kept {
            let kept = told::kept(holder, now);
            format!("\n  {kept}: granted to {label} {since} ago, fence {fence}")
        } else {
            format!("\n  held by {label} for {since}, lease {remaining}, fence {fence}")
        };
        text += &part(holder.units, holder.exclusive, seen.limit);
        text += &holder.value.as_ref().map(shown).unwrap_or_default();
        text += local::gone(holder);
    }
    for waiter in &seen.waiters {
        text += &format!("\n  waiting: {} for {}", waiter.label, show(waiter.waiting));
        text += &part(waiter.units, waiter.exclusive, seen.limit);
    }
    if let Some(last) = &seen.last_run {
        text += &format!("\n  last run: {last}");
    }
    if let Some(foreign) = &seen.foreign {
        text += &told::foreign(foreign);
    }
    if let Some(hindrance) = told::hindrance(seen, now).filter(|_| tells_hindrance) {
        text += &format!("\n  {hindrance}");
    }
    if hindrance::is_split(seen) {
        text += &format!("\n  {}", told::SPLIT);
    }
    if !seen.nodes.is_empty() {
        text += &format!("\n  {}", told::nodes(&seen.nodes));
    }
    printable::lines(&text)
}

/// A value for people, without what could change their terminal.
fn shown(value: &Value) -> String {
    match value.as_str() {
        "" => String::new(),
        text => format!(", value {}", told::shown(text)),
    }
}

/// How many units of a key are held, or how many read it; nothing for a key that has one holder at
/// a time.
pub(crate) fn used(seen: &Inspection) -> String {
    match seen.limit {
        None | Some(1) => String::new(),
        Some(Claim::MAX) => match &seen.holders[..] {
            [holder] if holder.exclusive => ", by a writer".into(),
            [] => String::new(),
            [_] => ", by 1 reader".into(),
            readers => format!(", by {} readers", readers.len()),
        },
        Some(limit) => {
            let used: u32 = seen.holders.iter().map(|holder| holder.units).sum();
            format!(", {used} of {limit} units taken")
        }
    }
}

/// The part of the key that one of its holders or waiters has, or wants.
fn part(units: u32, exclusive: bool, limit: Option<u32>) -> String {
    match limit {
        None | Some(1) => String::new(),
        Some(Claim::MAX) if exclusive => ", to write".into(),
        Some(Claim::MAX) => ", to read".into(),
        Some(limit) => format!(", {units} of {limit}"),
    }
}
