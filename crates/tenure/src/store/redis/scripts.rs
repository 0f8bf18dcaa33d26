//! The scripts, put together from fragments of Lua. It sends nothing.
//!
//! A line `-- include NAME` of a fragment stands for the text of another one. A fragment that a
//! branch includes is set up only when that branch runs: each setup costs the server time.

use std::sync::LazyLock;
use std::time::Duration;

use super::client::Script;
use super::encode::WITH_OTHERS_MAX;
use super::keys::{Scope, Template};

macro_rules! fragments {
    ($($name:literal)*) => { &[$(($name, include_str!(concat!("lua/", $name, ".lua")))),*] };
}

/// Names and texts of all fragments.
pub(super) const FRAGMENTS: &[(&str, &str)] = fragments!(
    "clock" "cluster" "fast" "fast/acquire" "fast/give" "fast/group" "fast/holder" "fast/member"
    "fast/share" "fast/share_busy" "fences" "full" "full/acquire" "full/begin" "full/finish"
    "full/grants" "full/group" "full/holders" "full/inspect" "full/layout" "full/operations"
    "full/queue" "full/read" "full/release" "full/run" "full/state" "full/steps" "full/tombstones"
    "full/units" "full/value" "layout" "lock" "marker" "meet" "place" "prelude" "proposal" "server"
    "shares_layout" "steps" "write"
);

/// The first words on each new connection to a guarded server.
pub(super) static MEET: LazyLock<String> = LazyLock::new(|| expanded("meet"));

/// The script of all steps, behind its preface.
pub(super) fn steps(preface: &str, scope: Scope) -> Script {
    let name = match scope {
        Scope::Server => "server",
        Scope::Slot => "cluster",
    };
    Script { source: [preface, &expanded(name)].concat().into(), ..Script::new("steps", "") }
}

/// The script of commands on data, behind its preface.
pub(super) fn write(preface: &str) -> Script {
    Script { source: [preface, &expanded("write")].concat().into(), ..Script::new("write", "") }
}

/// The text in front of the scripts: what is the same for all calls of a store.
pub(super) fn preface(template: &Template, retention: Duration, guard: Duration) -> String {
    let (before, behind) = template.around();
    let (retention, has_guard) = (retention.as_millis(), !guard.is_zero());
    let in_slots = template.scope() == Scope::Slot;
    format!(
        "local retention, before, behind = '{retention}', {before}, {behind}\n\
         local has_guard, in_slots, others_max = {has_guard}, {in_slots}, {WITH_OTHERS_MAX}\n"
    )
}

/// A script that reads the time from a key of the server, in microseconds.
pub(super) fn with_clock(source: &str, key: &str) -> String {
    let clock = format!("{{ 0, redis.call('GET', '{key}') }}");
    // Keys end by the server's own clock, so how long one stays says nothing about its lease.
    let source = source.replace("redis.call('TIME')", &clock);
    source.replacen("KEY_SLACK_MS = 2\n", "KEY_SLACK_MS = 1e15\n", 1)
}

pub(super) fn fragment(name: &str) -> &'static str {
    let found = FRAGMENTS.iter().find(|(known, _)| *known == name);
    found.unwrap_or_else(|| panic!("no fragment is called {name}")).1
}

/// The name of the fragment that a line includes, if it does.
fn included(line: &str) -> Option<&str> {
    line.trim_start().strip_prefix("-- include ")
}

/// The names of the fragments that one includes.
#[cfg(test)]
pub(super) fn includes(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(included)
}

/// A fragment with those that it includes.
fn expanded(name: &str) -> String {
    let mut text = String::new();
    for line in fragment(name).lines() {
        match included(line) {
            Some(name) => text.push_str(&expanded(name)),
            None => text.push_str(line),
        }
        text.push('\n');
    }
    text
}
