//! One server: over a thousand seeds the engine keeps every promise, and each bug that is built
//! in is found.

#[cfg(tenure_mutants)]
use tenure::mutants::Mutant;
use tenure_sim::{Defect, Options, Rule};

use super::{ENOUGH, finds_defect, promises_hold, repeats};
#[cfg(tenure_mutants)]
use super::{all_kinds, finds_mutant};

/// Seeds in which every promise must hold; `TENURE_SEEDS` asks for more of them.
const SEEDS: u64 = 1_200;

/// Within so many seeds a bug is found by a rule that needs luck to see it.
const PLENTY: u64 = 600;

/// Bugs of the engine, which rule alone must find each, and within how many seeds.
#[cfg(tenure_mutants)]
const MUTANTS: [(Mutant, Rule, u64); 10] = [
    (Mutant::ValidityFromReply, Rule::Validity, ENOUGH),
    (Mutant::ValidityFromReply, Rule::Exclusion, PLENTY),
    (Mutant::ValidityFromReply, Rule::Announcement, PLENTY),
    (Mutant::ClockBeforePause, Rule::Announcement, ENOUGH),
    (Mutant::NoWithdrawal, Rule::Orphan, ENOUGH),
    (Mutant::StalePush, Rule::Validity, ENOUGH),
    (Mutant::StalePush, Rule::Exclusion, PLENTY),
    (Mutant::IgnoreGone, Rule::Announcement, ENOUGH),
    (Mutant::AlarmWaitsForCall, Rule::Announcement, ENOUGH),
    (Mutant::LateRenewal, Rule::Final, PLENTY),
];

/// Bugs of the server, as above.
const DEFECTS: [(Defect, Rule, u64); 12] = [
    (Defect::RenewalRecreates, Rule::Validity, ENOUGH),
    (Defect::TombstonesIgnored, Rule::Orphan, PLENTY),
    (Defect::ReleaseOfAnybody, Rule::Successor, ENOUGH),
    (Defect::ReleaseOfAnybody, Rule::Exclusion, ENOUGH),
    (Defect::FenceStands, Rule::Fence, ENOUGH),
    (Defect::LastComeFirst, Rule::Order, ENOUGH),
    (Defect::QueueForgotten, Rule::Order, ENOUGH),
    (Defect::LeaseForEver, Rule::Waiting, ENOUGH),
    (Defect::LeaseForEver, Rule::Throughput, ENOUGH),
    (Defect::GrantUntold, Rule::Handover, ENOUGH),
    (Defect::RenewalRefused, Rule::Calm, PLENTY),
    (Defect::ClockTooFast, Rule::Exclusion, ENOUGH),
];

#[test]
fn every_promise_holds() {
    let sum = promises_hold(SEEDS, Options::default(), "one_server");
    assert!(sum.grants / sum.seeds >= 10, "the users hardly did anything");
    assert!(sum.losses / sum.seeds >= 1, "hardly anything went wrong");
}

#[test]
fn a_seed_means_one_run() {
    repeats(Options::default());
}

#[cfg(tenure_mutants)]
#[test]
fn mutants_of_the_engine_are_found() {
    for (mutant, rule, within) in MUTANTS {
        finds_mutant(mutant, within, Options { only: Some(rule), ..Options::default() });
    }
}

#[test]
fn bugs_built_into_the_server_are_found() {
    for (defect, rule, within) in DEFECTS {
        let options = Options { defect: Some(defect), only: Some(rule), ..Options::default() };
        finds_defect(defect, within, options);
    }
}

#[cfg(tenure_mutants)]
#[test]
fn each_rule_proves_itself_on_a_bug() {
    for rule in Rule::OF_LOCKS {
        let of_kinds = all_kinds::MUTANTS.iter().any(|(_, proven)| *proven == rule);
        let in_engine = of_kinds || MUTANTS.iter().any(|(_, proven, _)| *proven == rule);
        let of_kinds = all_kinds::DEFECTS.iter().any(|(_, proven)| *proven == rule);
        let in_server = of_kinds || DEFECTS.iter().any(|(_, proven, _)| *proven == rule);
        assert!(in_engine || in_server, "no bug shows that {rule} finds anything");
    }
}

/// Shows one seed, line by line: see the command that a failure prints.
#[test]
fn replay() {
    super::replay(Options::default());
}
