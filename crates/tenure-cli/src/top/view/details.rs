//! The details of the selected key, as `tenure status` tells them.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::text::{Align, put, wrap};
use super::{Clock, Theme};
use crate::top::model::Model;
use crate::top::row::Row;
use crate::view;

pub(super) fn draw(model: &Model, clock: Clock, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let room = area.width.saturating_sub(1);
    let mut put_line = |text: &str, y: u16, style| {
        put(buffer, (area.x + 1, y), room, text, style, Align::Left);
    };
    put_line("DETAILS", area.y, theme.heading());
    let Some(row) = model.selected() else { return };
    let mut lines = lines(row, clock, room.into());
    let fit = usize::from(area.height.saturating_sub(1));
    if lines.len() > fit {
        let more = lines.len() - fit + 1;
        lines.truncate(fit.saturating_sub(1));
        lines.push(format!("... and {more} lines more: tenure status KEY"));
    }
    let style = if model.is_stale() { theme.faint() } else { Style::default() };
    for (line, y) in lines.iter().zip(area.y + 1..area.bottom()) {
        put_line(line, y, style);
    }
}

fn lines(row: &Row, clock: Clock, room: usize) -> Vec<String> {
    let text = view::text(&row.key, &row.seen, clock.wall_at(row.at));
    let mut all: Vec<String> = text.lines().map(str::to_owned).collect();
    if let (true, Some(pid)) = (row.is_dead, row.pid) {
        all.push(format!("  the lease of process {pid} ends by itself, or release it (f)"));
    }
    all.iter().flat_map(|line| wrapped(line, room)).collect()
}

/// A line, and its rest further to the right.
fn wrapped(line: &str, room: usize) -> Vec<String> {
    let indent = line.len() - line.trim_start().len();
    let lines = wrap(line.trim_start(), room.saturating_sub(indent + 2));
    let place = |(index, line): (usize, String)| {
        let indent = indent + if index > 0 { 2 } else { 0 };
        format!("{}{line}", " ".repeat(indent))
    };
    lines.into_iter().enumerate().map(place).collect()
}
