//! The state of the screen: rows, their order, the filter, the chosen row, and the question that is
//! open. It knows neither the terminal nor the store, and reads no clock.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::ops::Range;
use std::time::Duration;

use tenure::Key;
use tenure::protocol::HolderView;
use tenure::runtime::Moment;

use super::input::Action;
use super::rates::Rates;
use super::row::{Row, Widths};

/// Time for which the outcome of a forced release is shown.
const NOTICE: Duration = Duration::from_secs(15);

/// A column, in the order in which they stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Column {
    Key,
    Kind,
    Holder,
    Host,
    Pid,
    Fence,
    Remaining,
    Waiters,
}

impl Column {
    pub(crate) const ALL: [Self; 8] = [
        Self::Key,
        Self::Kind,
        Self::Holder,
        Self::Host,
        Self::Pid,
        Self::Fence,
        Self::Remaining,
        Self::Waiters,
    ];

    fn next(self) -> Self {
        let place = Self::ALL.iter().position(|column| *column == self).unwrap_or_default();
        Self::ALL[(place + 1) % Self::ALL.len()]
    }
}

/// The part of the screen that the keyboard is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mode {
    Table,
    Filter,
    Help,
    /// The question whether these holders shall lose the key.
    Confirm(Target),
}

/// A key, and the holders that were shown when its release was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) key: Key,
    pub(crate) holders: Vec<HolderView>,
    /// The process of one of them that is there no more.
    pub(crate) gone: Option<u32>,
}

/// A failure of the store that goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trouble {
    /// Begin of the first look that failed.
    pub(crate) since: Moment,
    pub(crate) reason: String,
}

/// The last complete look.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    pub(crate) ended: Moment,
    pub(crate) took: Duration,
}

/// Facts about all rows, whatever the filter.
#[derive(Debug, Clone, Default)]
pub(crate) struct Totals {
    pub(crate) held: usize,
    pub(crate) waiters: usize,
    pub(crate) widths: Widths,
}

impl Totals {
    fn of(rows: &[Row]) -> Self {
        let mut totals = Self::default();
        for row in rows {
            totals.held += usize::from(row.is_held());
            totals.waiters += row.waiters();
            totals.widths = totals.widths.max(row.widths);
        }
        totals
    }
}

/// A line about something that was done.
#[derive(Debug, Clone)]
pub(crate) struct Notice {
    pub(crate) text: String,
    pub(crate) until: Moment,
}

/// The next step of the screen, after an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Stay,
    Quit,
    /// Ctrl-Z.
    Stop,
    Redraw,
    Release(Target),
}

#[derive(Debug)]
pub(crate) struct Model {
    /// Of the last complete look; of the first one while it goes on.
    rows: Vec<Row>,
    /// Rows of a look that goes on.
    arriving: Vec<Row>,
    /// Indices of the rows that pass the filter, in order.
    shown: Vec<usize>,
    pub(crate) sort: Column,
    pub(crate) is_reversed: bool,
    pub(crate) filter: String,
    pub(crate) mode: Mode,
    pub(crate) has_details: bool,
    selected: Option<Key>,
    /// Place of the selected row among those that are shown.
    place: usize,
    /// The first row on the screen, and how many there are.
    first: usize,
    height: usize,
    pub(crate) look: Option<Look>,
    /// Begin of the look that goes on.
    asked: Option<Moment>,
    /// Its begin or its last answer.
    pub(crate) waits_since: Option<Moment>,
    pub(crate) trouble: Option<Trouble>,
    /// Why the store may not show all locks, or grants nothing new.
    pub(crate) remark: Option<String>,
    pub(crate) rates: Rates,
    pub(crate) notice: Option<Notice>,
    pub(crate) totals: Totals,
    /// The longest remaining time seen of the shortest lease of each key, and its fence.
    longest: HashMap<Key, (u64, Duration)>,
}

impl Model {
    pub(crate) fn new() -> Self {
        Self {
            rows: vec![],
            arriving: vec![],
            shown: vec![],
            sort: Column::Key,
            is_reversed: false,
            filter: String::new(),
            mode: Mode::Table,
            has_details: false,
            selected: None,
            place: 0,
            first: 0,
            height: 1,
            look: None,
            asked: None,
            waits_since: None,
            trouble: None,
            remark: None,
            rates: Rates::default(),
            notice: None,
            totals: Totals::default(),
            longest: HashMap::new(),
        }
    }

