//! Texts in a frame: cut to a width, wrapped, and times for people.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::style::Style;

use crate::top::row::width;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
}

/// Writes a text into so many columns, cut with a mark if it is too long.
pub(super) fn put(
    buffer: &mut Buffer,
    (x, y): (u16, u16),
    columns: u16,
    text: &str,
    style: Style,
    align: Align,
) {
    let needed = u16::try_from(width(text)).unwrap_or(u16::MAX);
    if needed > columns {
        let room = columns.saturating_sub(1);
        let (end, _) = buffer.set_stringn(x, y, text, room.into(), style);
        if columns > 0 {
            buffer.set_stringn(end, y, "~", 1, style);
        }
        return;
    }
    let gap = if align == Align::Right { columns - needed } else { 0 };
    buffer.set_stringn(x + gap, y, text, columns.into(), style);
}

/// Lines of at most so many columns, broken at spaces where there are some.
pub(super) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(1);
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split(' ') {
        let needed = width(word);
        if used > 0 && used + 1 + needed > columns {
            lines.push(String::new());
            used = 0;
        }
        if used > 0 {
            lines.last_mut().expect("a line").push(' ');
            used += 1;
        }
        for c in word.chars() {
            let needed = width(c.encode_utf8(&mut [0; 4]));
            if used + needed > columns {
                lines.push(String::new());
                used = 0;
            }
            lines.last_mut().expect("a line").push(c);
            used += needed;
        }
    }
    lines
}

/// `12:00:31` of microseconds since 1970, UTC.
pub(super) fn time_of_day(wall: u64) -> String {
    let second = wall / 1_000_000 % 86_400;
    format!("{:02}:{:02}:{:02}", second / 3_600, second / 60 % 60, second % 60)
}

/// A duration in six columns: its two largest units.
pub(super) fn brief(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h{:02}m", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use ratatui::layout::Rect;

    use super::*;

    #[test]
    fn a_text_that_is_too_long_is_cut_and_marked() {
        let shown = |text: &str, columns, align| {
            let mut buffer = Buffer::empty(Rect::new(0, 0, 8, 1));
            put(&mut buffer, (0, 0), columns, text, Style::default(), align);
            buffer.content().iter().map(ratatui::buffer::Cell::symbol).collect::<String>()
        };
        assert_eq!(shown("abcd", 6, Align::Left), "abcd    ");
        assert_eq!(shown("abcd", 6, Align::Right), "  abcd  ");
        assert_eq!(shown("abcdefgh", 6, Align::Right), "abcde~  ");
        // The cell behind a wide character belongs to it, and shows a space.
        assert_eq!(shown("锁锁锁锁", 6, Align::Left), "锁 锁 ~   ");
    }

    #[test]
    fn lines_break_at_spaces_and_long_words_anywhere() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("a abcdefgh b", 4), ["a", "abcd", "efgh", "b"]);
        assert_eq!(wrap("锁锁锁", 4), ["锁锁", "锁"]);
    }

    #[test]
    fn six_columns_have_every_duration() {
        for (seconds, text) in
            [(0, "0s"), (59, "59s"), (61, "1m01s"), (3_599, "59m59s"), (7_260, "2h01m")]
        {
            assert_eq!(brief(Duration::from_secs(seconds)), text);
        }
        assert_eq!(brief(Duration::from_secs(30 * 86_400)), "30d00h");
        assert_eq!(time_of_day(86_400_000_000 + 43_231_999_999), "12:00:31");
    }
}
