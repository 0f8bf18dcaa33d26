//! Tenure's figures, each with its limit beside it, measured in one run:
//!
//! ```text
//! cargo run --release -p tenure-bench
//! ```
//!
//! Contenders alternate within the run. The raw data go to `bench/results/`. The program ends
//! with 1 if a limit is missed. `--short` runs in seconds and only shows that everything works.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it is a program")]
#![allow(clippy::disallowed_methods, reason = "it measures the machine's own time")]

mod counting;
mod crew;
mod figure;
mod measures;
mod record;
mod sample;

use std::alloc::System;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

use figure::{Figure, Scale};

/// All that is measured runs under this counter, which costs a few nanoseconds per allocation.
#[global_allocator]
static HEAP: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Measures Tenure and prints each figure with its limit.
#[derive(Debug, Parser)]
struct Arguments {
    /// Run in seconds, check no limit, write no results: only show that everything works.
    #[arg(long)]
    short: bool,
    /// Also time a clean build of the README's first command; takes minutes.
    #[arg(long)]
    clean_build: bool,
    /// Measure only what has this in its name.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Where the raw data go [default: bench/results].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(subcommand)]
    part: Option<Part>,
}

/// What this program does when it has started itself as another process.
#[derive(Debug, Subcommand)]
enum Part {
    /// One of the processes of a measurement.
    #[command(hide = true)]
    Member(crew::Member),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match &arguments.part {
        Some(Part::Member(member)) => member.run().map(|()| true),
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
    let mut figures = Vec::new();
    for measure in measures::ALL {
        let wanted = arguments.only.as_ref().is_none_or(|text| measure.name.contains(text));
        if !wanted || (measure.on_request && !arguments.clean_build) {
            continue;
        }
        eprintln!("measuring {} ...", measure.name);
        let found = (measure.run)(scale).map_err(|e| format!("{}: {e}", measure.name))?;
        found.iter().for_each(|figure| println!("{figure}"));
        figures.extend(found);
    }
    if figures.is_empty() {
        return Err("nothing has this in its name".into());
    }
    if let Some(directory) = record::directory(arguments.out.as_ref(), scale) {
        let path = record::write(&directory, &figures)?;
        println!("raw data: {}", path.display());
    }
    Ok(scale == Scale::Short || figures.iter().all(Figure::is_met))
}
