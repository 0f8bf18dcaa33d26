//! Tenure's figures, each with its limit beside it, measured in one run:
//!
//! ```text
//! cargo figures
//! ```
//!
//! Contenders alternate within the run. Each figure is printed with its change since the run in
//! `bench/baseline.json`, which `--save` replaces. The program ends with 1 if a limit is missed.
//! `--short` runs in seconds and only shows that everything works. `bench/README.md` says more.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it is a program")]
#![allow(clippy::disallowed_methods, reason = "it measures the machine's own time")]

mod adapters;
mod block;
mod counting;
mod failover;
mod figure;
mod lines;
mod measures;
mod peers;
mod record;
mod sample;
mod table;
mod worker;

use std::alloc::System;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

use figure::{Figure, Scale};
use peers::results::Results;
use record::{Baseline, Occasion, Record};

/// All that is measured runs under this counter, which costs a few nanoseconds per allocation.
#[global_allocator]
static HEAP: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Measures Tenure and prints each figure with its limit.
#[derive(Debug, Parser)]
struct Arguments {
    /// Run in seconds, check no limit, compare with nothing: only show that everything works.
    #[arg(long)]
    short: bool,
    /// Also time a clean build of the README's first command; takes minutes.
    #[arg(long)]
    clean_build: bool,
    /// Measure only what has this in its name.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Keep this run: write bench/baseline.json, if all was measured, and bench/peers.json with
    /// the documents and plots made of it, if all peers were.
    #[arg(long, conflicts_with = "short")]
    save: bool,
    /// Write the figures here.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write the comparison with other libraries here.
    #[arg(long, value_name = "FILE")]
    peers: Option<PathBuf>,
    /// Write the figures with their raw data here.
    #[arg(long, value_name = "FILE")]
    raw: Option<PathBuf>,
    #[command(subcommand)]
    part: Option<Part>,
}

/// Other things than to measure, and the parts that this program runs as another process.
#[derive(Debug, Subcommand)]
enum Part {
    /// One of the processes of a measurement.
    #[command(hide = true)]
    Worker(worker::Worker),
    /// A contender written in Rust, which answers requests on its standard input.
    #[command(hide = true)]
    Adapter {
        contender: String,
    },
    /// Make the documents and plots agree with bench/peers.json and bench/failover.json; measure
    /// nothing.
    Documents,
    Failover(failover::Failover),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match &arguments.part {
        Some(Part::Worker(worker)) => worker.run().map(|()| true),
        Some(Part::Adapter { contender }) => adapters::run(contender).map(|()| true),
        Some(Part::Failover(failover)) => failover.run(),
        Some(Part::Documents) => documents().map(|()| true),
        None => measure(&arguments),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("tenure-bench: {e}");
            ExitCode::from(2)
        }
    }
}

/// Whether every limit was kept.
fn measure(arguments: &Arguments) -> Result<bool, Failure> {
    let scale = if arguments.short { Scale::Short } else { Scale::Full };
    if cfg!(debug_assertions) && scale == Scale::Full {
        return Err("figures need a release build: cargo figures".into());
    }
    let baseline = match scale {
        Scale::Full => Baseline::read(&record::baseline_file())?,
        Scale::Short => None,
    };
    let mut found = Found::default();
    let is_wanted = |name: &str| arguments.only.as_ref().is_none_or(|text| name.contains(text));
    let tell = |figures: &[Figure]| {
        for figure in figures {
            let change = baseline.as_ref().map_or_else(String::new, |b| b.change(figure));
            println!("{}", format!("{figure}  {change}").trim_end());
        }
    };
    for measure in measures::ALL {
        if is_wanted(measure.name) && (!measure.on_request || arguments.clean_build) {
            eprintln!("measuring {} ...", measure.name);
            let figures = (measure.run)(scale).map_err(|e| format!("{}: {e}", measure.name))?;
            tell(&figures);
            found.figures.extend(figures);
        }
    }
    for comparison in peers::ALL.iter().filter(|comparison| is_wanted(comparison.name)) {
        eprintln!("measuring {} ...", comparison.name);
        let figures = comparison.run(scale, &mut found.peers);
        let figures = figures.map_err(|e| format!("{}: {e}", comparison.name))?;
        tell(&figures);
        found.figures.extend(figures);
    }
    if found.figures.is_empty() {
        return Err("nothing has this in its name".into());
    }
    println!("{}", peers::table::report(&found.peers));
    found.peers.occasion = Occasion::now();
    write(arguments, &found)?;
    Ok(scale == Scale::Short || found.figures.iter().all(Figure::is_met))
}

/// All that was measured.
#[derive(Debug, Default)]
struct Found {
    figures: Vec<Figure>,
    peers: Results,
}

/// Writes what was asked for.
fn write(arguments: &Arguments, Found { figures, peers }: &Found) -> Result<(), Failure> {
    let record = Record::of(figures);
    if let Some(path) = &arguments.raw {
        record.write(path)?;
        println!("raw data: {}", path.display());
    }
    let record = record.without_raw_data();
    let is_whole = arguments.only.is_none();
    let kept = (arguments.save && is_whole).then(record::baseline_file);
    for path in arguments.out.iter().chain(&kept) {
        record.write(path)?;
        println!("figures: {}", path.display());
    }
    let kept = (arguments.save && peers.is_whole()).then(peers::results::file);
    for path in arguments.peers.iter().chain(&kept) {
        peers.write(path)?;
        println!("comparison: {}", path.display());
    }
    if kept.is_some() {
        documents()?;
    }
    Ok(())
}

fn documents() -> Result<(), Failure> {
    let kept = Results::read(&peers::results::file())?;
    peers::document::rewrite(&kept.ok_or("there is no bench/peers.json")?)?;
    failover::document::rewrite()
}
