//! The judge: what some leases and some writes amount to. It sees only what the contenders and the
//! resource have recorded, on the one clock of the machine.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The host of a contender, and so the side of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Side {
    /// With the server that is struck.
    Minority,
    /// With all other servers.
    Majority,
}

/// A lease as its holder saw it. Times are microseconds of the boot clock.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Lease {
    /// Unique in a run.
    pub(crate) id: u64,
    pub(crate) key: String,
    pub(crate) fence: u64,
    pub(crate) side: Side,
    /// When the library was asked: the store has granted it later.
    pub(crate) asked: u64,
    /// When the library had answered: the store has granted it before, maybe long before, if its
    /// message was lost.
    pub(crate) granted: u64,
    /// Before the release was called, when the loss was told, or at the deadline, whichever came
    /// first.
    pub(crate) ended: u64,
}

/// A write, in the order in which the resource met it.
#[derive(Debug, Clone)]
pub(crate) struct Write {
    pub(crate) key: String,
    pub(crate) lease: u64,
    /// Whether the resource that looks at fences took it. The other takes all.
    pub(crate) was_taken: bool,
}

/// The findings of one run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Verdict {
    pub(crate) grants: usize,
    /// Leases that began while another of the same key was held.
    pub(crate) overlaps: usize,
    /// Writes of an older lease after a younger one that the resource without fences took.
    pub(crate) stale_unfenced: usize,
    /// The same, at the resource that looks at fences.
    pub(crate) stale_fenced: usize,
    /// Leases with the fence of another lease of the key, or a smaller one than an older lease.
    pub(crate) disordered: usize,
    /// The longest time without any grant, from the last grant before the fault on.
    pub(crate) recovery_ms: u64,
}

impl Lease {
    /// Whether the store has granted it after `other`, whenever the two holders were told. It says
    /// so only if there is no doubt.
    fn is_younger_than(&self, other: &Self) -> bool {
        self.asked > other.granted
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} grants, {} overlaps, {} and {} stale writes (unfenced and fenced), {} fences out \
             of order, {} ms without a grant",
            self.grants,
            self.overlaps,
            self.stale_unfenced,
            self.stale_fenced,
            self.disordered,
            self.recovery_ms
        )
    }
}

/// Judges a run. The time without grants is that of `survivors`, from `fault` on.
pub(crate) fn judge(leases: &[Lease], writes: &[Write], fault: u64, survivors: &[Side]) -> Verdict {
    let mut by_key: BTreeMap<&str, Vec<&Lease>> = BTreeMap::new();
    for lease in leases {
        by_key.entry(&lease.key).or_default().push(lease);
    }
    let sum = |count: fn(&[&Lease]) -> usize| by_key.values().map(|of_key| count(of_key)).sum();
    let (stale_unfenced, stale_fenced) = stale(leases, writes);
    Verdict {
        grants: leases.len(),
        overlaps: sum(overlaps),
        stale_unfenced,
        stale_fenced,
        disordered: sum(disordered),
        recovery_ms: longest_gap(leases, fault, survivors) / 1_000,
    }
}

/// Of the leases of one key.
fn overlaps(leases: &[&Lease]) -> usize {
    let mut leases = leases.to_vec();
    leases.sort_by_key(|lease| lease.granted);
    let mut held_until = 0;
    let mut count = 0;
    for lease in leases {
        count += usize::from(lease.granted < held_until);
        held_until = held_until.max(lease.ended);
    }
    count
}

/// Of the leases of one key.
fn disordered(leases: &[&Lease]) -> usize {
    let is_disordered = |lease: &Lease| {
        leases.iter().any(|other| match lease.fence.cmp(&other.fence) {
            Ordering::Less => lease.is_younger_than(other),
            Ordering::Equal => lease.id != other.id,
            Ordering::Greater => false,
        })
    };
    leases.iter().filter(|lease| is_disordered(lease)).count()
}

/// The stale writes that the resource without fences took, and those that the other one took too.
fn stale(leases: &[Lease], writes: &[Write]) -> (usize, usize) {
    let by_id: BTreeMap<_, _> = leases.iter().map(|lease| (lease.id, lease)).collect();
    // Those that have written so far, of each key.
    let mut writers: BTreeMap<&str, Vec<&Lease>> = BTreeMap::new();
    let (mut unfenced, mut fenced) = (0, 0);
    for write in writes {
        let lease = by_id[&write.lease];
        let writers = writers.entry(&write.key).or_default();
        if writers.iter().any(|writer| writer.is_younger_than(lease)) {
            unfenced += 1;
            fenced += usize::from(write.was_taken);
        } else if !write.was_taken {
            // One with a larger fence has written, and fences have an order of their own to keep.
            unfenced += 1;
        }
        if !writers.iter().any(|writer| writer.id == lease.id) {
            writers.push(lease);
        }
    }
    (unfenced, fenced)
}

