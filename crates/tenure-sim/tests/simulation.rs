//! The simulation's verdicts: over a thousand seeds the engine keeps every promise, each bug
//! that is built in is found, and a seed means one run.
#![allow(clippy::print_stdout, reason = "a test talks to people")]

use std::env;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use tenure::mutants::{self, Mutant};
use tenure_sim::{Defect, Options, Outcome, Rule, run};

/// Seeds in which every promise must hold; `TENURE_SEEDS` asks for more of them.
const SEEDS: u64 = 1_200;

/// Within so many seeds a bug must be found,
const ENOUGH: u64 = 50;
/// and within so many by a rule that needs luck to see it.
const PLENTY: u64 = 600;

/// Bugs of the engine, which rule alone must find each, and within how many seeds.
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
    let first = number("TENURE_FIRST_SEED", 0);
    let seeds = number("TENURE_SEEDS", SEEDS);
    let outcomes = run_all(first..first + seeds);
    let grants: u64 = outcomes.iter().map(|o| o.grants).sum();
    let losses: u64 = outcomes.iter().map(|o| o.losses).sum();
    println!("{seeds} seeds, {grants} guards handed out, {losses} of them lost");
    let mut failed = 0;
    for (seed, failure) in outcomes.iter().filter_map(|o| Some((o.seed, o.failure.as_ref()?))) {
        failed += 1;
        println!("{}: {}", failure.rule, failure.text);
        println!(
            "  TENURE_SEED={seed} cargo test -p tenure-sim --test simulation replay -- --nocapture"
        );
    }
    assert_eq!(failed, 0, "of {seeds} seeds; each line above replays one");
    assert!(grants / seeds >= 10, "the users hardly did anything");
    assert!(losses / seeds >= 1, "hardly anything went wrong");
}

#[test]
fn a_seed_means_one_run() {
    let options = Options { trace: true, ..Options::default() };
    for seed in 0..20 {
        let [first, second] = [run(seed, options), run(seed, options)];
        assert!(first.trace.len() > 100, "seed {seed} leaves no trace");
        assert_eq!(first, second, "seed {seed} went two ways");
    }
}

#[test]
fn bugs_built_into_the_engine_are_found() {
    for (mutant, rule, within) in MUTANTS {
        // The switch belongs to this thread, and a run stays on its thread.
        mutants::set(Some(mutant));
        let found = hunt(within, Options { only: Some(rule), ..Options::default() });
        mutants::set(None);
        println!("{mutant:?}: {rule} at seed {found:?}");
        assert!(found.is_some(), "{rule} does not find {mutant:?} in {within} seeds");
    }
}

#[test]
fn bugs_built_into_the_server_are_found() {
    for (defect, rule, within) in DEFECTS {
        let options = Options { defect: Some(defect), only: Some(rule), ..Options::default() };
        let found = hunt(within, options);
        println!("{defect:?}: {rule} at seed {found:?}");
        assert!(found.is_some(), "{rule} does not find {defect:?} in {within} seeds");
    }
}

#[test]
fn each_rule_proves_itself_on_a_bug() {
    for rule in Rule::OF_LOCKS {
        let in_engine = MUTANTS.iter().any(|(_, proven, _)| *proven == rule);
        let in_server = DEFECTS.iter().any(|(_, proven, _)| *proven == rule);
        assert!(in_engine || in_server, "no bug shows that {rule} finds anything");
    }
}

/// Shows one seed, line by line: see the command that a failure prints.
#[test]
fn replay() {
    let Ok(seed) = env::var("TENURE_SEED") else { return };
    let seed = seed.parse().expect("TENURE_SEED is a number");
    let outcome = run(seed, Options { trace: true, ..Options::default() });
    for line in &outcome.trace {
        println!("{line}");
    }
    assert_eq!(outcome.failure, None);
}

/// Runs seeds on all processors; they share nothing.
fn run_all(seeds: std::ops::Range<u64>) -> Vec<Outcome> {
    let next = AtomicU64::new(seeds.start);
    let work = || {
        let seeds = std::iter::repeat_with(|| next.fetch_add(1, Ordering::Relaxed))
            .take_while(|seed| *seed < seeds.end);
        seeds.map(|seed| run(seed, Options::default())).collect::<Vec<_>>()
    };
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|w| w.join().expect("a run catches panics")).collect()
    })
}

/// The first seed that fails.
fn hunt(seeds: u64, options: Options) -> Option<u64> {
    (0..seeds).find(|seed| run(*seed, options).failure.is_some())
}

fn number(name: &str, default: u64) -> u64 {
    env::var(name).map_or(default, |text| text.parse().expect("a number"))
}
