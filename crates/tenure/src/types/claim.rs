//! The words of a claim: the key, the owner with its label, the units, and the fence of its grant.
//! Names are never normalised, folded to one case or escaped: two are equal exactly when their
//! bytes are.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use crate::process::PerProcess;

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

/// The wanted part of a key: a share, which is `units` of a `limit`, or all of it.
///
/// A semaphore of n permits claims k of n, and a reader 1 of [`Claim::MAX`]. A mutex and a writer
/// claim the key whole ([`Claim::EXCLUSIVE`]), whatever the limit of the others. All live shares of
/// a key have one limit. A share of 1 of 1 is not exclusive: it has a limit, and excludes shares of
/// another limit only by being refused beside them.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Claim {
    units: u32,
    limit: u32,
}

impl Claim {
    /// All units, whatever the limit. It is granted beside nothing, and nothing beside it.
    pub const EXCLUSIVE: Self = Self { units: Self::ALL, limit: Self::ALL };
    /// An exclusive claim whose lease is a string under the key's name: its value is the owner's,
    /// and it lasts as long as the string. So other programs can extend and release it. For stores
    /// with [`Capabilities::plain_values`](crate::store::Capabilities::plain_values).
    pub const PLAIN: Self = Self { units: Self::ALL + 1, limit: Self::ALL + 1 };
    /// The largest limit of a share.
    pub const MAX: u32 = 1 << 30;
    /// More units than any limit has: with them an exclusive claim fits beside nothing.
    const ALL: u32 = 1 << 31;

    /// A share of `units` of `limit`, or `None` unless `1 <= units <= limit <= Claim::MAX`.
    #[must_use]
    pub const fn new(units: u32, limit: u32) -> Option<Self> {
        if units >= 1 && units <= limit && limit <= Self::MAX {
            Some(Self { units, limit })
        } else {
            None
        }
    }

    /// Builds a share from the parts that a store has kept; `None` unless both are from 1 to
    /// [`Claim::MAX`]. An administrator may have made the limit smaller than the units since.
    #[must_use]
    pub const fn from_parts(units: u32, limit: u32) -> Option<Self> {
        match (Self::new(units, Self::MAX), Self::new(1, limit)) {
            (Some(_), Some(_)) => Some(Self { units, limit }),
            _ => None,
        }
    }

    /// The same units of another limit; an exclusive claim has none.
    pub(crate) const fn of(self, limit: u32) -> Self {
        if self.is_exclusive() { self } else { Self { units: self.units, limit } }
    }

    /// Whether it is all of the key, whatever the limit.
    #[must_use]
    pub const fn is_exclusive(self) -> bool {
        self.limit >= Self::ALL
    }

    /// Whether it is [`Claim::PLAIN`].
    #[must_use]
    pub const fn is_plain(self) -> bool {
        self.limit > Self::ALL
    }

    /// The number of units that are claimed; of an exclusive claim a number above every limit.
    #[must_use]
    pub const fn units(self) -> u32 {
        self.units
    }

    /// The number of units that the key has, as far as this claim says: an exclusive one has no
    /// limit of its own, and answers its number of units.
    #[must_use]
    pub const fn limit(self) -> u32 {
        self.limit
    }
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_exclusive() {
            return f.write_str(if self.is_plain() { "Claim(plain)" } else { "Claim(exclusive)" });
        }
        write!(f, "Claim({} of {})", self.units, self.limit)
    }
}

/// A number that grows with every new grant on a key, unchanged by renewal.
///
/// Hand it to the resource that the lock protects, and let the resource refuse a number that is
/// smaller than the largest it has seen. A holder that was paused past its lease then does no harm.
/// See Martin Kleppmann, *How to do distributed locking* (2016). It always fits 53 bits, so JSON
/// and JavaScript carry it exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Fence(u64);

impl Fence {
    /// Makes a fence from a stored number.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
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