fn longest_gap(leases: &[Lease], fault: u64, survivors: &[Side]) -> u64 {
    let of_survivors = leases.iter().filter(|lease| survivors.contains(&lease.side));
    let mut grants: Vec<_> = of_survivors.map(|lease| lease.granted).collect();
    grants.sort_unstable();
    let gaps = grants.windows(2).filter(|pair| pair[1] >= fault);
    gaps.map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::Side::{Majority, Minority};
    use super::*;

    const BOTH: [Side; 2] = [Minority, Majority];

    fn lease(id: u64, key: &str, fence: u64, granted: u64, ended: u64) -> Lease {
        Lease { id, key: key.into(), fence, side: Majority, asked: granted, granted, ended }
    }

    /// Ten leases, one after the other, each of which writes twice.
    fn sound() -> (Vec<Lease>, Vec<Write>) {
        let leases: Vec<_> =
            (1..=10).map(|n| lease(n, "k", 100 + n, n * 10_000, n * 10_000 + 9_000)).collect();
        let write = |lease: &Lease| Write { key: "k".into(), lease: lease.id, was_taken: true };
        let writes = leases.iter().flat_map(|lease| [write(lease), write(lease)]).collect();
        (leases, writes)
    }

    #[test]
    fn a_sound_run_has_no_findings() {
        let (leases, writes) = sound();
        let expected = Verdict { grants: 10, recovery_ms: 10, ..Verdict::default() };
        assert_eq!(judge(&leases, &writes, 0, &BOTH), expected);
    }

    #[test]
    fn planted_overlaps_are_found_also_behind_a_short_lease() {
        let (mut leases, writes) = sound();
        // From within the first to within the third: those two and the second overlap with it.
        leases.push(lease(11, "k", 120, 15_000, 35_000));
        assert_eq!(judge(&leases, &writes, 0, &BOTH).overlaps, 3);
        // Another key is another lock.
        leases.push(lease(12, "other", 1, 15_000, 95_000));
        assert_eq!(judge(&leases, &writes, 0, &BOTH).overlaps, 3);
    }

    #[test]
    fn planted_stale_writes_are_found_where_they_were_taken() {
        let (leases, mut writes) = sound();
        writes.push(Write { key: "k".into(), lease: 4, was_taken: false });
        let verdict = judge(&leases, &writes, 0, &BOTH);
        assert_eq!((verdict.stale_unfenced, verdict.stale_fenced), (1, 0));
        writes.push(Write { key: "k".into(), lease: 9, was_taken: true });
        let verdict = judge(&leases, &writes, 0, &BOTH);
        assert_eq!((verdict.stale_unfenced, verdict.stale_fenced), (2, 1));
    }

    #[test]
    fn planted_disorder_of_fences_is_found() {
        let (mut leases, writes) = sound();
        leases[6].fence = leases[5].fence;
        assert_eq!(judge(&leases, &writes, 0, &BOTH).disordered, 2, "the same twice");
        leases[2].fence = 1_000;
        // All of the seven behind it are below.
        assert_eq!(judge(&leases, &writes, 0, &BOTH).disordered, 7);
    }

    #[test]
    fn of_two_holders_that_were_told_late_neither_is_the_older() {
        let mut leases = vec![lease(1, "k", 8, 1_000, 9_000), lease(2, "k", 7, 4_000, 9_000)];
        let write = |lease| Write { key: "k".into(), lease, was_taken: true };
        let writes = [write(1), write(2), write(1)];
        leases[1].asked = 999;
        let verdict = judge(&leases, &writes, 0, &BOTH);
        assert_eq!((verdict.overlaps, verdict.disordered, verdict.stale_fenced), (1, 0, 0));
        leases[1].asked = 1_001;
        let verdict = judge(&leases, &writes, 0, &BOTH);
        assert_eq!((verdict.overlaps, verdict.disordered, verdict.stale_fenced), (1, 1, 1));
    }

    #[test]
    fn the_time_without_grants_is_that_of_the_survivors_after_the_fault() {
        let (mut leases, writes) = sound();
        leases.push(lease(11, "k", 200, 500_000, 500_000));
        leases[1].granted = 90_000;
        assert_eq!(judge(&leases, &writes, 0, &BOTH).recovery_ms, 400);
        let mut early = lease(12, "k", 201, 300_000, 300_000);
        early.side = Minority;
        leases.push(early);
        assert_eq!(judge(&leases, &writes, 0, &BOTH).recovery_ms, 200);
        assert_eq!(judge(&leases, &writes, 0, &[Majority]).recovery_ms, 400);
        assert_eq!(judge(&leases, &writes, 500_001, &BOTH).recovery_ms, 0, "none came after it");
    }
}
