//! The true state of each server, key by key: holders, waiters and since when, and the largest
//! fence ever minted. The servers report it; the engine never sees it.

use std::collections::BTreeMap;

use tenure::protocol::{KeyState, Op};
use tenure::{Fence, Key, Owner, StoreTime};

use crate::clock::Clock;
use crate::kind::attempt_of;
use crate::server::Sender;

/// A step that a server has carried out.
pub(crate) struct Change<'a> {
    pub(crate) node: usize,
    pub(crate) key: &'a Key,
    pub(crate) op: &'a Op,
    /// `None`: an operator at the server.
    pub(crate) from: Option<Sender>,
    pub(crate) after: &'a KeyState,
    pub(crate) clock: Clock,
}

/// A lease at the server.
#[derive(Debug, Clone)]
pub(crate) struct Holding {
    pub(crate) owner: Owner,
    pub(crate) attempt: Option<u64>,
    pub(crate) fence: Fence,
    /// The fence of its grant; a change of its claim has brought another one since.
    pub(crate) first_fence: Fence,
    pub(crate) granted: u64,
    /// True time.
    pub(crate) until: u64,
}

impl Holding {
    fn is_same_grant(&self, other: &Self) -> bool {
        self.owner == other.owner && self.first_fence == other.first_fence
    }
}

/// A place in line at the server.
#[derive(Debug, Clone)]
pub(crate) struct Standing {
    pub(crate) owner: Owner,
    pub(crate) attempt: Option<u64>,
    /// True time.
    pub(crate) since: u64,
    /// Since when nobody stands in front.
    pub(crate) first_since: u64,
    pub(crate) alive_until: u64,
}

/// The state of one key at one server.
#[derive(Debug, Clone, Default)]
pub(crate) struct Truth {
    pub(crate) holdings: Vec<Holding>,
    pub(crate) line: Vec<Standing>,
    pub(crate) top_fence: Fence,
    /// When an operator last took the key away.
    pub(crate) taken: Option<u64>,
    /// How often in a row a process passed the key on, ahead of those who stood in line.
    passes: u32,
}

/// How often in a row a process may do so: the engine's default.
const MOST_PASSES: u32 = 16;

/// A grant that has just been made.
#[derive(Debug, Clone)]
pub(crate) struct NewGrant {
    pub(crate) holding: Holding,
    /// Its place in line, if it had one.
    pub(crate) place: Option<Standing>,
    /// Those who stood in line before it, and still do.
    pub(crate) overtaken: Vec<Standing>,
    /// When the lease before it ended, if it ended by itself.
    pub(crate) free_since: Option<u64>,
}

/// The change that a step made to a key.
#[derive(Debug, Default)]
pub(crate) struct Difference {
    pub(crate) grants: Vec<NewGrant>,
    /// Leases that got another fence with another claim.
    pub(crate) changed: Vec<Holding>,
    /// Leases that ended before their time, and not by their own owner.
    pub(crate) robbed: Vec<Holding>,
    /// Places that vanished, and not by their own owner.
    pub(crate) vanished: Vec<Standing>,
}

/// The largest fences that programs were handed for a key. Those of shares that are granted side by
/// side may arrive in any order.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct TopHanded {
    pub(crate) of_any: Fence,
    pub(crate) of_exclusive: Fence,
    /// The attempt that has the largest.
    pub(crate) by: u64,
}

/// All servers, key by key.
#[derive(Debug)]
pub(crate) struct Truths {
    nodes: Vec<BTreeMap<Key, Truth>>,
    /// When each server last lost its memory.
    forgotten: Vec<Option<u64>>,
    /// The largest fences of each key that a program was handed.
    pub(crate) top_handed: BTreeMap<Key, TopHanded>,
}

impl Truths {
    pub(crate) fn new(nodes: usize) -> Self {
        let forgotten = vec![None; nodes];
        Self { nodes: vec![BTreeMap::new(); nodes], forgotten, top_handed: BTreeMap::new() }
    }

    /// Whether the store is a quorum of servers.
    pub(crate) fn is_quorum(&self) -> bool {
        self.nodes.len() > 1
    }

    pub(crate) fn majority(&self) -> usize {
        self.nodes.len() / 2 + 1
    }

    pub(crate) fn at(&mut self, node: usize, key: &Key) -> &mut Truth {
        self.nodes[node].entry(key.clone()).or_default()
    }

    /// The state of a key at each server.
    pub(crate) fn of<'a>(&'a self, key: &'a Key) -> impl Iterator<Item = &'a Truth> {
        self.nodes.iter().filter_map(|truths| truths.get(key))
    }

    /// A server has lost its memory at the true time `now`.
    pub(crate) fn forget(&mut self, node: usize, now: u64) {
        self.forgotten[node] = Some(now);
        for truth in self.nodes[node].values_mut() {
            truth.holdings.clear();
            truth.line.clear();
        }
    }

