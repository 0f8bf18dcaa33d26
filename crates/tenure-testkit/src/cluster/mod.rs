//! A real cluster of one test's own, on loopback or on hosts: masters, replicas, slots that move,
//! failovers. It never repairs what a test has broken, and no node moves a replica or a slot by
//! itself.

mod node;
mod options;
mod slot;
mod slot_move;
mod view;

use std::thread;
use std::time::{Duration, Instant};

use node::Look;
pub use node::Node;
pub use options::ClusterOptions;
pub use slot::{SLOTS, slot_of};
pub use slot_move::SlotMove;

use crate::condition::LIMIT;
use crate::flavour::Flavour;
use crate::server::KIT;

/// Time between two looks at all nodes.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A manual failover is given up by its replica after 5 s.
const FAILOVER_LIMIT: Duration = Duration::from_secs(6);

/// How a replica becomes a master by [`Cluster::failover`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failover {
    /// The master hands over, and nothing is lost.
    Planned,
    /// Without the master, by the votes of the other masters.
    Force,
    /// Without the master and without votes.
    Takeover,
}

/// A running cluster, stopped when it is dropped.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<Node>,
}

impl Cluster {
    /// One of the given flavour: three masters without replicas, all slots needed to serve any.
    #[must_use]
    pub fn of(flavour: Flavour) -> ClusterOptions {
        ClusterOptions::new(flavour)
    }

    /// `redis+cluster://ADDRESS:PORT,ADDRESS:PORT,...`, with all nodes.
    #[must_use]
    pub fn url(&self) -> String {
        let nodes: Vec<_> = self.nodes.iter().map(|node| node.address().to_string()).collect();
        format!("redis+cluster://{}", nodes.join(","))
    }

    /// All nodes, in the order of their start: first those that begin as masters, in the order of
    /// their slots, then replicas, in the order of their masters.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The running nodes that take themselves for masters, whether they own slots or not.
    pub fn masters(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| node.is_master())
    }

    /// The running node that owns `slot`. If two take themselves for its owner, the one with the
    /// newer configuration.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    #[track_caller]
    pub fn master_of(&self, slot: u16) -> &Node {
        let owners = self.nodes.iter().filter_map(|node| {
            let look = node.looked()?;
            let own = look.view.own();
            own.owns(slot).then_some((own.epoch, node))
        });
        let newest = owners.max_by_key(|(epoch, _)| *epoch);
        newest.unwrap_or_else(|| panic!("no running node owns slot {slot}")).1
    }

    /// The running node that owns the slot of `key`.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    #[track_caller]
    pub fn master_for(&self, key: &str) -> &Node {
        self.master_of(slot_of(key))
    }

    /// The running replicas of `master`, as they see it themselves.
    pub fn replicas_of<'a>(&'a self, master: &'a Node) -> impl Iterator<Item = &'a Node> {
        self.nodes.iter().filter(|node| {
            let of = node.looked().and_then(|look| look.view.own().master.clone());
            of.as_deref() == Some(master.id())
        })
    }

    /// Moves a slot with all its keys to another master, as redis-cli does. Returns when all
    /// running nodes agree.
    ///
    /// # Panics
    /// If it has no owner, a master refuses, or they do not agree in time.
    #[track_caller]
    pub fn move_slot(&self, slot: u16, to: &Node) {
        if self.master_of(slot).id() != to.id() {
            self.begin_move(slot, to).finish();
        }
    }

    /// Begins to move a slot: no key has moved yet, and it can be left half-way.
    ///
    /// # Panics
    /// If it has no owner, or a master refuses, as `to` does if it owns the slot.
    #[track_caller]
    pub fn begin_move<'a>(&'a self, slot: u16, to: &'a Node) -> SlotMove<'a> {
        SlotMove::begin(self, slot, self.master_of(slot), to)
    }

    /// Makes the replica `node` a master in place of its own. Returns when it takes itself for one;
    /// the others may not know yet.
    ///
    /// # Panics
    /// If it refuses, or is not a master in time.
    #[track_caller]
    pub fn failover(&self, node: &Node, how: Failover) {
        let words: &[&str] = match how {
            Failover::Planned => &["CLUSTER", "FAILOVER"],
            Failover::Force => &["CLUSTER", "FAILOVER", "FORCE"],
            Failover::Takeover => &["CLUSTER", "FAILOVER", "TAKEOVER"],
        };
        let begun = Instant::now();
        while !node.is_master() {
            assert!(begun.elapsed() < LIMIT, "port {} does not become a master", node.port());
            let told = node.command(words);
            // It refuses if it has become one meanwhile.
            let refused = told.is_error("") && !node.is_master();
            assert!(!refused, "{words:?} at port {}: {told}", node.port());
            let asked = Instant::now();
            while !node.is_master() && asked.elapsed() < FAILOVER_LIMIT {
                thread::sleep(LOOK_EVERY);
            }
        }
    }

    /// Waits until all running nodes have the same view: the owner of every slot, who is a running
    /// node, and the master of every replica; they serve, and running replicas of running masters
    /// are linked. Nodes that are killed, stopped or cut off have no part in it.
    ///
    /// # Panics
    /// If that is not so in time; the message says what they do not agree on.
    #[track_caller]
    pub fn wait_until_agreed(&self) {
        self.wait_for(|looks| disagreement(looks, self.nodes.len()));
    }

    /// Waits until every node knows every other.
    #[track_caller]
    fn wait_until_met(&self) {
        self.wait_for(|looks| {
            looks.iter().find_map(|(node, look)| unknown(node, look, self.nodes.len()))
        });
    }

    #[track_caller]
    fn wait_for(&self, mut missing: impl FnMut(&[(&Node, Look)]) -> Option<String>) {
        let begun = Instant::now();
        loop {
            let joined = self.nodes.iter().filter(|node| !node.is_cut());
            let looks = joined.filter_map(|node| Some((node, node.looked()?)));
            let Some(missing) = missing(&looks.collect::<Vec<_>>()) else { return };
            assert!(begun.elapsed() < LIMIT, "waited {LIMIT:?} in vain for a cluster: {missing}");
            thread::sleep(LOOK_EVERY);
        }
    }

    /// The user of the kit and its password, at every node.
    fn kit(&self) -> &'static str {
        KIT
    }
}

