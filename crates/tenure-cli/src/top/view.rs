//! The model as a frame. Only the rows on the screen are drawn.

mod columns;
mod details;
mod dialog;
mod table;
mod text;
mod theme;

use std::time::Duration;

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use tenure::runtime::Moment;

use super::model::{Mode, Model};
use super::row::width;
use crate::duration::{show, show_seconds};
use crate::printable::printable;
use text::{Align, put, time_of_day, wrap};

pub(crate) use theme::Theme;

/// Columns and lines of the smallest terminal.
const LEAST: [u16; 2] = [60, 10];

/// A request that takes longer is said to be unanswered.
const PATIENCE: Duration = Duration::from_millis(1500);

/// The most lines of a message.
const LINES: usize = 3;

const HINTS: &str = "q quit  / filter  s sort  r reverse  Enter details  f force-release  ? help";

/// The moment of a frame.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    pub(crate) now: Moment,
    /// Microseconds since 1970.
    pub(crate) wall: u64,
}

impl Clock {
    /// The wall clock at an earlier moment.
    fn wall_at(self, moment: Moment) -> u64 {
        let since = u64::try_from(self.now.since(moment).as_micros()).unwrap_or(u64::MAX);
        self.wall.saturating_sub(since)
    }
}

/// The places of a frame, from top to bottom; behind them is the line of the hints.
struct Places {
    head: Rect,
    messages: Vec<(String, Tone)>,
    table: Rect,
    details: Option<Rect>,
    foot: Rect,
}

/// The kind of a message.
#[derive(Debug, Clone, Copy)]
enum Tone {
    Trouble,
    Notice,
}

impl Places {
    /// `None` if the terminal is too small.
    fn of(model: &Model, clock: Clock, area: Rect) -> Option<Self> {
        let [columns, lines] = LEAST;
        if area.width < columns || area.height < lines {
            return None;
        }
        let messages = messages(model, clock, area.width);
        let said = u16::try_from(messages.len()).unwrap_or(u16::MAX);
        let part = |y, height| Rect { y: area.y + y, height, ..area };
        let body = area.height.saturating_sub(2 + said + 1);
        let below = if model.has_details { (body / 2).max(5).min(body - 2) } else { 0 };
        Some(Self {
            head: part(0, 2 + said),
            messages,
            table: part(2 + said, body - below),
            details: model.has_details.then(|| part(2 + said + body - below, below)),
            foot: part(area.height - 1, 1),
        })
    }
}

/// Number of keys that fit into the table.
pub(crate) fn height(model: &Model, clock: Clock, area: Rect) -> usize {
    // One line has the names of the columns.
    Places::of(model, clock, area).map_or(1, |places| places.table.height.saturating_sub(1).into())
}

/// Draws all of it.
pub(crate) fn draw(model: &Model, store: &str, clock: Clock, theme: &Theme, frame: &mut Frame<'_>) {
    let area = frame.area();
    let buffer = frame.buffer_mut();
    let Some(places) = Places::of(model, clock, area) else {
        return too_small(area, buffer);
    };
    head(model, store, clock, theme, &places, buffer);
    table::draw(model, clock, theme, places.table, buffer);
    if let Some(area) = places.details {
        details::draw(model, clock, theme, area, buffer);
    }
    foot(model, theme, places.foot, buffer);
    match &model.mode {
        Mode::Help => dialog::help(theme, area, buffer),
        Mode::Confirm(target) => dialog::confirm(target, theme, area, buffer),
        Mode::Table | Mode::Filter => {}
    }
}

fn too_small(area: Rect, buffer: &mut Buffer) {
    let [columns, lines] = LEAST;
    let text = format!(
        "this terminal has {} x {}; tenure top needs {columns} x {lines}. q quits",
        area.width, area.height
    );
    let lines = wrap(&text, area.width.into());
    for (line, y) in lines.iter().zip(area.top()..area.bottom()) {
        put(buffer, (area.x, y), area.width, line, Style::default(), Align::Left);
    }
}

