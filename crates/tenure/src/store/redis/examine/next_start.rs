//! The server's next start: CONFIG SET changes the running server alone, and the next start reads a
//! file, or has none. It asks nothing.

use super::facts::Info;

/// The configuration that the next start reads, as far as the server tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NextStart<'a> {
    File(&'a str),
    /// Only the arguments of its command line.
    NoFile,
    Untold,
}

impl<'a> NextStart<'a> {
    pub(super) fn of(info: &'a Info) -> Self {
        match info.text("config_file") {
            Some("") => Self::NoFile,
            Some(file) => Self::File(file),
            None => Self::Untold,
        }
    }

    /// The lines that change a setting now, and for the next start as well.
    pub(super) fn set(self, setting: &str) -> String {
        match self {
            Self::File(file) => format!(
                "CONFIG SET {setting}, then CONFIG REWRITE, which writes it into {file} for the \
                 next start"
            ),
            Self::NoFile => format!(
                "CONFIG SET {setting}, and start it with that from now on: it has no \
                 configuration file that would keep it"
            ),
            Self::Untold => format!(
                "CONFIG SET {setting}, and write it into the configuration for the next start"
            ),
        }
    }
}
