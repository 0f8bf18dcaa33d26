//! One key as a row of the table shows it. All texts of a row are harmless to a terminal.

use std::time::Duration;

use ratatui::text::Span;
use tenure::protocol::{HolderView, Inspection, State};
use tenure::runtime::Moment;
use tenure::{Claim, Key};

use crate::label;
use crate::local::Local;
use crate::printable::printable;

/// A key at the moment of a look.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) key: Key,
    pub(crate) seen: Inspection,
    pub(crate) at: Moment,
    pub(crate) title: String,
    pub(crate) kind: String,
    /// The script or program of the holder that is shown: a dead one, or the oldest. All of its
    /// label, if that has another form.
    pub(crate) name: String,
    pub(crate) host: String,
    pub(crate) pid: Option<u32>,
    /// A ticket holds it, and no process.
    pub(crate) is_ticket: bool,
    /// The holder was a process of this host that is there no more.
    pub(crate) is_dead: bool,
    /// The holder has ended, and the key stays taken for a while (`--min-hold`).
    pub(crate) is_kept: bool,
    pub(crate) fence: Option<u64>,
    /// All that the filter looks at, in small letters.
    pub(crate) searched: String,
    pub(crate) widths: Widths,
}

/// Numbers of columns on the screen that texts of a row need.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Widths {
    pub(crate) title: usize,
    pub(crate) kind: usize,
    pub(crate) name: usize,
    pub(crate) host: usize,
    pub(crate) pid: usize,
    pub(crate) fence: usize,
}

impl Widths {
    /// For this one and another row.
    pub(crate) fn max(self, other: Self) -> Self {
        Self {
            title: self.title.max(other.title),
            kind: self.kind.max(other.kind),
            name: self.name.max(other.name),
            host: self.host.max(other.host),
            pid: self.pid.max(other.pid),
            fence: self.fence.max(other.fence),
        }
    }
}

impl Row {
    pub(crate) fn new(key: Key, seen: Inspection, at: Moment, local: &Local) -> Self {
        let mut shown = seen.holders.first();
        let is_dead = |holder: &&HolderView| !holder.kept && local.is_dead(holder.label.as_str());
        let dead = seen.holders.iter().find(is_dead);
        shown = dead.or(shown);
        let label = shown.map_or("", |holder| holder.label.as_str());
        let parts = label::parse(label);
        let name = parts.as_ref().map_or(label, |parts| parts.name);
        let host = parts.as_ref().map_or("", |parts| parts.host);
        let more = match seen.holders.len() {
            0 | 1 => String::new(),
            count => format!(" +{}", count - 1),
        };
        let title = printable(key.as_str());
        let kind = kind(&seen);
        let labels = seen.holders.iter().map(|holder| holder.label.as_str());
        let labels = labels.chain(seen.waiters.iter().map(|waiter| waiter.label.as_str()));
        let searched = [key.as_str(), &kind].into_iter().chain(labels).collect::<Vec<_>>();
        let mut row = Self {
            title,
            name: printable(name) + &more,
            host: printable(host),
            pid: parts.as_ref().and_then(|parts| parts.pid),
            is_ticket: parts.as_ref().is_some_and(|parts| parts.pid.is_none()),
            is_dead: dead.is_some(),
            is_kept: shown.is_some_and(|holder| holder.kept),
            fence: shown.map_or(seen.fence, |holder| Some(holder.fence)).map(tenure::Fence::get),
            searched: searched.join("\n").to_lowercase(),
            widths: Widths::default(),
            kind,
            key,
            seen,
            at,
        };
        row.widths = Widths {
            title: width(&row.title),
            kind: width(&row.kind),
            name: width(&row.name),
            host: width(&row.host),
            pid: row.pid_text().len(),
            fence: row.fence.map_or(0, |fence| fence.to_string().len()),
        };
        row
    }

    /// The process, and whether it is gone; the word for a ticket.
    pub(crate) fn pid_text(&self) -> String {
        if self.is_ticket {
            return "ticket".into();
        }
        let end = match (self.is_dead, self.is_kept) {
            (true, _) => " dead",
            (_, true) => " kept",
            _ => "",
        };
        self.pid.map_or_else(String::new, |pid| format!("{pid}{end}"))
    }

    pub(crate) fn is_held(&self) -> bool {
        !self.seen.holders.is_empty()
    }

    pub(crate) fn waiters(&self) -> usize {
        self.seen.waiters.len()
    }

    /// Time until the first of its leases ends, as far as is known; `None` if nobody holds it.
    pub(crate) fn remaining(&self, now: Moment) -> Option<Duration> {
        let least = self.seen.holders.iter().map(|holder| holder.remaining).min()?;
        Some(least.saturating_sub(now.since(self.at)))
    }

    /// The lease that ends first: its fence, its time since the grant, and its remaining time.
    pub(crate) fn shortest(&self) -> Option<(u64, Duration, Duration)> {
        let first = self.seen.holders.iter().min_by_key(|holder| holder.remaining)?;
        Some((first.fence.get(), first.since, first.remaining))
    }
}

