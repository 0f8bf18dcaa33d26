//! What `tenure` says: on stderr, one line each. A closed or full stderr never stops it, and
//! neither does a terminal that is in the foreground of CMD.

use std::io::{IsTerminal, Write};

use crate::signals::without_ttou;

/// How much is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// Errors only.
    Quiet,
    Normal,
    Verbose,
}

/// Our voice.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output(pub(crate) Level);

impl Output {
    /// What went wrong: always said.
    pub(crate) fn error(self, message: impl AsRef<str>) {
        write(&format!("tenure: {}\n", message.as_ref()));
    }

    /// What somebody should know: unless `-q`.
    pub(crate) fn notice(self, message: impl AsRef<str>) {
        if self.0 >= Level::Normal {
            self.error(message);
        }
    }

    /// What happens: with `-v` only.
    pub(crate) fn detail(self, message: impl FnOnce() -> String) {
        if self.0 >= Level::Verbose {
            self.error(message());
        }
    }

    /// Replaces the line that the cursor is in. The next line comes after [`Voice::clear`].
    pub(crate) fn update(self, message: &str) {
        write(&format!("\r\x1b[Ktenure: {message}"));
    }

    /// Wipes the line of [`Voice::update`].
    pub(crate) fn clear(self) {
        write("\r\x1b[K");
    }

    /// Whether a line can be replaced.
    pub(crate) fn can_update(self) -> bool {
        self.0 >= Level::Normal && std::io::stderr().is_terminal()
    }
}

fn write(text: &str) {
    without_ttou(|| {
        let _ = std::io::stderr().write_all(text.as_bytes());
    });
}
