//! Locks of all kinds on the same keys of one server: semaphores, readers and writers that change
//! places, multi-locks, elections, jobs that run once per tick, mutexes. Over a thousand seeds
//! every promise holds, and each bug that is built in is found. A kind that is added comes with the
//! bug that shows that it is judged.

#[cfg(tenure_mutants)]
use tenure::mutants::Mutant;
use tenure_sim::{Defect, Options, Rule};

#[cfg(tenure_mutants)]
use super::finds_mutant;
use super::{ENOUGH, finds_defect, promises_hold, repeats};

/// Seeds in which every promise must hold; `TENURE_SEEDS` asks for more of them.
const SEEDS: u64 = 1_200;

const ALL_KINDS: Options =
    Options { all_kinds: true, quorum: false, defect: None, only: None, trace: false };

/// Bugs of the kinds, and which rule alone must find each.
#[cfg(tenure_mutants)]
pub(super) const MUTANTS: [(Mutant, Rule); 2] =
    [(Mutant::UpgradeWaits, Rule::Upgrade), (Mutant::HalfRolledBack, Rule::Orphan)];

/// Bugs of the server, as above.
pub(super) const DEFECTS: [(Defect, Rule); 8] = [
    (Defect::PermitCountedTwice, Rule::Exclusion),
    (Defect::FenceStands, Rule::Fence),
    (Defect::LastComeFirst, Rule::Order),
    (Defect::ClockTooFast, Rule::Exclusion),
    (Defect::ValueOfAnybody, Rule::Value),
    (Defect::OlderValueWins, Rule::Value),
    (Defect::RecordIgnored, Rule::Once),
    (Defect::UnfinishedIsOk, Rule::Once),
];

#[test]
fn every_promise_holds() {
    let sum = promises_hold(SEEDS, ALL_KINDS, "all_kinds");
    assert!(sum.grants / sum.seeds >= 10, "the users hardly did anything");
    assert!(sum.losses / sum.seeds >= 1, "hardly anything went wrong");
}

#[test]
fn a_seed_means_one_run() {
    repeats(ALL_KINDS);
}

#[cfg(tenure_mutants)]
#[test]
fn mutants_of_the_kinds_are_found() {
    for (mutant, rule) in MUTANTS {
        finds_mutant(mutant, ENOUGH, Options { only: Some(rule), ..ALL_KINDS });
    }
}

#[test]
fn bugs_built_into_the_server_are_found() {
    for (defect, rule) in DEFECTS {
        let options = Options { defect: Some(defect), only: Some(rule), ..ALL_KINDS };
        finds_defect(defect, ENOUGH, options);
    }
}

/// Shows one seed, line by line: see the command that a failure prints.
#[test]
fn replay() {
    super::replay(ALL_KINDS);
}
