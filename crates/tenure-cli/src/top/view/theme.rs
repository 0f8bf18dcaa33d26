//! Colours, and the marks that say the same without them.

use std::ffi::OsString;

use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::border;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Theme {
    has_colour: bool,
    has_unicode: bool,
}

impl Theme {
    /// As the environment says: `NO_COLOR`, `TERM`, and the character set of the locale.
    pub(crate) fn of(no_color: bool, env: impl Fn(&str) -> Option<OsString>) -> Self {
        let text = |name| env(name).map(|value| value.to_string_lossy().into_owned());
        let text = |name| text(name).filter(|value| !value.is_empty());
        let knows_none = text("TERM").is_none_or(|term| term == "dumb");
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(text);
        let locale = locale.unwrap_or_default().to_lowercase();
        Self {
            has_colour: !no_color && text("NO_COLOR").is_none() && !knows_none,
            has_unicode: locale.contains("utf-8") || locale.contains("utf8"),
        }
    }

    fn with(self, colour: Color, otherwise: Modifier) -> Style {
        let style = Style::default();
        if self.has_colour { style.fg(colour) } else { style.add_modifier(otherwise) }
    }

    pub(super) fn title(&self) -> Style {
        Style::default().add_modifier(Modifier::REVERSED)
    }

    pub(super) fn heading(&self) -> Style {
        self.with(Color::Cyan, Modifier::UNDERLINED).add_modifier(Modifier::BOLD)
    }

    pub(super) fn selected(&self) -> Style {
        Style::default().add_modifier(Modifier::REVERSED)
    }

    /// Rows of the past, and keys that nobody holds.
    pub(super) fn faint(&self) -> Style {
        self.with(Color::DarkGray, Modifier::DIM)
    }

    pub(super) fn dead(&self) -> Style {
        self.with(Color::Red, Modifier::BOLD).add_modifier(Modifier::BOLD)
    }

    pub(super) fn waiting(&self) -> Style {
        self.with(Color::Yellow, Modifier::BOLD)
    }

    pub(super) fn trouble(&self) -> Style {
        self.with(Color::Red, Modifier::BOLD).add_modifier(Modifier::BOLD)
    }

    pub(super) fn notice(&self) -> Style {
        self.with(Color::Yellow, Modifier::BOLD)
    }

    /// A bar by how much of it is left.
    pub(super) fn bar(&self, part: f64) -> Style {
        let colour = match part {
            _ if part > 0.5 => Color::Green,
            _ if part > 0.25 => Color::Yellow,
            _ => Color::Red,
        };
        self.with(colour, Modifier::empty())
    }

    /// The full and the empty part of a bar.
    pub(super) fn bar_marks(&self) -> [&'static str; 2] {
        if self.has_unicode { ["█", "░"] } else { ["#", "."] }
    }

    /// The order of a column, and its reverse.
    pub(super) fn order_mark(&self, is_reversed: bool) -> &'static str {
        match (self.has_unicode, is_reversed) {
            (true, false) => "▲",
            (true, true) => "▼",
            (false, false) => "^",
            (false, true) => "v",
        }
    }

    pub(super) fn border(&self) -> border::Set<'static> {
        if self.has_unicode {
            return border::PLAIN;
        }
        border::Set {
            top_left: "+",
            top_right: "+",
            bottom_left: "+",
            bottom_right: "+",
            vertical_left: "|",
            vertical_right: "|",
            horizontal_top: "-",
            horizontal_bottom: "-",
        }
    }

    #[cfg(test)]
    pub(crate) const FULL: Self = Self { has_colour: true, has_unicode: true };
    #[cfg(test)]
    pub(crate) const PLAIN: Self = Self { has_colour: false, has_unicode: false };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_and_unicode_by_the_environment() {
        let theme = |no_color, env: &[(&str, &str)]| {
            let env = |name: &str| {
                env.iter().find(|(of, _)| *of == name).map(|(_, value)| OsString::from(value))
            };
            let theme = Theme::of(no_color, env);
            (theme.has_colour, theme.has_unicode)
        };
        let xterm = ("TERM", "xterm");
        assert_eq!(theme(false, &[xterm, ("LANG", "de_DE.UTF-8")]), (true, true));
        assert_eq!(theme(true, &[xterm]), (false, false));
        assert_eq!(theme(false, &[xterm, ("NO_COLOR", "1")]), (false, false));
        assert_eq!(theme(false, &[xterm, ("NO_COLOR", "")]), (true, false));
        assert_eq!(theme(false, &[("TERM", "dumb")]), (false, false));
        let overruled = [xterm, ("LC_ALL", "C"), ("LANG", "C.utf8")];
        assert_eq!(theme(false, &overruled), (true, false));
    }
}
