//! The state of the screen: rows, their order, the filter, the chosen row, and the question that is
//! open. It knows neither the terminal nor the store, and reads no clock.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::ops::Range;
use std::time::Duration;

use tenure::Key;
use tenure::protocol::{Guarded, HolderView};
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
    /// The store grants nothing new, as it said at that moment.
    pub(crate) guarded: Option<(Guarded, Moment)>,
}

impl Totals {
    fn of(rows: &[Row]) -> Self {
        let mut totals = Self::default();
        for row in rows {
            totals.held += usize::from(row.is_held());
            totals.waiters += row.waiters();
            totals.widths = totals.widths.max(row.widths);
            totals.guarded = totals.guarded.or(row.seen.guarded.map(|guarded| (guarded, row.at)));
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
mod tests {
    use super::super::row::sample::{held, row, waiter};
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::from_micros(seconds * 1_000_000)
    }

    fn of(rows: Vec<Row>) -> Model {
        let mut model = Model::new();
        looks(&mut model, rows, 1);
        model.fit(10);
        model
    }

    fn looks(model: &mut Model, rows: Vec<Row>, second: u64) {
        model.begin(at(second));
        model.arrive(rows, at(second));
        model.complete(at(second));
    }

    fn keys(model: &Model) -> Vec<&str> {
        model.visible().map(|row| row.key.as_str()).collect()
    }

    fn chosen(model: &Model) -> Option<&str> {
        model.selected().map(|row| row.key.as_str())
    }

    fn some() -> Vec<Row> {
        let mut free = row("d", |seen| seen.waiters = vec![waiter("w", 1)]);
        free.pid = None;
        vec![held("b", "h2:30:y", 7), held("a", "h1:20:z", 9), held("c", "h3:10:x", 8), free]
    }

    #[test]
    fn each_column_sorts_and_the_reverse_of_it() {
        let mut model = of(some());
        let orders = ["a b c d", "a b c d", "d c b a", "d a b c", "c a b d", "b c a d", "a b c d"];
        for order in orders {
            assert_eq!(keys(&model).join(" "), order, "{:?}", model.sort);
            model.act(Action::Sort, at(1));
        }
        assert_eq!((model.sort, keys(&model).join(" ")), (Column::Waiters, "d a b c".into()));
        model.act(Action::Reverse, at(1));
        assert_eq!(keys(&model).join(" "), "a b c d");
        model.act(Action::Sort, at(1));
        assert_eq!((model.sort, model.is_reversed), (Column::Key, false));
    }

    #[test]
    fn the_filter_narrows_with_each_letter() {
        let mut model = of(some());
        model.act(Action::Filter, at(1));
        model.act(Action::Type('H'), at(1));
        assert_eq!(keys(&model), ["a", "b", "c"]);
        model.act(Action::Type('3'), at(1));
        assert_eq!(keys(&model), ["c"]);
        model.act(Action::Erase, at(1));
        assert_eq!(keys(&model), ["a", "b", "c"]);
        model.act(Action::Clear, at(1));
        assert_eq!((keys(&model).len(), &model.mode), (4, &Mode::Table));
    }

    #[test]
    fn the_selection_stays_with_its_key() {
        let mut model = of(some());
        model.act(Action::Down(1), at(1));
        assert_eq!(chosen(&model), Some("b"));
        let mut more = some();
        more.push(held("aa", "x", 1));
        looks(&mut model, more, 2);
        assert_eq!((chosen(&model), model.places()), (Some("b"), (0, 2)));
        // Its place, once it is gone.
        looks(&mut model, some().into_iter().filter(|row| row.key.as_str() != "b").collect(), 3);
        assert_eq!(chosen(&model), Some("d"));
        looks(&mut model, vec![], 4);
        assert_eq!(chosen(&model), None);
    }

    #[test]
    fn the_selected_row_is_on_the_screen() {
        let rows = (0..100).map(|n| held(&format!("k{n:02}"), "x", n + 1)).collect();
        let mut model = of(rows);
        for (action, first, place) in [
            (Action::End, 90, 9),
            (Action::Up(1), 90, 8),
            (Action::PageUp, 88, 0),
            (Action::Home, 0, 0),
            (Action::PageDown, 1, 9),
            (Action::Down(200), 90, 9),
        ] {
            model.act(action, at(1));
            model.fit(10);
            assert_eq!((model.places(), model.visible().count()), ((first, place), 10));
        }
        model.fit(4);
        assert_eq!((model.places(), chosen(&model)), ((96, 3), Some("k99")));
        model.fit(200);
        assert_eq!((model.places(), model.visible().count()), ((0, 99), 100));
    }

    #[test]
    fn rows_stay_while_the_store_fails() {
        let mut model = of(some());
        for second in [5, 6] {
            model.begin(at(second));
            model.arrive(vec![held("half", "x", 1)], at(second));
            model.fail("away".into(), at(second + 1));
            assert_eq!(keys(&model), ["a", "b", "c", "d"]);
        }
        assert_eq!(model.trouble, Some(Trouble { since: at(5), reason: "away".into() }));
        looks(&mut model, vec![held("new", "x", 1)], 9);
        assert_eq!((keys(&model), &model.trouble), (vec!["new"], &None));
    }

    #[test]
    fn only_yes_releases_and_it_names_the_holders_that_were_shown() {
        let mut model = of(some());
        assert_eq!(model.act(Action::Force, at(1)), Step::Stay);
        assert_eq!(model.act(Action::No, at(1)), Step::Stay);
        assert_eq!(model.act(Action::Yes, at(1)), Step::Stay, "the question is closed");
        model.act(Action::Force, at(1));
        // Another holder comes while the question is open.
        looks(&mut model, vec![held("a", "other", 99)], 2);
        let Step::Release(target) = model.act(Action::Yes, at(2)) else { panic!("released") };
        assert_eq!((target.key.as_str(), target.holders[0].fence.get()), ("a", 9));
        looks(&mut model, some(), 3);
        model.act(Action::End, at(3));
        model.act(Action::Force, at(3));
        assert_eq!(model.mode, Mode::Table, "nobody holds d");
        assert!(model.notice.expect("said").text.contains("nobody holds d"));
    }

    #[test]
    fn the_bar_is_a_part_of_the_longest_time_that_was_seen() {
        let with = |since, remaining| {
            let mut row = held("a", "x", 1);
            let holder = &mut row.seen.holders[0];
            holder.since = Duration::from_secs(since);
            holder.remaining = Duration::from_secs(remaining);
            row
        };
        let part = |model: &Model, now| model.part(&model.rows()[0], at(now)).expect("held");
        // Never renewed: 10 s of 30 s are over.
        let model = of(vec![with(10, 30)]);
        assert!((part(&model, 0) - 0.75).abs() < 0.01);
        assert!((part(&model, 20) - 0.25).abs() < 0.01, "it goes down between looks");
        // Renewed: the longest of all looks.
        let mut model = of(vec![with(100, 20)]);
        assert!((part(&model, 0) - 1.0).abs() < 0.01);
        looks(&mut model, vec![with(101, 40)], 2);
        looks(&mut model, vec![with(111, 30)], 3);
        assert!((part(&model, 0) - 0.75).abs() < 0.01);
    }
}
