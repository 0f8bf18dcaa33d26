//! The part of the configuration that names a store, for the message about one that cannot be used.

use crate::variables::{FILE, URL};

/// The part of the configuration that names the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Origin {
    /// The command line, which the reader has typed.
    Typed,
    /// `TENURE_STORE`.
    Url,
    /// `TENURE_STORE_FILE`.
    File,
    /// Nothing: it is the embedded store.
    Default,
}

impl Origin {
    /// The end of a message about the store; `None` if the command line shows it.
    pub(crate) fn told(self) -> Option<String> {
        match self {
            Self::Typed => None,
            Self::Url => Some(format!("the store's URL is from {URL}")),
            Self::File => Some(format!("the store's file is from {FILE}")),
            Self::Default => Some(format!(
                "it is this user's own store, since neither --store nor {URL} names another"
            )),
        }
    }

    /// Adds it to an error of opening the store.
    pub(super) fn name_in(self, error: tenure::Error) -> tenure::Error {
        match self.told() {
            Some(told) => error.with_note(&told),
            None => error,
        }
    }
}