    pub(crate) fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// How many rows pass the filter.
    pub(crate) fn count(&self) -> usize {
        self.shown.len()
    }

    /// The rows on the screen.
    pub(crate) fn visible(&self) -> impl Iterator<Item = &Row> {
        self.shown[self.range()].iter().map(|index| &self.rows[*index])
    }

    fn range(&self) -> Range<usize> {
        let first = self.first.min(self.shown.len());
        first..(first + self.height).min(self.shown.len())
    }

    pub(crate) fn selected(&self) -> Option<&Row> {
        self.shown.get(self.place).map(|index| &self.rows[*index])
    }

    /// The place of the first row on the screen, and of the selected one on it.
    pub(crate) fn places(&self) -> (usize, usize) {
        (self.first, self.place.saturating_sub(self.first))
    }

    /// So many rows fit on the screen: the selected one is to be among them.
    pub(crate) fn fit(&mut self, height: usize) {
        self.height = height.max(1);
        let last = self.shown.len().saturating_sub(self.height);
        let least = (self.place + 1).saturating_sub(self.height);
        self.first = self.first.clamp(least, self.place.max(least)).min(last.max(least));
    }

    /// Whether the rows are older than they should be.
    pub(crate) fn is_stale(&self) -> bool {
        self.trouble.is_some()
    }

    /// The remaining time as a part of the lease. The store does not tell the ttl: it is known of a
    /// lease that was never renewed, and is otherwise the longest time that was seen.
    pub(crate) fn part(&self, row: &Row, now: Moment) -> Option<f64> {
        let remaining = row.remaining(now)?;
        let (fence, since, at_look) = row.shortest()?;
        let longest = self.longest.get(&row.key).filter(|(of, _)| *of == fence);
        let longest = longest.map_or(at_look, |(_, longest)| *longest);
        let whole = if since < at_look / 2 { since + at_look } else { longest };
        Some((remaining.as_secs_f64() / whole.as_secs_f64().max(0.001)).min(1.0))
    }

    /// A look begins.
    pub(crate) fn begin(&mut self, now: Moment) {
        (self.asked, self.waits_since) = (Some(now), Some(now));
        self.arriving.clear();
    }

    /// Some rows of the look that goes on. The first look shows them at once.
    pub(crate) fn arrive(&mut self, mut rows: Vec<Row>, now: Moment) {
        self.waits_since = Some(now);
        if self.look.is_some() {
            self.arriving.append(&mut rows);
            return;
        }
        self.rows.append(&mut rows);
        self.arrange(now);
    }

    /// The look has ended.
    pub(crate) fn complete(&mut self, now: Moment) {
        self.waits_since = None;
        let took = self.asked.take().map_or(Duration::ZERO, |begun| now.since(begun));
        if let Some(last) = self.look {
            let before = std::mem::replace(&mut self.rows, std::mem::take(&mut self.arriving));
            self.rates.add((&before, last.ended), (&self.rows, now));
        }
        self.look = Some(Look { ended: now, took });
        self.trouble = None;
        self.remember();
        self.arrange(now);
    }

    fn remember(&mut self) {
        let mut before = std::mem::take(&mut self.longest);
        for row in &self.rows {
            let Some((fence, _, remaining)) = row.shortest() else { continue };
            let known = before.remove(&row.key).filter(|(of, _)| *of == fence);
            let longest = known.map_or(remaining, |(_, longest)| longest.max(remaining));
            self.longest.insert(row.key.clone(), (fence, longest));
        }
    }

    /// The look has failed.
    pub(crate) fn fail(&mut self, reason: String, now: Moment) {
        self.waits_since = None;
        let begun = self.asked.take().unwrap_or(now);
        self.arriving.clear();
        if self.look.is_none() {
            self.rows.clear();
            self.arrange(now);
        }
        let since = self.trouble.as_ref().map_or(begun, |trouble| trouble.since);
        self.trouble = Some(Trouble { since, reason });
    }

    pub(crate) fn tell(&mut self, text: String, now: Moment) {
        self.notice = Some(Notice { text, until: now + NOTICE });
    }

