//! The slot of a key. It asks no server.

use std::ops::Range;

use crc16::{State, XMODEM};

/// The number of slots of a cluster.
pub const SLOTS: u16 = 16_384;

/// The slot of a key: that of its hash tag, if it has one that is not empty.
#[must_use]
pub fn slot_of(key: impl AsRef<[u8]>) -> u16 {
    let key = key.as_ref();
    State::<XMODEM>::calculate(tag(key).unwrap_or(key)) % SLOTS
}

/// The bytes between the first `{` and the next `}`; none if there is nothing between them.
fn tag(key: &[u8]) -> Option<&[u8]> {
    let begin = key.iter().position(|&byte| byte == b'{')? + 1;
    let length = key[begin..].iter().position(|&byte| byte == b'}')?;
    (length > 0).then(|| &key[begin..begin + length])
}

/// The slots of master `n` of `count`: equal shares in order, as redis-cli deals them.
pub(super) fn share(n: usize, count: usize) -> Range<u16> {
    let bound = |n: usize| u16::try_from(n * usize::from(SLOTS) / count).expect("a slot");
    bound(n)..bound(n + 1)
}
