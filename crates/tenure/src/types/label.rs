//! A readable name beside an owner. It is shown to people and never compared.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use crate::process::PerProcess;

/// A name that tells people whom to ask about a lock: by default `host:pid:program`. It is shown,
/// never trusted.
///
/// Control characters become `?`. A text longer than [`Label::MAX_BYTES`] is cut.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Label(Arc<str>);

impl Label {
    /// The longest label, in bytes.
    pub const MAX_BYTES: usize = 200;

    /// Makes a label of any text.
    #[must_use]
    pub fn new(text: impl AsRef<str>) -> Self {
        let mut clean = String::new();
        for c in text.as_ref().chars().map(|c| if c.is_control() { '?' } else { c }) {
            if clean.len() + c.len_utf8() > Self::MAX_BYTES {
                break;
            }
            clean.push(c);
        }
        Self(clean.into())
    }

    /// `host:pid:program`, made once in each process.
    #[must_use]
    pub fn of_this_process() -> Self {
        static LABEL: PerProcess<OnceLock<Label>> = PerProcess::new();
        let label = LABEL.get().get_or_init(|| {
            let uname = rustix::system::uname();
            let host = uname.nodename().to_string_lossy();
            let program = std::env::current_exe().ok();
            let program = program.as_deref().and_then(Path::file_name).unwrap_or_default();
            Self::new(format!("{host}:{}:{}", std::process::id(), program.to_string_lossy()))
        });
        label.clone()
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}
