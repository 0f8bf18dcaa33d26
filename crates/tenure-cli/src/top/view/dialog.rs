//! Dialogs over the table: the help, and the question before a forced release.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::widgets::{Block, Clear, Widget};

use super::Theme;
use super::text::{Align, put, wrap};
use crate::duration::show;
use crate::label;
use crate::printable::printable;
use crate::top::input::KEYS;
use crate::top::model::Target;
use crate::top::row::width;

/// The most columns of a dialog's text.
const COLUMNS: usize = 72;

/// The most holders that are named.
const HOLDERS: usize = 4;

pub(super) fn help(theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let line = |(key, text): &(&str, &str)| format!("{key:<14} {text}");
    let lines: Vec<_> = KEYS.iter().map(line).collect();
    dialog(" Keys ", &lines, theme, area, buffer);
}

pub(super) fn confirm(target: &Target, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let key = printable(target.key.as_str());
    let mut paragraphs = vec![format!("Release {key} by force?"), String::new()];
    for holder in target.holders.iter().take(HOLDERS) {
        let label = holder.label.as_str();
        let pid = label::parse(label).and_then(|parts| parts.pid);
        let is_gone = target.gone.is_some() && pid == target.gone;
        let gone = if is_gone { "; its process is gone" } else { "" };
        let since = show(holder.since);
        let label = printable(label);
        paragraphs.push(format!("held by {label} for {since}, fence {}{gone}", holder.fence));
    }
    if target.holders.len() > HOLDERS {
        paragraphs.push(format!("... and {} more holders", target.holders.len() - HOLDERS));
    }
    let about = "A holder that lives learns of it at its next renewal, and may go on with its work \
                 until then. The next waiter has the key at once.";
    paragraphs.extend([String::new(), about.into(), String::new()]);
    paragraphs.push("y: release it    N or any other key: do nothing".into());
    let columns = COLUMNS.min(usize::from(area.width).saturating_sub(6));
    let lines: Vec<_> = paragraphs.iter().flat_map(|text| wrap(text, columns)).collect();
    dialog(" Forced release ", &lines, theme, area, buffer);
}

/// Lines in a frame, in the middle of the screen. If they do not fit, those in front of the last
/// one are left out.
fn dialog(title: &str, lines: &[String], theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let widest = lines.iter().map(|line| width(line)).max().unwrap_or_default();
    let columns = u16::try_from(widest + 4).unwrap_or(u16::MAX).min(area.width);
    let height = u16::try_from(lines.len() + 2).unwrap_or(u16::MAX).min(area.height);
    let place = Rect {
        x: area.x + (area.width - columns) / 2,
        y: area.y + (area.height - height) / 2,
        width: columns,
        height,
    };
    Clear.render(place, buffer);
    let block = Block::bordered().border_set(theme.border()).title(title);
    let inner = block.inner(place);
    block.render(place, buffer);
    let fit = usize::from(inner.height);
    let shown = lines.iter().take(if lines.len() > fit { fit - 1 } else { fit });
    let rest = lines.last().filter(|_| lines.len() > fit);
    for (line, y) in shown.chain(rest).zip(inner.y..) {
        put(buffer, (inner.x + 1, y), inner.width - 2, line, Style::default(), Align::Left);
    }
}
