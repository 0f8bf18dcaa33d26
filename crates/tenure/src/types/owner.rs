//! The identity behind a claim. It is compared whole, never by prefix. Two claims with one value
//! are still two owners.

use std::fmt;
use std::sync::Arc;

/// The identity of one acquisition: a value, and the number of the attempt.
///
/// The value is 160 bits from the operating system's generator, in hex, or a fixed value that
/// the caller chose. By the attempt number (64 random bits) a repeated request is recognised as the
/// same one. Two claims that share a fixed value differ in it, so they exclude each other.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Owner {
    value: Arc<str>,
    attempt: u64,
}

/// Why a text cannot be an owner's fixed value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidOwner {
    /// The value is empty.
    #[error("an owner value cannot be empty")]
    Empty,
    /// The value has more than [`Owner::MAX_BYTES`] bytes.
    #[error("the owner value has {bytes} bytes, the limit is {} bytes", Owner::MAX_BYTES)]
    TooLong {
        /// Its length in bytes.
        bytes: usize,
    },
    /// The value contains a control character.
    #[error("the owner value contains the control character U+{code:04X}")]
    Control {
        /// The character's code point.
        code: u32,
    },
}

impl Owner {
    /// The longest fixed value, in bytes.
    pub const MAX_BYTES: usize = 256;

    /// An owner of 160 random bits (`random[..20]`) and an attempt number (`random[20..]`).
    #[must_use]
    pub fn random(random: &[u8; 28]) -> Self {
        // Every acquire comes here, and this is many times as fast as formatting.
        let digit = |half: u8| half + if half < 10 { b'0' } else { b'a' - 10 };
        let mut hex = [0; 40];
        for (at, byte) in random[..20].iter().enumerate() {
            hex[2 * at] = digit(byte >> 4);
            hex[2 * at + 1] = digit(byte & 15);
        }
        let value = std::str::from_utf8(&hex).expect("digits are text").into();
        Self { value, attempt: attempt_of(random) }
    }

    /// An owner with a value that the caller chose; `random` tells its attempts apart.
    ///
    /// # Errors
    /// [`InvalidOwner`] says which rule the value breaks.
    pub fn fixed(value: &str, random: &[u8; 28]) -> Result<Self, InvalidOwner> {
        Self::check(value)?;
        Ok(Self { value: value.into(), attempt: attempt_of(random) })
    }

    /// Builds an owner from the parts that a store has kept.
    #[must_use]
    pub fn from_parts(value: &str, attempt: u64) -> Self {
        Self { value: value.into(), attempt }
    }

    pub(crate) fn check(value: &str) -> Result<(), InvalidOwner> {
        if value.is_empty() {
            return Err(InvalidOwner::Empty);
        }
        if value.len() > Self::MAX_BYTES {
            return Err(InvalidOwner::TooLong { bytes: value.len() });
        }
        match value.chars().find(|c| c.is_control()) {
            Some(c) => Err(InvalidOwner::Control { code: c.into() }),
            None => Ok(()),
        }
    }

    /// The value: 40 hex digits, or what the caller chose.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }

    /// The number of this attempt. It only tells whether two requests are the same attempt.
    #[must_use]
    pub fn attempt(&self) -> u64 {
        self.attempt
    }
}

fn attempt_of(random: &[u8; 28]) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&random[20..]);
    u64::from_le_bytes(bytes)
}

impl fmt::Debug for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Owner({}#{:x})", self.value, self.attempt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_random_owner_shows_all_its_bits() {
        let mut random = [0; 28];
        random.iter_mut().zip(0..).for_each(|(byte, i)| *byte = i * 9);
        let owner = Owner::random(&random);
        assert_eq!(owner.value(), "0009121b242d363f48515a636c757e879099a2ab");
        assert_eq!(owner.attempt(), u64::from_le_bytes(random[20..].try_into().unwrap()));
    }
}
