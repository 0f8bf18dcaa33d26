//! Which node serves which hash slot, as one node of a cluster tells it. It asks nobody.

use std::ops::RangeInclusive;
use std::sync::Arc;

use super::super::client::{Address, Value};
use super::super::slots::{SLOTS, Slot};

/// The address of the master of each slot, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct SlotMap {
    masters: Vec<Address>,
    /// The places of the masters; `None`: nobody serves the slot.
    slots: Box<[Option<u16>]>,
}

impl Default for SlotMap {
    fn default() -> Self {
        Self { masters: Vec::new(), slots: vec![None; SLOTS].into() }
    }
}

impl SlotMap {
    /// Reads the answer to `CLUSTER SLOTS` of the node at `asked`; `None` if it is none.
    pub(super) fn read(answer: Value, asked: &Address) -> Option<Self> {
        let Value::Array(ranges) = answer else { return None };
        let mut map = Self::default();
        for range in ranges {
            let Value::Array(parts) = range else { return None };
            let [Value::Int(first), Value::Int(last), Value::Array(master), ..] = &*parts else {
                return None;
            };
            let (first, last) = (usize::try_from(*first).ok()?, usize::try_from(*last).ok()?);
            if last >= SLOTS {
                return None;
            }
            // A host that the cluster does not know yet is nobody's.
            let Some(master) = address(master, asked)? else { continue };
            let place = map.place(&master);
            map.slots.get_mut(first..=last)?.fill(Some(place));
        }
        Some(map)
    }

    /// A slot has another master, as a node says.
    pub(super) fn set(&mut self, slot: Slot, master: &Address) {
        let place = self.place(master);
        self.slots[usize::from(slot)] = Some(place);
    }

    pub(super) fn master(&self, slot: Slot) -> Option<&Address> {
        self.masters.get(usize::from(self.slots[usize::from(slot)]?))
    }

    /// The number of the master of a slot; the slots that nobody serves have one of their own.
    pub(super) fn part(&self, slot: Slot) -> u32 {
        self.slots[usize::from(slot)].map_or(u32::MAX, u32::from)
    }

    /// The masters of at least one slot, in order of their first slots.
    pub(super) fn masters(&self) -> Vec<Address> {
        let mut places: Vec<_> = self.slots.iter().copied().flatten().collect();
        places.dedup();
        let mut masters: Vec<Address> = Vec::new();
        for place in places {
            let master = &self.masters[usize::from(place)];
            if !masters.contains(master) {
                masters.push(master.clone());
            }
        }
        masters
    }

    /// The first slot of a master.
    pub(super) fn first_slot(&self, master: &Address) -> Option<Slot> {
        let slots = 0..self.slots.len();
        let mut slots = slots.filter_map(|slot| Slot::try_from(slot).ok());
        slots.find(|slot| self.master(*slot) == Some(master))
    }

    /// The slots that nobody serves, in ranges.
    pub(in super::super) fn unserved(&self) -> Vec<RangeInclusive<Slot>> {
        let mut ranges: Vec<RangeInclusive<Slot>> = Vec::new();
        for (slot, place) in self.slots.iter().enumerate() {
            let Ok(slot) = Slot::try_from(slot) else { break };
            match ranges.last_mut() {
                _ if place.is_some() => {}
                Some(last) if last.end() + 1 == slot => *last = *last.start()..=slot,
                _ => ranges.push(slot..=slot),
            }
        }
        ranges
    }

    fn place(&mut self, master: &Address) -> u16 {
        let found = self.masters.iter().position(|known| known == master);
        let place = found.unwrap_or_else(|| {
            self.masters.push(master.clone());
            self.masters.len() - 1
        });
        u16::try_from(place).unwrap_or(u16::MAX)
    }
}

/// The first slot of the master with this identity, as `CLUSTER SLOTS` answers; inside `None` if it
/// has none.
pub(in super::super) fn first_of(answer: &Value, id: &str) -> Option<Option<Slot>> {
    let Value::Array(ranges) = answer else { return None };
    let mut slots = Vec::new();
    for range in ranges {
        let Value::Array(parts) = range else { return None };
        let [Value::Int(first), Value::Int(_), Value::Array(master), ..] = &**parts else {
            return None;
        };
        if matches!(master.get(2), Some(Value::BulkString(known)) if known == id.as_bytes()) {
            slots.push(Slot::try_from(*first).ok()?);
        }
    }
    Some(slots.into_iter().min())
}

/// The address of a node; inside `None` if it is not known. Without a host it is the one that was
/// asked; without a host name, where these are preferred, the address beside it. (Redis
/// documentation of `CLUSTER SLOTS`.)
fn address(node: &[Value], asked: &Address) -> Option<Option<Address>> {
    let [host, Value::Int(port), ..] = node else { return None };
    let port = u16::try_from(*port).ok()?;
    let host = match host {
        Value::BulkString(host) => std::str::from_utf8(host).ok()?,
        Value::SimpleString(host) => host,
        Value::Nil => "",
        _ => return None,
    };
    Some(match host {
        "?" => ip(node.get(3)).map(|ip| (ip, port)),
        "" | "0.0.0.0" | "::" => Some((Arc::clone(&asked.0), port)),
        host => Some((host.into(), port)),
    })
}

