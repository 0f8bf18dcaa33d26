//! A slot on its way from one master to another, in the steps of `redis-cli --cluster reshard`.
//! It may be left half-way: then the old master answers ASK for keys that it no longer has, and
//! TRYAGAIN for calls whose keys are on both sides.

use super::{Cluster, Node};

/// Keys moved by one MIGRATE, as redis-cli has it.
const BATCH: usize = 10;

/// The time limit of one MIGRATE, in milliseconds.
const MIGRATE_LIMIT: &str = "10000";

/// A slot whose move has begun. It stays as it is when this is dropped.
#[derive(Debug)]
#[must_use = "the slot stays half-way until `finish` is called"]
pub struct SlotMove<'a> {
    cluster: &'a Cluster,
    slot: u16,
    from: &'a Node,
    to: &'a Node,
}

impl<'a> SlotMove<'a> {
    #[track_caller]
    pub(super) fn begin(cluster: &'a Cluster, slot: u16, from: &'a Node, to: &'a Node) -> Self {
        let number = slot.to_string();
        to.ok(&["CLUSTER", "SETSLOT", &number, "IMPORTING", from.id()]);
        from.ok(&["CLUSTER", "SETSLOT", &number, "MIGRATING", to.id()]);
        Self { cluster, slot, from, to }
    }

    /// The master that has had the slot.
    #[must_use]
    pub fn from(&self) -> &'a Node {
        self.from
    }

    /// The master that gets it.
    #[must_use]
    pub fn to(&self) -> &'a Node {
        self.to
    }

    /// Moves up to `count` of the keys that are still at the old master, in the order in which it
    /// names them. Returns the keys that moved.
    ///
    /// # Panics
    /// If a master refuses, or a key is not UTF-8.
    #[track_caller]
    pub fn carry(&self, count: usize) -> Vec<String> {
        let mut moved = Vec::new();
        while moved.len() < count {
            let keys = self.keys_left(BATCH.min(count - moved.len()));
            if keys.is_empty() {
                break;
            }
            self.carry_keys(&keys.iter().map(String::as_str).collect::<Vec<_>>());
            moved.extend(keys);
        }
        moved
    }

    /// Moves these keys.
    ///
    /// # Panics
    /// If a master refuses.
    #[track_caller]
    pub fn carry_keys(&self, keys: &[&str]) {
        let to = self.to.address();
        let (ip, port) = (to.ip().to_string(), to.port().to_string());
        let kit = self.cluster.kit();
        let mut words = vec!["MIGRATE", &ip, &port, "", "0", MIGRATE_LIMIT];
        words.extend(["AUTH2", kit, kit, "KEYS"]);
        words.extend(keys);
        let reply = self.from.command(&words);
        let done = reply.text().is_some_and(|text| text == "OK" || text == "NOKEY");
        assert!(done, "{keys:?} did not move: {reply}");
    }

    /// Moves the other keys, and gives the slot to the new master at all running masters. Returns
    /// when all running nodes agree.
    ///
    /// # Panics
    /// If a master refuses, or if they do not agree in time.
    #[track_caller]
    pub fn finish(self) {
        self.carry(usize::MAX);
        self.hand_over();
        self.cluster.wait_until_agreed();
    }

    /// Gives up: the slot stays where it was, and keys that have moved are moved back.
    ///
    /// # Panics
    /// If a master refuses.
    #[track_caller]
    pub fn cancel(self) {
        let back = Self { cluster: self.cluster, slot: self.slot, from: self.to, to: self.from };
        let number = self.slot.to_string();
        // The owner would answer ASK for each key that comes back, if it were still migrating.
        self.from.ok(&["CLUSTER", "SETSLOT", &number, "STABLE"]);
        back.carry(usize::MAX);
        self.to.ok(&["CLUSTER", "SETSLOT", &number, "STABLE"]);
    }

    #[track_caller]
    fn keys_left(&self, count: usize) -> Vec<String> {
        let (slot, count) = (self.slot.to_string(), count.to_string());
        let reply = self.from.command(&["CLUSTER", "GETKEYSINSLOT", &slot, &count]);
        reply.list().iter().map(|key| key.text().expect("a key")).collect()
    }

    #[track_caller]
    fn hand_over(&self) {
        let number = self.slot.to_string();
        // The new owner first, then the old one: no instant at which neither takes the slot.
        let others = self
            .cluster
            .masters()
            .filter(|node| ![self.from.id(), self.to.id()].contains(&node.id()));
        for node in [self.to, self.from].into_iter().chain(others) {
            node.ok(&["CLUSTER", "SETSLOT", &number, "NODE", self.to.id()]);
        }
    }
}
