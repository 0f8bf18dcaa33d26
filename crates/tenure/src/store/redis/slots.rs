//! The hash slots of a cluster: which slot a name belongs to, and names that belong to a slot. It
//! does not know where a slot is.

use std::sync::LazyLock;

use crc16::{State, XMODEM};

/// The number of slots. (Redis Cluster specification, *Key distribution model*.)
pub(super) const SLOTS: usize = 16_384;

/// A hash slot.
pub(super) type Slot = u16;

/// For each slot the smallest number that, in decimal digits, belongs to it. All programs must
/// agree on these: names with them are shared.
static NUMBERS: LazyLock<Box<[u32]>> = LazyLock::new(|| {
    let mut numbers = vec![None; SLOTS];
    let (mut missing, mut number) = (SLOTS, 0_u32);
    while missing > 0 {
        let of_slot = &mut numbers[usize::from(hash(number.to_string().as_bytes()))];
        if of_slot.is_none() {
            *of_slot = Some(number);
            missing -= 1;
        }
        number += 1;
    }
    numbers.into_iter().map(Option::unwrap_or_default).collect()
});

/// The slot of a name. (Redis Cluster specification, *Hash tags*.)
pub(super) fn slot_of(name: &str) -> Slot {
    hash(hash_tag(name).unwrap_or(name).as_bytes())
}

/// The part of a name that alone decides on its slot, if it has one.
pub(super) fn hash_tag(name: &str) -> Option<&str> {
    let (tag, _) = name.split_once('{')?.1.split_once('}')?;
    (!tag.is_empty()).then_some(tag)
}

/// The number whose digits, as a hash tag, lead to a slot.
pub(super) fn number_of(slot: Slot) -> u32 {
    NUMBERS[usize::from(slot)]
}

fn hash(bytes: &[u8]) -> Slot {
    State::<XMODEM>::calculate(bytes) % SLOTS as Slot
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_belong_to_the_slots_that_servers_say() {
        // `CLUSTER KEYSLOT` of Redis 7.0.
        for (name, slot) in [
            ("123456789", 12_739),
            ("foo", 12_182),
            ("{foo}.bar", 12_182),
            ("x{foo}", 12_182),
            ("foo{}{bar}", 8_363),
            ("foo{{bar}}zap", 4_015),
        ] {
            assert_eq!(slot_of(name), slot, "{name}");
        }
    }

    #[test]
    fn every_slot_has_a_number_and_it_stays_the_same() {
        for slot in 0..SLOTS as Slot {
            assert_eq!(slot_of(&format!("x{{{}}}y", number_of(slot))), slot);
        }
        assert_eq!([0, 1, 16_383].map(number_of), [3560, 22179, 39296]);
    }
}
