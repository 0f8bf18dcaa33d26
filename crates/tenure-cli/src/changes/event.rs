//! The difference between two looks at a key, for people and as JSON. The fields of the JSON are a
//! contract; see `schema/watch.json`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use tenure::protocol::{Inspection, State};

use crate::hindrance::Hindrance;
use crate::printable::printable;
use crate::wall::time_of_day;

/// The part of a state whose change is told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Shape {
    /// Label by fence: of two holders, the later has the larger fence.
    holders: BTreeMap<u64, String>,
    waiters: usize,
    foreign: Option<String>,
}

impl Shape {
    pub(super) fn of(seen: &Inspection) -> Self {
        let holders = seen.holders.iter();
        Self {
            holders: holders.map(|h| (h.fence.get(), h.label.as_str().to_owned())).collect(),
            waiters: seen.waiters.len(),
            foreign: match &seen.state {
                State::Foreign(what) => Some(what.to_string()),
                _ => None,
            },
        }
    }
}

/// The kind of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    /// There is a holder that was not there before.
    Held,
    /// The holder is not there any more, for whatever reason.
    Released,
    /// The number of waiters is another one.
    Waiting,
    /// There is something that is no lock of Tenure's.
    Foreign,
    /// It is gone.
    Cleared,
}

/// One change of one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Event<'a> {
    key: &'a str,
    kind: Kind,
    fence: Option<u64>,
    /// The holder, or what the foreign value is.
    label: Option<&'a str>,
    waiters: usize,
}

#[derive(Debug, Serialize)]
struct View<'a> {
    at_ms: u64,
    event: Kind,
    key: &'a str,
    fence: Option<u64>,
    label: Option<&'a str>,
    waiters: usize,
    hindrance: Option<&'a Hindrance>,
}

/// The changes from one look to the next, key by key: first what has ended.
pub(super) fn between<'a>(
    old: &'a BTreeMap<String, Shape>,
    new: &'a BTreeMap<String, Shape>,
) -> Vec<Event<'a>> {
    let mut keys: Vec<&String> = old.keys().chain(new.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    let mut events = Vec::new();
    for key in keys {
        of_key(key, old.get(key), new.get(key), &mut events);
    }
    events
}

fn of_key<'a>(
    key: &'a str,
    old: Option<&'a Shape>,
    new: Option<&'a Shape>,
    events: &mut Vec<Event<'a>>,
) {
    let waiters = new.map_or(0, |new| new.waiters);
    let mut tell = |kind, fence, label| events.push(Event { key, kind, fence, label, waiters });
    let holders = |shape: Option<&'a Shape>| shape.into_iter().flat_map(|shape| &shape.holders);
    let has = |shape: Option<&Shape>, fence| shape.is_some_and(|s| s.holders.contains_key(fence));
    let foreign = |shape: Option<&'a Shape>| shape.and_then(|shape| shape.foreign.as_deref());
    for (fence, label) in holders(old).filter(|(fence, _)| !has(new, fence)) {
        tell(Kind::Released, Some(*fence), Some(label));
    }
    match (foreign(old), foreign(new)) {
        (Some(was), None) => tell(Kind::Cleared, None, Some(was)),
        (was, Some(is)) if was != Some(is) => tell(Kind::Foreign, None, Some(is)),
        _ => {}
    }
    for (fence, label) in holders(new).filter(|(fence, _)| !has(old, fence)) {
        tell(Kind::Held, Some(*fence), Some(label));
    }
    if old.map_or(0, |old| old.waiters) != waiters {
        tell(Kind::Waiting, None, None);
    }
}

impl Event<'_> {
    /// A line for people. `now` is the wall clock in microseconds.
    pub(super) fn text(&self, now: u64) -> String {
        let (key, label) = (self.key, self.label.unwrap_or_default());
        let fence = self.fence.map(|fence| format!(", fence {fence}")).unwrap_or_default();
        let what = match self.kind {
            Kind::Held => format!("held by {label}{fence}"),
            Kind::Released => format!("no longer held by {label}{fence}"),
            Kind::Waiting if self.waiters == 1 => "1 waits".into(),
            Kind::Waiting => format!("{} wait", self.waiters),
            Kind::Foreign => format!("foreign: {label}"),
            Kind::Cleared => format!("the foreign value is gone ({label})"),
        };
        printable(&format!("{}  {key}: {what}", time_of_day(now, Duration::ZERO)))
    }

    /// A line of JSON. `hindrance` is that of the store.
    pub(super) fn json(&self, hindrance: Option<&Hindrance>, now: u64) -> String {
        let (Event { key, kind: event, fence, label, waiters }, at_ms) = (*self, now / 1_000);
        let view = View { at_ms, event, key, fence, label, waiters, hindrance };
        serde_json::to_string(&view).expect("text and numbers are JSON")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(holders: &[(u64, &str)], waiters: usize) -> Shape {
        let holders = holders.iter().map(|(fence, label)| (*fence, (*label).to_owned()));
        Shape { holders: holders.collect(), waiters, foreign: None }
    }

    fn told(old: Option<Shape>, new: Option<Shape>) -> Vec<String> {
        let map = |shape: Option<Shape>| shape.into_iter().map(|s| ("k".to_owned(), s)).collect();
        let (old, new) = (map(old), map(new));
        between(&old, &new).iter().map(|event| event.text(43_231_000_000)).collect()
    }

    #[test]
    fn each_change_has_a_line_and_time_that_passes_has_none() {
        let at = |what: &str| format!("12:00:31 UTC  k: {what}");
        let (one, two) = (shape(&[(7, "a")], 0), shape(&[(8, "b")], 2));
        assert_eq!(told(None, Some(one.clone())), [at("held by a, fence 7")]);
        assert_eq!(told(Some(one.clone()), Some(one.clone())), [""; 0]);
        let both = ["no longer held by a, fence 7", "held by b, fence 8", "2 wait"].map(at);
        assert_eq!(told(Some(one.clone()), Some(two.clone())), both);
        assert_eq!(told(Some(two), None), ["no longer held by b, fence 8", "0 wait"].map(at));
        let foreign = Shape { foreign: Some("a hash".into()), ..Shape::default() };
        let of_foreign = told(Some(one), Some(foreign.clone()));
        assert_eq!(of_foreign, ["no longer held by a, fence 7", "foreign: a hash"].map(at));
        assert_eq!(told(Some(foreign), None), [at("the foreign value is gone (a hash)")]);
    }
}