/// The address in the further facts about a node, which are pairs.
fn ip(facts: Option<&Value>) -> Option<Arc<str>> {
    let Some(Value::Array(facts) | Value::Map(facts)) = facts else { return None };
    facts.chunks_exact(2).find_map(|fact| match fact {
        [Value::BulkString(name), Value::BulkString(ip)] if name == b"ip" => {
            std::str::from_utf8(ip).ok().map(Arc::from)
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(first: i64, last: i64, host: Value, port: i64) -> Value {
        let id = Value::BulkString(b"id".to_vec());
        let node = Value::Array(vec![host, Value::Int(port), id, Value::Array(Vec::new())]);
        Value::Array(vec![Value::Int(first), Value::Int(last), node])
    }

    fn host(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn at(host: &str, port: u16) -> Address {
        (host.into(), port)
    }

    fn read(ranges: Vec<Value>) -> Option<SlotMap> {
        SlotMap::read(Value::Array(ranges), &at("seed", 7000))
    }

    #[test]
    fn a_node_tells_where_slots_are_and_what_it_does_not_know_is_nobodys() {
        let map = read(vec![
            range(0, 99, host("10.0.0.1"), 7001),
            range(100, 100, host(""), 7002),
            range(101, 101, Value::Nil, 7003),
            range(102, 102, host("?"), 7004),
            range(103, 103, host("0.0.0.0"), 7005),
            range(104, 104, host("fe80::1"), 7006),
            range(16_383, 16_383, host("10.0.0.1"), 7001),
        ]);
        let map = map.expect("a map");
        for (slot, master) in [
            (0, Some(at("10.0.0.1", 7001))),
            (99, Some(at("10.0.0.1", 7001))),
            (100, Some(at("seed", 7002))),
            (101, Some(at("seed", 7003))),
            (102, None),
            (103, Some(at("seed", 7005))),
            (104, Some(at("fe80::1", 7006))),
            (105, None),
            (16_383, Some(at("10.0.0.1", 7001))),
        ] {
            assert_eq!(map.master(slot), master.as_ref(), "{slot}");
        }
        let ports: Vec<_> = map.masters().into_iter().map(|(_, port)| port).collect();
        assert_eq!(ports, [7001, 7002, 7003, 7005, 7006]);
    }

    #[test]
    fn a_node_without_the_host_name_that_is_preferred_has_an_address() {
        let facts = ["ip", "10.0.0.7", "hostname", ""].map(host).to_vec();
        for facts in [Value::Array(facts.clone()), Value::Map(facts)] {
            let node = vec![host("?"), Value::Int(7001), host("id"), facts];
            let range = vec![Value::Int(0), Value::Int(9), Value::Array(node)];
            let map = read(vec![Value::Array(range)]).expect("a map");
            assert_eq!(map.master(3), Some(&at("10.0.0.7", 7001)));
        }
    }

    #[test]
    fn a_slot_that_moves_takes_no_other_with_it() {
        let mut map = read(vec![range(0, 16_383, host("a"), 1)]).expect("a map");
        map.set(7, &at("b", 2));
        assert_eq!([6, 7, 8].map(|slot| map.master(slot).expect("one").1), [1, 2, 1]);
        assert_eq!(map.masters(), [at("a", 1), at("b", 2)]);
    }

    #[test]
    fn the_slots_that_nobody_serves_are_told_in_ranges() {
        assert_eq!(SlotMap::default().unserved(), [0..=16_383]);
        let ranges = vec![range(1, 5_000, host("a"), 1), range(5_003, 16_382, host("b"), 1)];
        let map = read(ranges).expect("a map");
        assert_eq!(map.unserved(), [0..=0, 5_001..=5_002, 16_383..=16_383]);
        assert_eq!(map.first_slot(&at("b", 1)), Some(5_003));
        assert_eq!(map.first_slot(&at("c", 1)), None);
        assert_eq!(read(vec![range(0, 16_383, host("a"), 1)]).expect("a map").unserved(), []);
    }

    #[test]
    fn nonsense_is_no_map() {
        for ranges in [
            vec![Value::Nil],
            vec![range(0, 16_384, host("a"), 1)],
            vec![range(-1, 3, host("a"), 1)],
            vec![range(9, 3, host("a"), 1)],
            vec![range(0, 1, host("a"), 70_000)],
            vec![range(0, 1, Value::Int(1), 1)],
            vec![Value::Array(vec![Value::Int(1)])],
        ] {
            assert_eq!(read(ranges.clone()), None, "{ranges:?}");
        }
        assert_eq!(SlotMap::read(Value::Nil, &at("seed", 1)), None);
    }
}
