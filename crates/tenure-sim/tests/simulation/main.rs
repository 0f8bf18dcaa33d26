//! The simulation's verdicts: over thousands of seeds every promise holds, each bug that is built
//! in is found, and a seed means one run.
#![allow(clippy::print_stdout, reason = "a test talks to people")]

mod all_kinds;
mod one_server;
mod quorum;

use std::env;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

#[cfg(tenure_mutants)]
use tenure::mutants::{self, Mutant};
use tenure_sim::{Defect, Options, Outcome, run};

/// Within so many seeds a bug must be found.
const ENOUGH: u64 = 50;

/// The sum of the outcomes of many seeds.
struct Sum {
    seeds: u64,
    grants: u64,
    losses: u64,
    /// The fewest grants of a seed.
    least: u64,
}

/// Runs seeds and demands that none fails; each that does prints the one line that replays it.
fn promises_hold(seeds: u64, options: Options, place: &str) -> Sum {
    let first = number("TENURE_FIRST_SEED", 0);
    let seeds = number("TENURE_SEEDS", seeds);
    let outcomes = run_all(first..first + seeds, options);
    let grants = outcomes.iter().map(|o| o.grants).sum();
    let losses = outcomes.iter().map(|o| o.losses).sum();
    let least = outcomes.iter().map(|o| o.grants).min().unwrap_or(0);
    println!("{place}: {seeds} seeds, {grants} guards handed out, {losses} of them lost");
    let mut failed = 0;
    for (seed, failure) in outcomes.iter().filter_map(|o| Some((o.seed, o.failure.as_ref()?))) {
        failed += 1;
        println!("{}: {}", failure.rule, failure.text);
        println!(
            "  TENURE_SEED={seed} cargo test -p tenure-sim --test simulation {place}::replay -- \
             --nocapture"
        );
    }
    assert_eq!(failed, 0, "of {seeds} seeds; each line above replays one");
    Sum { seeds, grants, losses, least }
}

fn repeats(options: Options) {
    let options = Options { trace: true, ..options };
    for seed in 0..20 {
        let [first, second] = [run(seed, options), run(seed, options)];
        assert!(first.trace.len() > 100, "seed {seed} leaves no trace");
        assert_eq!(first, second, "seed {seed} went two ways");
    }
}

#[cfg(tenure_mutants)]
fn finds_mutant(mutant: Mutant, within: u64, options: Options) {
    // The switch belongs to this thread, and a run stays on its thread.
    mutants::set(Some(mutant));
    let found = hunt(within, options);
    mutants::set(None);
    let rule = options.only.expect("one rule alone must find it");
    println!("{mutant:?}: {rule} at seed {found:?}");
    assert!(found.is_some(), "{rule} does not find {mutant:?} in {within} seeds");
}

fn finds_defect(defect: Defect, within: u64, options: Options) {
    let found = hunt(within, options);
    let rule = options.only.expect("one rule alone must find it");
    println!("{defect:?}: {rule} at seed {found:?}");
    assert!(found.is_some(), "{rule} does not find {defect:?} in {within} seeds");
}

fn replay(options: Options) {
    let Ok(seed) = env::var("TENURE_SEED") else { return };
    let seed = seed.parse().expect("TENURE_SEED is a number");
    let outcome = run(seed, Options { trace: true, ..options });
    for line in &outcome.trace {
        println!("{line}");
    }
    assert_eq!(outcome.failure, None);
}

/// Runs seeds on all processors; they share nothing.
fn run_all(seeds: std::ops::Range<u64>, options: Options) -> Vec<Outcome> {
    let next = AtomicU64::new(seeds.start);
    let work = || {
        let seeds = std::iter::repeat_with(|| next.fetch_add(1, Ordering::Relaxed))
            .take_while(|seed| *seed < seeds.end);
        seeds.map(|seed| run(seed, options)).collect::<Vec<_>>()
    };
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|w| w.join().expect("a run catches panics")).collect()
    })
}

/// The first seed that fails by the rule that is asked for; a failed assertion is another rule.
fn hunt(seeds: u64, options: Options) -> Option<u64> {
    let rule = |seed| run(seed, options).failure.map(|failure| failure.rule);
    (0..seeds).find(|seed| rule(*seed).is_some_and(|rule| Some(rule) == options.only))
}

fn number(name: &str, default: u64) -> u64 {
    env::var(name).map_or(default, |text| text.parse().expect("a number"))
}
