//! The form of a wake-up on the wire. Bytes in any other form are ignored, never guessed at.
//!
//! A version byte, then one or more pushes: fence, stamp, attempt (8 bytes each, little-endian),
//! the length of the key and of the owner's value (2 bytes each), the key, the value.

use crate::store::Push;
use crate::types::{Fence, Key, Owner};

const VERSION: u8 = 1;
/// The longest datagram, in bytes.
pub(super) const MAX_BYTES: usize = 8192;

/// Packs pushes into as few datagrams as they fit in.
pub(super) fn encode(pushes: &[Push]) -> Vec<Vec<u8>> {
    let mut datagrams: Vec<Vec<u8>> = Vec::new();
    for push in pushes {
        let entry = entry(push);
        match datagrams.last_mut() {
            Some(last) if last.len() + entry.len() <= MAX_BYTES => last.extend(entry),
            _ => datagrams.push([vec![VERSION], entry].concat()),
        }
    }
    datagrams
}

fn entry(push: &Push) -> Vec<u8> {
    let (key, value) = (push.key.as_str().as_bytes(), push.owner.value().as_bytes());
    let length = |bytes: &[u8]| u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_le_bytes();
    let mut entry = Vec::with_capacity(28 + key.len() + value.len());
    entry.extend(push.fence.get().to_le_bytes());
    entry.extend(push.stamp.to_le_bytes());
    entry.extend(push.owner.attempt().to_le_bytes());
    entry.extend(length(key));
    entry.extend(length(value));
    entry.extend(key);
    entry.extend(value);
    entry
}

/// The pushes of a datagram; none of a datagram that is cut short, too long or of another
/// version.
pub(super) fn decode(datagram: &[u8]) -> Vec<Push> {
    let Some((&VERSION, mut rest)) = datagram.split_first() else {
        return Vec::new();
    };
    let mut pushes = Vec::new();
    while !rest.is_empty() {
        match take_push(&mut rest) {
            Some(push) => pushes.push(push),
            None => return Vec::new(),
        }
    }
    pushes
}

fn take_push(rest: &mut &[u8]) -> Option<Push> {
    let fence = Fence::new(u64::from_le_bytes(take(rest)?));
    let stamp = u64::from_le_bytes(take(rest)?);
    let attempt = u64::from_le_bytes(take(rest)?);
    let key_bytes = usize::from(u16::from_le_bytes(take(rest)?));
    let value_bytes = usize::from(u16::from_le_bytes(take(rest)?));
    let key = Key::new(take_text(rest, key_bytes)?).ok()?;
    let owner = Owner::from_parts(take_text(rest, value_bytes)?, attempt);
    Some(Push { key, owner, fence, stamp })
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (bytes, left) = rest.split_first_chunk::<N>()?;
    *rest = left;
    Some(*bytes)
}

fn take_text<'a>(rest: &mut &'a [u8], bytes: usize) -> Option<&'a str> {
    let (text, left) = rest.split_at_checked(bytes)?;
    *rest = left;
    std::str::from_utf8(text).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn push() -> impl Strategy<Value = Push> {
        ("[a-zé📈]{1,120}", "[a-f0-9]{1,64}", any::<[u64; 3]>()).prop_map(|(key, value, n)| Push {
            key: Key::new(key).expect("a good key"),
            owner: Owner::from_parts(&value, n[0]),
            fence: Fence::new(n[1]),
            stamp: n[2],
        })
    }

    proptest! {
        #[test]
        fn what_is_sent_arrives(pushes in prop::collection::vec(push(), 0..40)) {
            let datagrams = encode(&pushes);
            prop_assert!(datagrams.iter().all(|d| d.len() <= MAX_BYTES));
            let arrived: Vec<_> = datagrams.iter().flat_map(|d| decode(d)).collect();
            prop_assert_eq!(arrived, pushes);
        }

        #[test]
        fn a_datagram_cut_short_says_nothing(push in push(), cut in any::<prop::sample::Index>()) {
            let datagram = encode(std::slice::from_ref(&push)).remove(0);
            prop_assert_eq!(decode(&datagram[..cut.index(datagram.len())]), vec![]);
        }

        #[test]
        fn noise_does_no_harm(noise in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&noise);
            let _ = decode(&[vec![VERSION], noise].concat());
        }
    }

    #[test]
    fn another_version_is_ignored() {
        let push = Push {
            key: Key::new("k").expect("a good key"),
            owner: Owner::from_parts("v", 1),
            fence: Fence::new(2),
            stamp: 3,
        };
        let mut datagram = encode(&[push]).remove(0);
        datagram[0] = 2;
        assert_eq!(decode(&datagram), vec![]);
    }
}
