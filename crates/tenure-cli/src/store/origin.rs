//! The part of the configuration that names a store, for the message about one that cannot be used.

use tenure::ErrorKind;

use crate::variables::{FILE, URL};

/// The part of the configuration that names the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Origin {
    /// `--store`, which the reader has typed.
    Typed,
    /// `--store-file`, too.
    TypedFile,
    /// `TENURE_STORE`.
    Url,
    /// `TENURE_STORE_FILE`.
    File,
    /// Nothing: it is the embedded store.
    Default,
}

impl Origin {
    /// Whether the command line names the store.
    pub(super) fn is_typed(self) -> bool {
        matches!(self, Self::Typed | Self::TypedFile)
    }

    /// The end of a message about the store.
    fn told(self) -> String {
        match self {
            Self::Typed => "the store's URL is from --store".into(),
            Self::TypedFile => "the store's file is from --store-file".into(),
            Self::Url => format!("the store's URL is from {URL}"),
            Self::File => format!("the store's file is from {FILE}"),
            Self::Default => format!(
                "it is this user's own store, since neither --store nor {URL} names another"
            ),
        }
    }

    /// Adds it to an error of opening the store. Of a store that was typed, a fault of the
    /// configuration says where it stands.
    pub(super) fn name_in(self, error: tenure::Error) -> tenure::Error {
        if self.is_typed() && error.kind() != ErrorKind::Config {
            return error;
        }
        error.with_note(&self.told())
    }
}
