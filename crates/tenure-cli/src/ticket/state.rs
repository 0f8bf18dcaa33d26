//! The lease of a ticket as the store sees it: for people, and as JSON. The fields of the JSON are
//! a contract; see `schema/check.json`.

use std::time::Duration;

use serde::Serialize;
use tenure::Ticket;
use tenure::protocol::{HolderView, Inspection, State};

use crate::duration::{show, show_seconds};
use crate::hindrance::Hindrance;
use crate::local;
use crate::printable::printable;
use crate::report::millis;
use crate::wall::time_of_day;

/// The lease of a ticket, as one JSON object.
#[derive(Debug, Serialize)]
struct View<'a> {
    key: &'a str,
    /// That of the ticket.
    fence: u64,
    state: &'a str,
    remaining_ms: Option<u64>,
    /// The present holder, this one or another.
    holder: Option<Holder<'a>>,
    store: &'a str,
    hindrance: Option<&'a Hindrance>,
}

#[derive(Debug, Serialize)]
struct Holder<'a> {
    label: &'a str,
    fence: u64,
    since_ms: u64,
    remaining_ms: u64,
}

/// The state of a ticket's lease.
pub(super) fn json(
    ticket: &Ticket,
    seen: &Inspection,
    store: &str,
    hindrance: Option<&Hindrance>,
) -> String {
    let state = match ticket.holder_in(seen) {
        Some(_) => "held",
        None if adopter(ticket, seen).is_some() => "adopted",
        None => "over",
    };
    json_of(state, ticket, Some(seen), store, hindrance)
}

/// The state of a lease that was released. `seen` is the key afterwards, if the store has told.
pub(super) fn released(
    ticket: &Ticket,
    seen: Option<&Inspection>,
    store: &str,
    hindrance: Option<&Hindrance>,
) -> String {
    json_of("released", ticket, seen, store, hindrance)
}

fn json_of(
    state: &str,
    ticket: &Ticket,
    seen: Option<&Inspection>,
    store: &str,
    hindrance: Option<&Hindrance>,
) -> String {
    let held = seen.and_then(|seen| ticket.holder_in(seen));
    let present = held.or_else(|| seen?.holders.first());
    let view = View {
        key: ticket.key().as_str(),
        fence: ticket.fence().get(),
        state,
        remaining_ms: held.map(|held| millis(held.remaining)),
        holder: present.map(|holder| Holder {
            label: holder.label.as_str(),
            fence: holder.fence.get(),
            since_ms: millis(holder.since),
            remaining_ms: millis(holder.remaining),
        }),
        store,
        hindrance,
    };
    serde_json::to_string(&view).expect("text and numbers are JSON")
}

/// The line about a lease that lasts. `now` is the wall clock in microseconds.
pub(super) fn held(ticket: &Ticket, holder: &HolderView, now: u64) -> String {
    let (key, fence) = (ticket.key(), ticket.fence());
    let (until, left) = (time_of_day(now, holder.remaining), show(holder.remaining));
    printable(&format!("{key}: held until {until} ({left}), fence {fence}, by {}", holder.label))
}

/// Why a ticket holds nothing at this store, and who has the key there now.
pub(super) fn over(ticket: &Ticket, seen: &Inspection, store: &str, now: u64) -> String {
    let key = ticket.key().as_str();
    let fence = ticket.fence();
    if let Some(adopter) = adopter(ticket, seen) {
        let by = holder(adopter, now);
        return format!("the ticket for {key:?} (fence {fence}) was adopted at {store}: {by}");
    }
    let present = match (seen.holders.first(), &seen.state) {
        (Some(present), _) => holder(present, now),
        (None, State::Foreign(what)) => what.to_string(),
        (None, _) => format!("nobody has it there; {}", why_free(ticket, seen, now)),
    };
    // A server that has forgotten the lease says so.
    let guarded = seen.guarded.map(|guarded| format!("; {}", guarded.told(now)));
    let guarded = guarded.unwrap_or_default();
    format!("{key:?} is not held by this ticket (fence {fence}) at {store}: {present}{guarded}")
}

/// Why nobody has the key of a ticket, the likely cause first. A server keeps no record of a mutex
/// that is free, so only a file knows every ticket of its own.
fn why_free(ticket: &Ticket, seen: &Inspection, now: u64) -> String {
    let granted = ticket.fence();
    let is_known = seen.fence.is_some_and(|last| last >= granted);
    // A fence is never less than the time of its grant.
    let ended = |keep| granted.get().saturating_add(micros(keep));
    match ticket.keep().filter(|keep| ended(*keep) <= now) {
        Some(keep) => {
            let (span, end) = (show(keep), time_of_day(granted.get(), keep));
            let or =
                if is_known { "" } else { ", or it is of another store (name it with --store)" };
            format!(
                "its time, {span}, was over at {end} unless it was renewed; or it was released or \
                 forced before{or}"
            )
        }
        None if is_known => "it was released or forced, or not renewed in time".into(),
        None => {
            "that store does not know it: is it of another store? Name its store with --store. \
                 Or it was released or forced"
                .into()
        }
    }
}

/// The holder that has adopted the ticket: a lease keeps its fence on the way.
fn adopter<'a>(ticket: &Ticket, seen: &'a Inspection) -> Option<&'a HolderView> {
    seen.holders.iter().find(|holder| holder.fence == ticket.fence())
}

/// One holder: who, since when, until when, and that its process is gone.
pub(crate) fn holder(holder: &HolderView, now: u64) -> String {
    let HolderView { label, fence, since, remaining, .. } = holder;
    let gone = local::gone(holder);
    let from = time_of_day(now.saturating_sub(micros(*since)), Duration::ZERO);
    let until = time_of_day(now, *remaining);
    format!(
        "held by {label} since {from} ({}), fence {fence}, until {until} unless renewed{gone}",
        show_seconds(*since)
    )
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}
