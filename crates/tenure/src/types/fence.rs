//! The fencing token. A store mints it, never a client.

use std::fmt;

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