/// The kind of lock, as far as the state of the key tells it.
fn kind(seen: &Inspection) -> String {
    if let State::Foreign(_) = seen.state {
        return "foreign".into();
    }
    if seen.last_run.is_some() {
        return "job".into();
    }
    if seen.holders.iter().any(|holder| holder.value.is_some()) {
        return "election".into();
    }
    match seen.limit {
        None | Some(1) => "mutex".into(),
        Some(Claim::MAX) => "rwlock".into(),
        Some(limit) => {
            let used: u32 = seen.holders.iter().map(|holder| holder.units).sum();
            format!("sem {used}/{limit}")
        }
    }
}

/// Columns on the screen.
pub(crate) fn width(text: &str) -> usize {
    Span::raw(text).width()
}

#[cfg(test)]
pub(crate) mod sample {
    //! Rows for tests.

    use tenure::protocol::WaiterView;
    use tenure::{Fence, Label, Owner};

    use super::*;

    /// A holder with half a minute left of its lease.
    pub(crate) fn holder(label: &str, fence: u64) -> HolderView {
        HolderView {
            owner: Owner::random(&[u8::try_from(fence % 251).expect("small"); 28]),
            label: Label::new(label),
            units: 1,
            exclusive: true,
            fence: Fence::new(fence),
            value: None,
            since: Duration::from_secs(75),
            remaining: Duration::from_secs(30),
            kept: false,
        }
    }

    pub(crate) fn waiter(label: &str, seconds: u64) -> WaiterView {
        let waiting = Duration::from_secs(seconds);
        WaiterView { label: Label::new(label), units: 1, exclusive: true, waiting }
    }

    /// A key with these holders, seen at the begin of the clock.
    pub(crate) fn row(key: &str, change: impl FnOnce(&mut Inspection)) -> Row {
        let mut seen = Inspection::free();
        change(&mut seen);
        if !seen.holders.is_empty() && seen.state == State::Free {
            seen.state = State::Held;
            seen.limit = seen.limit.or(Some(1));
        }
        let key = Key::new(key).expect("a key");
        Row::new(key, seen, Moment::from_micros(0), &Local::here())
    }

    pub(crate) fn held(key: &str, label: &str, fence: u64) -> Row {
        row(key, |seen| seen.holders.push(holder(label, fence)))
    }
}

#[cfg(test)]
mod tests {
    use tenure::{LastRun, Owner, RunState, Value};

    use super::sample::{held, holder, row, waiter};
    use super::*;

    #[test]
    fn each_kind_is_told_from_the_others() {
        assert_eq!(held("k", "a", 1).kind, "mutex");
        let semaphore = row("k", |seen| {
            let mut shares = [holder("a", 1), holder("b", 2)];
            shares[0].units = 2;
            seen.limit = Some(5);
            seen.holders = shares.into();
        });
        assert_eq!((&*semaphore.kind, &*semaphore.name), ("sem 3/5", "a +1"));
        let readers = row("k", |seen| {
            seen.limit = Some(Claim::MAX);
            seen.holders = vec![holder("a", 1)];
        });
        assert_eq!(readers.kind, "rwlock");
        let leader = row("k", |seen| {
            let value = Value::new("db1:8080").ok();
            seen.holders = vec![HolderView { value, ..holder("a", 1) }];
        });
        assert_eq!(leader.kind, "election");
        let job = row("k", |seen| {
            seen.last_run = Some(Box::new(LastRun {
                owner: Owner::random(&[1; 28]),
                label: tenure::Label::new("a"),
                begun: std::time::SystemTime::UNIX_EPOCH,
                state: RunState::Ok,
                took: None,
            }));
        });
        assert_eq!(job.kind, "job");
        assert_eq!(row("k", |seen| seen.state = State::Foreign("a list".into())).kind, "foreign");
    }

    #[test]
    fn a_dead_holder_is_shown_before_a_living_one() {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let row = row("k", |seen| {
            let dead = format!("{host}:4194305:gone");
            seen.limit = Some(3);
            seen.holders = vec![holder("db1:1:alive", 1), holder(&dead, 2)];
            seen.waiters = vec![waiter("Waiting", 3)];
        });
        assert!(row.is_dead);
        assert_eq!((&*row.name, row.pid, row.fence), ("gone +1", Some(4_194_305), Some(2)));
        assert!(row.searched.contains("waiting") && row.searched.contains("db1:1:alive"));
    }

    #[test]
    fn a_key_that_min_hold_keeps_has_no_dead_holder() {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let ended = holder(&format!("{host}:4194305:ended"), 1);
        let row = row("k", |seen| seen.holders = vec![HolderView { kept: true, ..ended }]);
        assert!(!row.is_dead);
        assert_eq!(row.pid_text(), "4194305 kept");
    }
}