    /// Until when a majority keeps a lease for its owner; `None`: it does not. A quorum's node
    /// that has forgotten it after the true time `since` gives the key to nobody else, which is
    /// as good.
    pub(crate) fn backing(&self, key: &Key, owner: &Owner, since: u64) -> Option<u64> {
        let until = |(truths, forgotten): (&BTreeMap<Key, Truth>, &Option<u64>)| {
            let held = truths.get(key).and_then(|t| t.holding(owner)).map(|h| h.until);
            let closed = self.is_quorum() && forgotten.is_some_and(|at| at >= since);
            if closed { Some(u64::MAX) } else { held }
        };
        let mut ends: Vec<_> = self.nodes.iter().zip(&self.forgotten).filter_map(until).collect();
        ends.sort_unstable_by(|a, b| b.cmp(a));
        ends.get(self.majority() - 1).copied()
    }
}

impl Truth {
    /// Takes over the state after a step, and says what is worth judging.
    pub(crate) fn follow(&mut self, change: &Change<'_>, now: u64) -> Difference {
        let when = |at: StoreTime| change.clock.when(at.as_micros());
        let by = owner_of(change.op);
        let mut difference = Difference::default();
        let holdings: Vec<_> = change
            .after
            .holders()
            .iter()
            .map(|h| {
                let old = self.same_lease(change.op, &h.owner, h.fence);
                Holding {
                    owner: h.owner.clone(),
                    attempt: attempt_of(&h.label, change.key),
                    fence: h.fence,
                    first_fence: old.map_or(h.fence, |old| old.first_fence),
                    granted: old.map_or(now, |old| old.granted),
                    until: when(h.expires),
                }
            })
            .collect();
        let goes_on = |old: &Holding| holdings.iter().any(|h| h.is_same_grant(old));
        let ended: Vec<_> = self.holdings.iter().filter(|old| !goes_on(old)).collect();
        let forced = matches!(change.op, Op::Force { .. } | Op::Steal(_));
        self.taken = if forced { Some(now) } else { self.taken };
        let robbed = ended.iter().filter(|h| h.until > now && by != Some(&h.owner) && !forced);
        difference.robbed = robbed.map(|h| (*h).clone()).collect();
        let free_since = ended.iter().filter(|h| h.until <= now).map(|h| h.until).max();

        let line = self.line_after(change, now);
        let mut passes = self.passes;
        for holding in &holdings {
            if let Some(old) = self.holdings.iter().find(|old| old.is_same_grant(holding)) {
                difference.changed.extend((old.fence != holding.fence).then(|| holding.clone()));
                continue;
            }
            let index = self.line.iter().position(|s| s.owner == holding.owner);
            let before = &self.line[..index.unwrap_or(self.line.len())];
            let stays =
                |s: &&Standing| s.alive_until > now && line.iter().any(|l| l.owner == s.owner);
            let mut overtaken: Vec<_> = before.iter().filter(stays).cloned().collect();
            let passed = matches!(change.op, Op::Handoff { to, .. } if to.owner == holding.owner);
            passes = if passed && !overtaken.is_empty() { passes + 1 } else { 0 };
            if passed && passes <= MOST_PASSES {
                overtaken.clear();
            }
            difference.grants.push(NewGrant {
                holding: holding.clone(),
                place: index.map(|i| self.line[i].clone()),
                overtaken,
                free_since,
            });
        }
        let is_gone = |s: &&Standing| {
            line.iter().all(|l| l.owner != s.owner)
                && holdings.iter().all(|h| h.owner != s.owner)
                && by != Some(&s.owner)
        };
        difference.vanished = self.line.iter().filter(is_gone).cloned().collect();
        self.passes = passes;
        self.holdings = holdings;
        self.line = line;
        difference
    }

    pub(crate) fn holding(&self, owner: &Owner) -> Option<&Holding> {
        self.holdings.iter().find(|h| h.owner == *owner)
    }

    /// The same lease before a step, if it is none that the step granted.
    fn same_lease(&self, op: &Op, owner: &Owner, fence: Fence) -> Option<&Holding> {
        let is_changed = matches!(op, Op::Resize { owner: by, .. } if by == owner);
        self.holding(owner).filter(|h| h.fence == fence || is_changed)
    }

    /// The line after a step, in the order in which its places were taken.
    fn line_after(&self, change: &Change<'_>, now: u64) -> Vec<Standing> {
        let mut line: Vec<_> = change
            .after
            .queue()
            .iter()
            .map(|p| {
                let stood = |s: &&Standing| s.owner == p.owner && s.alive_until > now;
                let old = self.line.iter().find(stood);
                Standing {
                    owner: p.owner.clone(),
                    attempt: attempt_of(&p.label, change.key),
                    since: old.map_or(now, |s| s.since),
                    first_since: old.map_or(u64::MAX, |s| s.first_since),
                    alive_until: change.clock.when(p.alive_until.as_micros()),
                }
            })
            .collect();
        line.sort_by_key(|s| s.since);
        if let Some(first) = line.first_mut() {
            first.first_since = first.first_since.min(now);
        }
        line
    }
}

/// The owner that asked for a step.
fn owner_of(op: &Op) -> Option<&Owner> {
    match op {
        Op::Release { owner, .. }
        | Op::Handoff { owner, .. }
        | Op::Withdraw { owner, .. }
        | Op::Renew { owner, .. }
        | Op::Raise { owner, .. }
        | Op::Resize { owner, .. }
        | Op::Finish { owner, .. } => Some(owner),
        Op::Acquire(acquire) | Op::Steal(acquire) | Op::Begin { acquire, .. } => {
            Some(&acquire.owner)
        }
        Op::Transfer { from, .. } => Some(from),
        _ => None,
    }
}
