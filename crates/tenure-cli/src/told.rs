//! Parts of the text about a key: until when it is kept, a value of somebody else, the nodes of a
//! quorum. It asks nobody.

use tenure::Key;
use tenure::protocol::{ForeignView, HolderView, Inspection, NodeView, State};

use crate::duration::{show, show_seconds};

/// The most characters of a value in the text for people.
const SHOWN_MAX: usize = 100;
/// At most so many of the holders that have lost a key are named.
const HOLDERS_MAX: usize = 8;

/// A holder that has released its key, which stays taken for the rest of its `--min-hold`. `now` is
/// the wall clock in microseconds.
pub(crate) fn kept(holder: &HolderView, now: u64) -> String {
    let left = u64::try_from(holder.remaining.as_micros()).unwrap_or(u64::MAX);
    // Rounded up: in the second that is shown, the key is free.
    let end = now.saturating_add(left).div_ceil(1_000_000) % 86_400;
    let (hours, minutes, seconds) = (end / 3_600, end / 60 % 60, end % 60);
    format!("kept until {hours:02}:{minutes:02}:{seconds:02} UTC, its command has ended")
}

/// That a key was taken by force from those who were seen to hold it; `None` if nobody did. `now`
/// is the wall clock in microseconds.
pub(crate) fn stolen(key: &Key, seen: &Inspection, now: u64) -> Option<String> {
    let key = key.as_str();
    if let [HolderView { kept: true, .. }] = &*seen.holders {
        let kept = self::kept(&seen.holders[0], now);
        return Some(format!("{key:?} is taken ahead of time: {kept} ({})", seen.holders[0].label));
    }
    if let State::Foreign(_) = &seen.state {
        let value = seen.foreign.as_ref().and_then(|foreign| foreign.value.as_deref());
        let value = value.map(|value| format!(" (value {})", shown(value))).unwrap_or_default();
        return Some(format!(
            "{key:?} is taken from another library{value}; its holder may not learn of it"
        ));
    }
    let one = |holder: &HolderView| {
        let since = show_seconds(holder.since);
        format!("{}, which held it for {since} (fence {})", holder.label, holder.fence)
    };
    let named: Vec<_> = seen.holders.iter().take(HOLDERS_MAX).map(one).collect();
    let more = match seen.holders.len().saturating_sub(HOLDERS_MAX) {
        0 => String::new(),
        more => format!("; and from {more} more"),
    };
    let learns = if seen.holders.len() == 1 {
        "it learns of it at its next renewal"
    } else {
        "they learn of it at their next renewals"
    };
    let from = named.join("; from ");
    (!named.is_empty()).then(|| format!("{key:?} is taken from {from}{more}; {learns}"))
}

/// The beginning of a text, without what could change the terminal of a reader.
pub(crate) fn shown(text: &str) -> String {
    let begin: String = text.chars().take(SHOWN_MAX).collect();
    let more = if begin.len() < text.len() { "..." } else { "" };
    format!("{begin:?}{more}")
}

/// A value that is no lock of Tenure's: Tenure never deletes it.
pub(crate) fn no_lock(key: &Key, seen: &Inspection) -> String {
    let what = match &seen.state {
        State::Foreign(what) => what,
        _ => "",
    };
    let more = seen.foreign.as_deref().map(foreign).unwrap_or_default();
    format!("{:?} is no lock of Tenure's, which leaves it alone: {what}{more}", key.as_str())
}

/// A value in the lock's place, and the line that deletes it.
pub(crate) fn foreign(seen: &ForeignView) -> String {
    let mut text = format!("\n  there is a {}", seen.kind);
    if let Some(value) = &seen.value {
        let more = if seen.is_whole || value.chars().count() > SHOWN_MAX { "" } else { "..." };
        text += &format!(", value {}{more}", shown(value));
    }
    text += &match seen.remaining {
        Some(left) => format!(", which ends in {}", show(left)),
        None => ", which does not end by itself".into(),
    };
    text + &format!("\n  if nobody needs it, this deletes it: {}", seen.delete)
}

/// That it is not known whether a key of a quorum is held.
pub(crate) const SPLIT: &str =
    "it may be held: a node has a holder, and too few answered to tell whether a majority has it";

/// How many nodes of a quorum answered, and why the others did not.
pub(crate) fn nodes(seen: &[NodeView]) -> String {
    let answered = seen.iter().filter(|node| node.answered).count();
    let silent = seen.iter().filter(|node| !node.answered);
    let silent: Vec<_> = silent.map(|node| format!("{}: {}", node.name, node.said)).collect();
    let why = if silent.is_empty() { String::new() } else { format!(" ({})", silent.join("; ")) };
    format!("nodes: {answered} of {}{why}", seen.len())
}

/// Why nothing new is granted, whoever holds the key.
pub(crate) fn hindrance(seen: &Inspection, now: u64) -> Option<String> {
    if let Some(primary) = &seen.replica_of {
        return Some(format!(
            "this server is a replica of {primary}: it grants nothing, and may know less than \
             that one; name the primary to lock"
        ));
    }
    seen.guarded.as_ref().map(|guarded| guarded.told(now))
}
