//! The failover experiment: what contenders hold, and what a resource lets pass, while servers
//! fail over under them.
//!
//! ```text
//! cargo figures failover
//! ```
//!
//! Each run has servers of its own (real processes, on two hosts of a network of its own), eight
//! contending processes, one fault, and is judged afterwards by the contenders' records and by the
//! order in which the resource met their writes. One table is printed. `--save` keeps it in
//! `bench/failover.json` and in SAFETY.md. The program ends with 1 if a promise was broken.

pub(crate) mod contender;
pub(crate) mod document;
mod fault;
mod judge;
mod resource;
mod results;
mod run;
mod setting;
mod table;
mod topology;

use std::panic::{self, AssertUnwindSafe};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use clap::Args;
use tenure_testkit::{Flavour, Network};

use crate::Failure;
use crate::record::Occasion;

use fault::Fault;
use results::{Results, Row};
use setting::Setting;
use topology::Kind;

/// Repetitions of each fault.
const RUNS: usize = 10;

/// Breaks real servers under real processes, and counts what they hold at the same time.
#[derive(Debug, Args)]
pub(crate) struct Failover {
    /// Each fault once, with the safest settings only.
    #[arg(long)]
    short: bool,
    /// Repetitions of each fault [default: 10, with --short 1].
    #[arg(long, value_name = "N")]
    runs: Option<usize>,
    /// Runs at a time. They spend most of their time waiting.
    #[arg(long, value_name = "N", default_value_t = 2)]
    jobs: usize,
    /// Run only what has all of these words in its name, such as "cluster ack".
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// One server without a fault, and contenders that exclude nobody: the judge must see it.
    #[arg(long, hide = true)]
    blind: bool,
    /// Valkey in place of Redis.
    #[arg(long)]
    valkey: bool,
    /// Keep this run: write bench/failover.json and the table in SAFETY.md.
    #[arg(long, conflicts_with_all = ["short", "only", "blind", "valkey"])]
    save: bool,
    /// Write the results here.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// This process has a network of its own already, or there can be none.
    #[arg(long, hide = true)]
    here: bool,
}

impl Failover {
    /// Whether every promise was kept.
    pub(crate) fn run(&self) -> Result<bool, Failure> {
        if !self.here {
            return self.run_apart();
        }
        let network = Network::missing().map_or_else(|| Some(Network::here()), |_| None);
        let (plans, skipped): (Vec<_>, Vec<_>) = self
            .plans()
            .into_iter()
            .partition(|plan| network.is_some() || !plan.fault.needs_network());
        for plan in &skipped {
            eprintln!("SKIPPED: {plan}: this machine gives no network namespaces");
        }
        if plans.is_empty() {
            return Err("nothing has these words in its name".into());
        }
        let mut results = Results {
            occasion: Occasion::now(),
            skipped: skipped.iter().map(Plan::to_string).collect(),
            ..Results::default()
        };
        self.repeat(&plans, network.as_ref(), &mut results)?;
        println!("{}", table::report(&results));
        self.write(&results)?;
        let mut is_kept = true;
        for row in results.rows.iter().filter(|row| !row.is_kept()) {
            is_kept = false;
            eprintln!("a promise was broken: {}", row.plan());
        }
        Ok(is_kept)
    }

    /// Once more, with a network of its own if there can be one.
    fn run_apart(&self) -> Result<bool, Failure> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(std::env::args_os().skip(1)).arg("--here");
        if Network::missing().is_none() {
            command = Network::command(&command);
        }
        match command.status()?.code() {
            Some(0) => Ok(true),
            Some(1) => Ok(false),
            _ => Err("the experiment failed".into()),
        }
    }

    fn flavour(&self) -> Flavour {
        if self.valkey { Flavour::Valkey } else { Flavour::Redis }
    }

    fn plans(&self) -> Vec<Plan> {
        if self.blind {
            let (kind, setting) = (Kind::Single, Setting::Defaults);
            return vec![Plan { kind, fault: Fault::None, setting }];
        }
        let settings = if self.short { &[Setting::SAFEST][..] } else { &Setting::ALL };
        let mut plans = Vec::new();
        for kind in Kind::THAT_FAIL_OVER {
            for fault in Fault::ALL {
                plans.extend(settings.iter().map(|&setting| Plan { kind, fault, setting }));
            }
        }
        let wanted = self.only.as_deref().unwrap_or_default();
        plans.retain(|plan| wanted.split(' ').all(|word| plan.to_string().contains(word)));
        plans
    }

    /// Runs each plan several times.
    fn repeat(
        &self,
        plans: &[Plan],
        network: Option<&Network>,
        results: &mut Results,
    ) -> Result<(), Failure> {
        let runs = self.runs.unwrap_or(if self.short { 1 } else { RUNS });
        let next = AtomicUsize::new(0);
        let job = || {
            let mut found = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(&plan) = plans.get(number / runs) else { return Ok(found) };
                let done = panic::catch_unwind(AssertUnwindSafe(|| {
                    run::once(self.flavour(), plan, network, self.blind)
                }));
                let done = done.unwrap_or_else(|_| Err("it panicked".into()));
                let (verdict, version) = done.map_err(|e| {
                    // No job begins another run.
                    next.fetch_add(plans.len() * runs, Ordering::Relaxed);
                    format!("{plan}: {e}")
                })?;
                eprintln!("{plan}: {verdict}");
                found.push((number, verdict, version));
            }
        };
        let mut found = thread::scope(|scope| {
            let jobs: Vec<_> = (0..self.jobs.max(1)).map(|_| scope.spawn(job)).collect();
            let found = jobs.into_iter().map(|job| job.join().expect("panics are caught"));
            found.collect::<Result<Vec<_>, Failure>>()
        })?
        .concat();
        found.sort_by_key(|(number, ..)| *number);
        for (plan, found) in plans.iter().zip(found.chunks(runs)) {
            let mut row = Row::new(self.flavour(), *plan);
            for (_, verdict, version) in found {
                results.version(self.flavour(), version);
                row.runs.push(verdict.clone());
            }
            results.rows.push(row);
        }
        Ok(())
    }

    fn write(&self, results: &Results) -> Result<(), Failure> {
        let kept = self.save.then(results::file);
        for path in self.out.iter().chain(&kept) {
            results.write(path)?;
            println!("results: {}", path.display());
        }
        if kept.is_some() { document::rewrite() } else { Ok(()) }
    }
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    kind: Kind,
    fault: Fault,
    setting: Setting,
}

impl std::fmt::Display for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, {}, {}", self.kind, self.fault, self.setting)
    }
}
