//! Counting the votes of a quorum's nodes. It asks nobody, and knows no node's name.
//!
//! The ballot of fences: every node is asked to grant with one proposal, and answers with the
//! larger of it and what follows its own last fence. If a majority answers the same number, that
//! is the fence. If not, the largest is written to a majority in a second round. The next
//! majority shares a node with this one, so its fence is larger. (A plain maximum is not enough:
//! counters of 6, 2 and 2 bring first 6, and then, without the first node, 3.)

use crate::types::Fence;

/// How many of so many nodes are a majority.
#[must_use]
pub const fn majority(nodes: usize) -> usize {
    nodes / 2 + 1
}

/// One node's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Vote {
    /// It has not answered yet.
    #[default]
    Awaited,
    /// Granted with this fence; or done, with any.
    For(Fence),
    /// It answered no: held by another, or gone.
    Against,
    /// It failed to answer, which says nothing about the key.
    Fault,
}

/// What the votes come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The next answer may decide.
    Open,
    /// A majority granted with this one fence.
    Won(Fence),
    /// A majority granted, but with different fences: this one, the largest, must be written to
    /// a majority before it counts.
    Differ(Fence),
    /// No majority can be had any more. For a grant: most nodes have answered, so others are in
    /// the way. For a deed: a majority said no.
    Refused,
    /// No majority can be had any more, and too few nodes answered to say more.
    Unknown,
}

/// The votes of all nodes on one question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Votes(Vec<Vote>);

impl Votes {
    /// Nobody of so many nodes has answered.
    #[must_use]
    pub fn new(nodes: usize) -> Self {
        Self(vec![Vote::Awaited; nodes])
    }

    /// A node's word; the last one counts.
    pub fn cast(&mut self, node: usize, vote: Vote) {
        self.0[node] = vote;
    }

    /// A node's word.
    #[must_use]
    pub fn of(&self, node: usize) -> Vote {
        self.0[node]
    }

    /// What the votes for a grant come to.
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

    /// What the votes come to where only the number of those in favour counts. The fence is the
    /// largest.
    #[must_use]
    pub fn on_deed(&self) -> Verdict {
        let done = || self.0.iter().filter_map(Vote::fence);
        if done().count() >= majority(self.0.len()) {
            return Verdict::Won(done().max().unwrap_or_default());
        }
        self.on_failure(self.count(Vote::Against))
    }

    /// How many nodes have answered.
    #[must_use]
    pub fn answered(&self) -> usize {
        self.0.iter().filter(|v| matches!(v, Vote::For(_) | Vote::Against)).count()
    }

    /// `refusing`: how many of those who answered speak for a refusal.
    fn on_failure(&self, refusing: usize) -> Verdict {
        let majority = majority(self.0.len());
        let (done, awaited) = (self.0.iter().filter_map(Vote::fence), self.count(Vote::Awaited));
        if done.count() + awaited >= majority {
            Verdict::Open
        } else if refusing >= majority {
            Verdict::Refused
        } else if refusing + awaited >= majority {
            // Those still awaited may yet tell a refusal from an outage.
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
