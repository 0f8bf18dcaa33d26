//! Counting the votes of a quorum's nodes. It never asks a node, and knows no node's name.
//!
//! The vote on a fence: every node is asked to grant with one proposal. It answers with the
//! proposal, or with its own last fence plus one if that is larger. If a majority answers the same
//! number, that is the fence. If not, the largest is written to a majority in a second round. The
//! next majority shares a node with this one, so its fence is larger. (A plain maximum is not
//! enough: counters of 6, 2 and 2 give 6 first, and then, without the first node, 3.)

use crate::types::Fence;

/// The size of a majority of `nodes` nodes.
#[must_use]
pub const fn majority(nodes: usize) -> usize {
    nodes / 2 + 1
}

/// The answer of one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Vote {
    /// It has not answered yet.
    #[default]
    Awaited,
    /// The node granted with this fence. For other steps: it did the step; the fence does not
    /// matter.
    For(Fence),
    /// The node answered no: the key is held by another, or the lease is gone.
    Against,
    /// The node failed to answer, which says nothing about the key.
    Fault,
}

/// The result of the votes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The next answer may decide.
    Open,
    /// A majority granted with this one fence.
    Won(Fence),
    /// A majority granted, but with different fences: this one, the largest, must be written to
    /// a majority before it counts.
    Differ(Fence),
    /// No majority is possible any more. For a grant: most nodes have answered, so others hold the
    /// key. For other steps: a majority said no.
    Refused,
    /// No majority is possible any more, and too few nodes answered to say why.
    Unknown,
}

/// The votes of all nodes on one question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Votes(Vec<Vote>);

impl Votes {
    /// The votes of `nodes` nodes, of which none has answered yet.
    #[must_use]
    pub fn new(nodes: usize) -> Self {
        Self(vec![Vote::Awaited; nodes])
    }

    /// Sets the vote of one node; a later vote replaces an earlier one.
    pub fn cast(&mut self, node: usize, vote: Vote) {
        self.0[node] = vote;
    }

    /// The vote of one node.
    #[must_use]
    pub fn of(&self, node: usize) -> Vote {
        self.0[node]
    }

    /// The result of the votes on a grant.
    #[must_use]
    pub fn on_grant(&self) -> Verdict {
        let granted = || self.0.iter().filter_map(Vote::fence);
        let majority = majority(self.0.len());
        if granted().count() >= majority {
            let same = |fence: &Fence| granted().filter(|f| f == fence).count() >= majority;
            let largest = granted().max().unwrap_or_default();
            return granted().find(same).map_or(Verdict::Differ(largest), Verdict::Won);
        }
        self.on_failure(self.answered())
    }

    /// The result of the votes on any other step, where only the number of votes in favour counts.
    /// The fence is the largest.
    #[must_use]
    pub fn on_deed(&self) -> Verdict {
        let done = || self.0.iter().filter_map(Vote::fence);
        if done().count() >= majority(self.0.len()) {
            return Verdict::Won(done().max().unwrap_or_default());
        }
        self.on_failure(self.count(Vote::Against))
    }

    /// The number of nodes that have answered.
    #[must_use]
    pub fn answered(&self) -> usize {
        self.0.iter().filter(|v| matches!(v, Vote::For(_) | Vote::Against)).count()
    }

    /// The result without a majority in favour. `refusing` is the number of answers that count as
    /// a refusal.
    fn on_failure(&self, refusing: usize) -> Verdict {
        let majority = majority(self.0.len());
        let (done, awaited) = (self.0.iter().filter_map(Vote::fence), self.count(Vote::Awaited));
        if done.count() + awaited >= majority {
            Verdict::Open
        } else if refusing >= majority {
            Verdict::Refused
        } else if refusing + awaited >= majority {
            // The nodes still awaited decide whether it is a refusal or an outage.
            Verdict::Open
        } else {
            Verdict::Unknown
        }
    }

    fn count(&self, vote: Vote) -> usize {
        self.0.iter().filter(|other| **other == vote).count()
    }
}

impl Vote {
    fn fence(&self) -> Option<Fence> {
        match self {
            Self::For(fence) => Some(*fence),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One letter for each node: a digit grants with it, `-` refuses, `x` fails, `.` is awaited.
    fn votes(text: &str) -> Votes {
        let vote = |letter: char| match letter {
            '.' => Vote::Awaited,
            '-' => Vote::Against,
            'x' => Vote::Fault,
            digit => Vote::For(Fence::new(digit.to_digit(10).expect("a digit").into())),
        };
        Votes(text.chars().map(vote).collect())
    }

    #[test]
    fn a_grant_needs_a_majority_for_one_fence() {
        let (won, differ) =
            (|fence| Verdict::Won(Fence::new(fence)), |fence| Verdict::Differ(Fence::new(fence)));
        for (text, verdict) in [
            ("...", Verdict::Open),
            ("7..", Verdict::Open),
            ("77.", won(7)),
            ("777", won(7)),
            ("7-7", won(7)),
            ("7x7", won(7)),
            ("78.", differ(8)),
            ("787", won(7)),
            ("789", differ(9)),
            ("77899", differ(9)),
            ("77799", won(7)),
            ("7-.", Verdict::Open),
            ("7--", Verdict::Refused),
            ("--.", Verdict::Refused),
            ("7-x", Verdict::Refused),
            ("-x.", Verdict::Open),
            ("-xx", Verdict::Unknown),
            ("7xx", Verdict::Unknown),
            ("xx.", Verdict::Unknown),
            ("77xx.", Verdict::Open),
            ("77xxx", Verdict::Unknown),
            ("77-xx", Verdict::Refused),
            ("7--x.", Verdict::Refused),
            ("7-xx.", Verdict::Open),
            ("7-xxx", Verdict::Unknown),
        ] {
            assert_eq!(votes(text).on_grant(), verdict, "{text}");
        }
    }

    #[test]
    fn a_deed_needs_a_majority_whatever_the_fences() {
        assert_eq!(votes("78-").on_deed(), Verdict::Won(Fence::new(8)));
        assert_eq!(votes("7-.").on_deed(), Verdict::Open);
        assert_eq!(votes("--7").on_deed(), Verdict::Refused);
        assert_eq!(votes("-x7").on_deed(), Verdict::Unknown);
        assert_eq!(votes("-x.").on_deed(), Verdict::Open);
        assert_eq!(votes("xx.").on_deed(), Verdict::Unknown);
    }

    #[test]
    fn two_majorities_share_a_node() {
        for nodes in [3, 5, 7, 9] {
            assert!(2 * majority(nodes) > nodes && majority(nodes) <= nodes.div_ceil(2));
        }
    }
}
