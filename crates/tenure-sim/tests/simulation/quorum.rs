//! A quorum of three or five servers, each with clocks, links and faults of its own: over
//! thousands of seeds every promise holds, and each bug that is built in is found.

#[cfg(tenure_mutants)]
use tenure::mutants::Mutant;
use tenure_sim::{Defect, Options, Rule};

#[cfg(tenure_mutants)]
use super::finds_mutant;
use super::{ENOUGH, finds_defect, promises_hold, repeats};

/// Seeds in which every promise must hold; `TENURE_SEEDS` asks for more of them.
const SEEDS: u64 = 2_000;

const QUORUM: Options =
    Options { quorum: true, all_kinds: false, defect: None, only: None, trace: false };

/// Bugs of the engine and of the quorum, and which rule alone must find each.
#[cfg(tenure_mutants)]
const MUTANTS: [(Mutant, Rule); 7] = [
    (Mutant::ClockBeforePause, Rule::Announcement),
    (Mutant::ValidityFromReply, Rule::Validity),
    (Mutant::AlarmWaitsForCall, Rule::Announcement),
    (Mutant::NoWithdrawal, Rule::Orphan),
    (Mutant::PartialWinKept, Rule::Orphan),
    (Mutant::PlainMaximum, Rule::Fence),
    (Mutant::TopUpMints, Rule::Fence),
];

/// Bugs of the servers, as above.
const DEFECTS: [(Defect, Rule); 5] = [
    (Defect::ClockTooFast, Rule::Exclusion),
    (Defect::CountsAtOnce, Rule::Exclusion),
    (Defect::TrustsUptime, Rule::Exclusion),
    (Defect::ReleaseOfAnybody, Rule::Successor),
    (Defect::LeaseForEver, Rule::Throughput),
];

#[test]
fn every_promise_holds() {
    let sum = promises_hold(SEEDS, QUORUM, "quorum");
    assert!(sum.grants / sum.seeds >= 10, "the users hardly did anything");
    assert!(sum.least >= 5, "in some seed the users hardly did anything");
    assert!(sum.losses / sum.seeds >= 1, "hardly anything went wrong");
}

#[test]
fn a_seed_means_one_run() {
    repeats(QUORUM);
}

#[cfg(tenure_mutants)]
#[test]
fn mutants_of_the_quorum_are_found() {
    for (mutant, rule) in MUTANTS {
        finds_mutant(mutant, ENOUGH, Options { only: Some(rule), ..QUORUM });
    }
}

#[test]
fn bugs_built_into_its_servers_are_found() {
    for (defect, rule) in DEFECTS {
        finds_defect(defect, ENOUGH, Options { defect: Some(defect), only: Some(rule), ..QUORUM });
    }
}

/// Shows one seed, line by line: see the command that a failure prints.
#[test]
fn replay() {
    super::replay(QUORUM);
}