/// A node of the cluster that this one does not know, or has not met.
fn unknown(node: &Node, look: &Look, count: usize) -> Option<String> {
    let met = |flag: &str| look.view.members.iter().all(|member| !member.is(flag));
    let all = look.view.members.len() == count && met("handshake") && met("noaddr");
    (!all).then(|| format!("port {} does not know all others", node.port()))
}

/// A reason why these nodes, which run, do not have the same view yet.
fn disagreement(looks: &[(&Node, Look)], count: usize) -> Option<String> {
    let Some((first, reference)) = looks.first() else { return Some("no node runs".to_owned()) };
    let runs = |id: &str| looks.iter().any(|(node, _)| node.id() == id);
    let owners = reference.view.owners();
    if let Some((slots, _)) = owners.iter().find(|(_, owner)| !runs(owner)) {
        return Some(format!("the owner of slots {slots:?} does not run"));
    }
    looks.iter().find_map(|(node, look)| {
        let port = node.port();
        if !look.is_serving() {
            return Some(format!("port {port} does not serve"));
        }
        if look.view.owners() != owners {
            return Some(format!("ports {port} and {} name different owners", first.port()));
        }
        let wrong = looks.iter().find(|(other, theirs)| !sees(look, other, theirs));
        if let Some((other, _)) = wrong {
            return Some(format!("port {port} has an old view of port {}", other.port()));
        }
        unknown(node, look, count).or_else(|| unlinked(node, look, looks))
    })
}

/// Whether `look` has of `other` the view that it has of itself.
fn sees(look: &Look, other: &Node, theirs: &Look) -> bool {
    let own = theirs.view.own();
    look.view.member(other.id()).is_some_and(|seen| {
        seen.master == own.master
            && seen.is("master") == own.is("master")
            && seen.linked
            && !seen.is("fail?")
            && !seen.is("fail")
    })
}

/// A link between this node and a master or replica of it that is missing.
fn unlinked(node: &Node, look: &Look, looks: &[(&Node, Look)]) -> Option<String> {
    let port = node.port();
    let own = look.view.own();
    if let Some(master) = &own.master {
        let running = looks.iter().any(|(other, _)| other.id() == master);
        return (running && !look.is_linked()).then(|| format!("replica {port} is not linked"));
    }
    let replicas =
        looks.iter().filter(|(_, other)| other.view.own().master.as_deref() == Some(node.id()));
    let missing = look.replicas_online() < replicas.count();
    missing.then(|| format!("a replica of port {port} is not online"))
}

impl Drop for Cluster {
    /// All at once: one after the other, the last would see the others fail.
    fn drop(&mut self) {
        for node in &self.nodes {
            node.kill9();
        }
    }
}
