//! Texts that others have written, such as keys and labels, as a terminal may show them.

/// A text without the characters that control a terminal, turn the direction of writing or have no
/// width of their own.
pub(crate) fn printable(text: &str) -> String {
    let is_bad = |c: char| {
        let is_mark = matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}');
        let is_space = matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}');
        let is_format = matches!(c, '\u{2060}'..='\u{206f}');
        c.is_control() || is_mark || is_space || is_format
    };
    // Terminals do not agree on the width of a character with a variation selector behind it.
    let kept = text.chars().filter(|c| !matches!(c, '\u{fe00}'..='\u{fe0f}'));
    kept.map(|c| if is_bad(c) { '?' } else { c }).collect()
}

/// The same for a text of several lines.
pub(crate) fn lines(text: &str) -> String {
    text.split('\n').map(printable).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_controls_a_terminal_is_printable() {
        assert_eq!(printable("a\x1b[2Jb\u{9b}c\nd"), "a?[2Jb?c?d");
        assert_eq!(printable("a\u{202e}b\u{200d}c\u{fe0f}"), "a?b?c");
        assert_eq!(printable("锁 é"), "锁 é");
        assert_eq!(lines("a\x1b\n  b\r\n"), "a?\n  b?\n");
    }
}
