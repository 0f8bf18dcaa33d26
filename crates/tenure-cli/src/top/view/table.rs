//! The table of the keys.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::columns::{Columns, Place};
use super::text::{Align, brief, put};
use super::{Clock, Theme};
use crate::top::model::{Column, Model};
use crate::top::row::{Row, width};

pub(super) fn draw(model: &Model, clock: Clock, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let columns = Columns::of(model.totals.widths, area.width);
    headings(model, theme, &columns, area, buffer);
    let below = area.top() + 1..area.bottom();
    let (_, selected) = model.places();
    for ((index, row), y) in model.visible().enumerate().zip(below) {
        let line = Line { row, y, area, is_selected: index == selected };
        line.draw(model, clock, theme, &columns, buffer);
    }
    if model.count() == 0 && area.height > 2 {
        let at = (area.x + 1, area.y + 2);
        put(buffer, at, area.width - 1, empty(model), Style::default(), Align::Left);
    }
}

/// The reason why there are no rows.
fn empty(model: &Model) -> &'static str {
    match model.look {
        _ if !model.filter.is_empty() => "no key passes the filter (Esc takes it away)",
        Some(_) => "no key is held or waited for",
        None if model.trouble.is_some() => "",
        None => "reading the keys",
    }
}

fn title(column: Column) -> &'static str {
    match column {
        Column::Key => "KEY",
        Column::Kind => "KIND",
        Column::Holder => "HOLDER",
        Column::Host => "HOST",
        Column::Pid => "PID",
        Column::Fence => "FENCE",
        Column::Remaining => "LEFT",
        Column::Waiters => "WAIT",
    }
}

fn align(column: Column) -> Align {
    match column {
        Column::Pid | Column::Fence | Column::Waiters => Align::Right,
        _ => Align::Left,
    }
}

fn headings(model: &Model, theme: &Theme, columns: &Columns, area: Rect, buffer: &mut Buffer) {
    for place in &columns.places {
        let mut text = title(place.column).to_owned();
        if place.column == model.sort {
            text += theme.order_mark(model.is_reversed);
        }
        let at = (area.x + place.x, area.y);
        put(buffer, at, place.width, &text, theme.heading(), align(place.column));
    }
}

/// A row of the table.
struct Line<'a> {
    row: &'a Row,
    y: u16,
    area: Rect,
    is_selected: bool,
}

impl Line<'_> {
    fn draw(
        &self,
        model: &Model,
        clock: Clock,
        theme: &Theme,
        columns: &Columns,
        buffer: &mut Buffer,
    ) {
        let is_faint = model.is_stale() || !self.row.is_held();
        let base = if is_faint { theme.faint() } else { Style::default() };
        if self.is_selected {
            let line = Rect { y: self.y, height: 1, ..self.area };
            buffer.set_style(line, theme.selected());
            buffer.set_stringn(self.area.x, self.y, ">", 1, Style::default());
        }
        for place in &columns.places {
            if place.column == Column::Remaining {
                self.remaining(model, clock, theme, (place, columns.bar), base, buffer);
                continue;
            }
            let (text, style) = self.cell(place.column, theme);
            let style = if is_faint { base } else { style };
            let at = (self.area.x + place.x, self.y);
            put(buffer, at, place.width, &text, style, align(place.column));
        }
    }

    fn cell(&self, column: Column, theme: &Theme) -> (String, Style) {
        let row = self.row;
        let plain = Style::default();
        match column {
            Column::Key => (row.title.clone(), plain),
            Column::Kind => (row.kind.clone(), plain),
            Column::Holder => (row.name.clone(), plain),
            Column::Host => (row.host.clone(), plain),
            Column::Pid if row.is_dead => (row.pid_text(), theme.dead()),
            Column::Pid => (row.pid_text(), plain),
            Column::Fence => (row.fence.map(|fence| fence.to_string()).unwrap_or_default(), plain),
            Column::Waiters if row.waiters() > 0 => (row.waiters().to_string(), theme.waiting()),
            Column::Waiters | Column::Remaining => (String::new(), plain),
        }
    }

    /// The time until the lease ends, and a bar.
    fn remaining(
        &self,
        model: &Model,
        clock: Clock,
        theme: &Theme,
        (place, bar): (&Place, u16),
        base: Style,
        buffer: &mut Buffer,
    ) {
        let Some(remaining) = self.row.remaining(clock.now) else { return };
        let part = model.part(self.row, clock.now).unwrap_or_default();
        let x = self.area.x + place.x;
        let time = if bar > 0 { place.width - bar - 1 } else { place.width };
        put(buffer, (x, self.y), time, &brief(remaining), base, Align::Right);
        if bar == 0 {
            return;
        }
        let [full, empty] = theme.bar_marks();
        let filled = (part * f64::from(bar)).ceil().clamp(0.0, f64::from(bar));
        let filled = (0..bar).filter(|cell| f64::from(*cell) < filled).count();
        let text = full.repeat(filled) + &empty.repeat(usize::from(bar) - filled);
        debug_assert_eq!(width(&text), usize::from(bar), "one column for each mark");
        let style = if base == Style::default() { theme.bar(part) } else { base };
        // Reversed, a full bar would look empty.
        let style = style.remove_modifier(Modifier::REVERSED);
        put(buffer, (x + time + 1, self.y), bar, &text, style, Align::Left);
    }
}
