//! The name of a lock. It is never normalised, folded to one case or escaped: two keys are equal
//! exactly when their bytes are.

use std::fmt;
use std::sync::Arc;

/// A validated name: 1..=512 bytes of UTF-8 without control characters.
///
/// A server refuses the few names under which it keeps parts of other locks, such as
/// `tenure:{a}:record`.
///
/// Cloning is cheap. Keys are compared byte by byte: `Stock` and `stock` are two keys.
///
/// ```
/// use tenure::Key;
/// assert_eq!(Key::new("report 📈")?.as_str(), "report 📈");
/// assert!(Key::new("").is_err());
/// # Ok::<(), tenure::InvalidKey>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(Arc<str>);

/// Why a name cannot be a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidKey {
    /// The name is empty.
    #[error("a key cannot be empty")]
    Empty,
    /// The name has more than [`Key::MAX_BYTES`] bytes.
    #[error("the key has {bytes} bytes, the limit is {} bytes", Key::MAX_BYTES)]
    TooLong {
        /// Its length in bytes.
        bytes: usize,
    },
    /// The name contains a control character.
    #[error("the key contains the control character U+{code:04X} at byte {at}")]
    Control {
        /// The character's code point.
        code: u32,
        /// Its position in bytes.
        at: usize,
    },
}

impl Key {
    /// The longest key, in bytes.
    pub const MAX_BYTES: usize = 512;

    /// Checks a name.
    ///
    /// # Errors
    /// [`InvalidKey`] says which rule the name breaks.
    pub fn new(name: impl AsRef<str>) -> Result<Self, InvalidKey> {
        let name = name.as_ref();
        if name.is_empty() {
            return Err(InvalidKey::Empty);
        }
        if name.len() > Self::MAX_BYTES {
            return Err(InvalidKey::TooLong { bytes: name.len() });
        }
        if let Some((at, c)) = name.char_indices().find(|(_, c)| c.is_control()) {
            return Err(InvalidKey::Control { code: c.into(), at });
        }
        Ok(Self(name.into()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Key {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:?})", &*self.0)
    }
}