    /// Carries out what a key of the keyboard means.
    pub(crate) fn act(&mut self, action: Action, now: Moment) -> Step {
        match action {
            Action::Quit => return Step::Quit,
            Action::Stop => return Step::Stop,
            Action::Redraw => return Step::Redraw,
            Action::Up(count) => self.select(self.place.saturating_sub(count)),
            Action::Down(count) => self.select(self.place.saturating_add(count)),
            Action::PageUp => self.select(self.place.saturating_sub(self.height)),
            Action::PageDown => self.select(self.place.saturating_add(self.height)),
            Action::Home => self.select(0),
            Action::End => self.select(usize::MAX),
            Action::Sort => self.order(self.sort.next(), false, now),
            Action::Reverse => self.order(self.sort, !self.is_reversed, now),
            Action::Details => self.has_details = !self.has_details,
            Action::Help => self.mode = Mode::Help,
            Action::Filter => self.mode = Mode::Filter,
            Action::Close => self.mode = Mode::Table,
            Action::Type(c) => self.narrow(now, |filter| filter.push(c)),
            Action::Erase => self.narrow(now, |filter| {
                filter.pop();
            }),
            Action::Clear => {
                self.mode = Mode::Table;
                self.narrow(now, String::clear);
            }
            Action::Force => self.ask(now),
            Action::Yes => {
                if let Mode::Confirm(target) = std::mem::replace(&mut self.mode, Mode::Table) {
                    return Step::Release(target);
                }
            }
            Action::No => {
                self.mode = Mode::Table;
                self.tell("nothing was released".into(), now);
            }
        }
        Step::Stay
    }

    fn select(&mut self, place: usize) {
        self.place = place.min(self.shown.len().saturating_sub(1));
        self.selected = self.selected().map(|row| row.key.clone());
    }

    fn order(&mut self, sort: Column, is_reversed: bool, now: Moment) {
        (self.sort, self.is_reversed) = (sort, is_reversed);
        self.arrange(now);
    }

    fn narrow(&mut self, now: Moment, change: impl FnOnce(&mut String)) {
        change(&mut self.filter);
        self.arrange(now);
    }

    fn ask(&mut self, now: Moment) {
        let Some(row) = self.selected() else { return };
        let gone = row.pid.filter(|_| row.is_dead);
        let target = Target { key: row.key.clone(), holders: row.seen.holders.clone(), gone };
        if target.holders.is_empty() {
            let text = format!("nobody holds {}: there is nothing to release", row.title);
            self.tell(text, now);
        } else {
            self.mode = Mode::Confirm(target);
        }
    }

    /// Filters and sorts. The selected key stays selected; if it is gone, its place is.
    fn arrange(&mut self, now: Moment) {
        self.totals = Totals::of(&self.rows);
        let wanted = self.filter.to_lowercase();
        let passes = |index: &usize| self.rows[*index].searched.contains(&wanted);
        let mut shown: Vec<usize> = (0..self.rows.len()).filter(passes).collect();
        shown.sort_unstable_by(|a, b| {
            let (a, b) = (&self.rows[*a], &self.rows[*b]);
            let order = compare(self.sort, a, b, now);
            let order = if self.is_reversed { order.reverse() } else { order };
            order.then_with(|| a.key.as_str().cmp(b.key.as_str()))
        });
        self.shown = shown;
        let selected = self.selected.as_ref();
        let found = self.shown.iter().position(|index| Some(&self.rows[*index].key) == selected);
        self.select(found.unwrap_or(self.place));
    }
}

/// The order of two rows by a column. Rows without a number come last.
fn compare(column: Column, a: &Row, b: &Row, now: Moment) -> Ordering {
    fn numbers<T: Ord + Copy>(a: Option<T>, b: Option<T>) -> Ordering {
        a.is_none().cmp(&b.is_none()).then_with(|| a.cmp(&b))
    }
    match column {
        Column::Key => a.key.as_str().cmp(b.key.as_str()),
        Column::Kind => a.kind.cmp(&b.kind),
        Column::Holder => a.name.cmp(&b.name),
        Column::Host => a.host.cmp(&b.host),
        Column::Pid => numbers(a.pid, b.pid),
        Column::Fence => numbers(a.fence, b.fence),
        Column::Remaining => numbers(a.remaining(now), b.remaining(now)),
        // Those that most wait for stand first.
        Column::Waiters => b.waiters().cmp(&a.waiters()),
    }
}

#[cfg(test)]
mod tests;
