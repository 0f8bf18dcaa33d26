//! Tenure's figures, each with its limit beside it, measured in one run:
//!
//! ```text
//! cargo run --release -p tenure-bench
//! ```
//!
//! Contenders alternate within the run. Each figure is printed with its change since the run in
//! `bench/baseline.json`, which a full run then replaces. The program ends with 1 if a limit is
//! missed. `--short` runs in seconds and only shows that everything works.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it is a program")]
#![allow(clippy::disallowed_methods, reason = "it measures the machine's own time")]

mod counting;
mod figure;
mod measures;
mod record;
mod sample;
mod worker;

use std::alloc::System;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

use figure::{Figure, Scale};
use record::{Baseline, Record};

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
    /// Write the figures here [default: bench/baseline.json after a full run, else nowhere].
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write the figures with their raw data here.
    #[arg(long, value_name = "FILE")]
    raw: Option<PathBuf>,
    #[command(subcommand)]
    part: Option<Part>,
}

/// The parts that this program runs when it has started itself as another process.
#[derive(Debug, Subcommand)]
enum Part {
    /// One of the processes of a measurement.
    #[command(hide = true)]
    Worker(worker::Worker),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match &arguments.part {
        Some(Part::Worker(worker)) => worker.run().map(|()| true),
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
        return Err("figures need a release build: cargo run --release -p tenure-bench".into());
    }
    let baseline = match scale {
        Scale::Full => Baseline::read(&record::baseline_file())?,
        Scale::Short => None,
    };
    let mut figures = Vec::new();
    for measure in measures::ALL {
        let wanted = arguments.only.as_ref().is_none_or(|text| measure.name.contains(text));
        if !wanted || (measure.on_request && !arguments.clean_build) {
            continue;
        }
        eprintln!("measuring {} ...", measure.name);
        let found = (measure.run)(scale).map_err(|e| format!("{}: {e}", measure.name))?;
        for figure in &found {
            let change = baseline.as_ref().map_or_else(String::new, |b| b.change(figure));
            println!("{}", format!("{figure}  {change}").trim_end());
        }
        figures.extend(found);
    }
    if figures.is_empty() {
        return Err("nothing has this in its name".into());
    }
    write(arguments, scale, &figures)?;
    Ok(scale == Scale::Short || figures.iter().all(Figure::is_met))
}

/// Writes what was asked for; a full run of everything is the next baseline.
fn write(arguments: &Arguments, scale: Scale, figures: &[Figure]) -> Result<(), Failure> {
    let record = Record::of(figures);
    if let Some(path) = &arguments.raw {
        record.write(path)?;
        println!("raw data: {}", path.display());
    }
    let is_whole = scale == Scale::Full && arguments.only.is_none();
    let path = arguments.out.clone().or_else(|| is_whole.then(record::baseline_file));
    if let Some(path) = path {
        record.without_raw_data().write(&path)?;
        println!("figures: {}", path.display());
    }
    Ok(())
}
