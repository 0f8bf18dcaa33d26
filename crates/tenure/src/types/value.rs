//! The value beside a claim: a short text that all who look at the key can read. It has no meaning
//! here, and is never trusted.

use std::fmt;
use std::sync::Arc;

/// A text beside a claim, such as the address of a leader: 0..=4096 bytes of UTF-8.
///
/// It has a *revision*, which tells a newer value of one lease from an older one: a store replaces
/// a value only by one with a larger revision. Cloning is cheap.
///
/// ```
/// use tenure::Value;
/// let address = Value::new("10.0.0.7:8080")?;
/// assert_eq!((address.as_str(), address.revision()), ("10.0.0.7:8080", 0));
/// assert!(Value::new("x".repeat(4097)).is_err());
/// # Ok::<(), tenure::InvalidValue>(())
/// ```
// One pointer, since every lease of a store has room for it and few have one.
#[derive(Clone, PartialEq, Eq)]
pub struct Value(Arc<Parts>);

#[derive(PartialEq, Eq)]
struct Parts {
    /// As stores keep it: the revision, a colon, and the text.
    word: Box<str>,
    revision: u64,
    /// Where the text begins.
    text_at: usize,
}

/// Why a text cannot be a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidValue {
    /// The text has more than [`Value::MAX_BYTES`] bytes.
    #[error("the value has {bytes} bytes, the limit is {} bytes", Value::MAX_BYTES)]
    TooLong {
        /// Its length in bytes.
        bytes: usize,
    },
}

impl Value {
    /// The longest value, in bytes.
    pub const MAX_BYTES: usize = 4096;

    /// The first value of a lease, with the revision 0.
    ///
    /// # Errors
    /// [`InvalidValue`] if it is too long.
    pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidValue> {
        Self::revised(text.as_ref(), 0)
    }

    /// A value that replaces those with a smaller revision.
    ///
    /// # Errors
    /// [`InvalidValue`] if it is too long.
    pub fn revised(text: &str, revision: u64) -> Result<Self, InvalidValue> {
        if text.len() > Self::MAX_BYTES {
            return Err(InvalidValue::TooLong { bytes: text.len() });
        }
        let word = format!("{revision}:{text}");
        let text_at = word.len() - text.len();
        Ok(Self(Arc::new(Parts { word: word.into(), revision, text_at })))
    }

    /// Reads a value as [`word`](Self::word) wrote it.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        let (revision, text) = word.split_once(':')?;
        Self::revised(text, revision.parse().ok()?).ok()
    }

    /// The form in which stores keep it: the revision, a colon, and the text.
    #[must_use]
    pub fn word(&self) -> &str {
        &self.0.word
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0.word[self.0.text_at..]
    }

    /// How many values of this lease came before it.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.0.revision
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Value({:?}, revision {})", self.as_str(), self.revision())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_value_survives_its_word(text in ".{0,60}", revision in any::<u64>()) {
            let value = Value::revised(&text, revision).expect("short enough");
            prop_assert_eq!((value.as_str(), value.revision()), (&*text, revision));
            prop_assert_eq!(Value::from_word(value.word()), Some(value));
        }
    }

    #[test]
    fn the_limit_counts_bytes() {
        let (fits, long) = ("é".repeat(2048), "é".repeat(2049));
        assert_eq!(Value::new(&fits).expect("4096 bytes").as_str(), fits);
        assert_eq!(Value::new(long), Err(InvalidValue::TooLong { bytes: 4098 }));
    }
}