/// The store, the clock, the sums, and what is wrong.
fn head(
    model: &Model,
    store: &str,
    clock: Clock,
    theme: &Theme,
    places: &Places,
    buffer: &mut Buffer,
) {
    let area = places.head;
    let time = format!("{} UTC ", time_of_day(clock.wall));
    let time_width = u16::try_from(time.len()).unwrap_or_default();
    buffer.set_style(Rect { height: 1, ..area }, theme.title());
    let title = format!(" tenure top  {store}");
    let room = area.width - time_width - 1;
    put(buffer, (area.x, area.y), room, &title, theme.title(), Align::Left);
    put(buffer, (area.right() - time_width, area.y), time_width, &time, theme.title(), Align::Left);
    let sums = sums(model, area.width.into());
    put(buffer, (area.x, area.y + 1), area.width, &sums, Style::default(), Align::Left);
    for ((message, tone), y) in places.messages.iter().zip(area.y + 2..) {
        let style = match tone {
            Tone::Trouble => theme.trouble(),
            Tone::Notice => theme.notice(),
        };
        put(buffer, (area.x, y), area.width, message, style, Align::Left);
    }
}

/// Sums over all keys, as many as fit.
fn sums(model: &Model, room: usize) -> String {
    let (keys, totals) = (model.rows().len(), &model.totals);
    let mut parts = vec![
        if keys == 1 { "1 key".into() } else { format!("{keys} keys") },
        format!("{} held", totals.held),
        format!("{} waiting", totals.waiters),
    ];
    if !model.filter.is_empty() {
        let filter = printable(&model.filter);
        parts.insert(1, format!("{} shown by /{filter}", model.count()));
    }
    match model.rates.per_second() {
        Some([grants, releases]) => {
            parts.push(format!("grants {grants:.1}/s"));
            parts.push(format!("releases {releases:.1}/s"));
        }
        None => parts.push("grants -/s".into()),
    }
    parts.push(match model.look {
        Some(look) => format!("read in {}", show(look.took)),
        None => "reading".into(),
    });
    while parts.len() > 1 && width(&parts.join("  ")) + 1 > room {
        parts.pop();
    }
    format!(" {}", parts.join("  "))
}

/// The lines about the store's failure, about its guard, and about what was done.
fn messages(model: &Model, clock: Clock, room: u16) -> Vec<(String, Tone)> {
    let mut all = Vec::new();
    let mut say = |text: &str, tone| {
        let lines = wrap(text, usize::from(room).saturating_sub(2));
        all.extend(lines.into_iter().take(LINES).map(|line| (format!(" {line}"), tone)));
    };
    if let Some(trouble) = &model.trouble {
        let (since, span) = since(trouble.since, clock);
        let rows = if model.look.is_some() { "stale" } else { "nothing was read" };
        let text = format!("{rows} since {since} ({span}): {}", trouble.reason);
        say(&text, Tone::Trouble);
    } else if let Some(asked) = model.waits_since.filter(|at| clock.now.since(*at) > PATIENCE) {
        let (since, span) = since(asked, clock);
        say(&format!("the store has not answered since {since} ({span})"), Tone::Trouble);
    } else if let Some(remark) = &model.remark {
        say(remark, Tone::Trouble);
    }
    if let Some(notice) = model.notice.as_ref().filter(|notice| clock.now < notice.until) {
        say(&notice.text, Tone::Notice);
    }
    all
}

/// The time of day of a moment, and the time since then.
fn since(moment: Moment, clock: Clock) -> (String, String) {
    let span = show_seconds(clock.now.since(moment));
    (format!("{} UTC", time_of_day(clock.wall_at(moment))), span)
}

fn foot(model: &Model, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let text = match model.mode {
        Mode::Filter => {
            let filter = printable(&model.filter);
            format!(" /{filter}_   Enter keeps it, Esc ends it")
        }
        _ => format!(" {HINTS}"),
    };
    buffer.set_style(area, theme.title());
    put(buffer, (area.x, area.y), area.width, &text, theme.title(), Align::Left);
}

#[cfg(test)]
pub(super) mod tests;
