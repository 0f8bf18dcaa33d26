//! `cargo xtask`: tasks of the project that need more than one line of shell.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it is a command")]

use std::process::ExitCode;

use xtask::Counts;

const USAGE: &str = "usage: cargo xtask TASK

  book     the documents as a book, by mdbook, in target/book/html
  path     the source files and types of ours that one acquire over Redis passes
  counts   the instructions of some paths beside the committed counts; fails if one has grown
           with --write: makes them the committed ones
(the last two need valgrind: tools/valgrind fetches it)";

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let outcome = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["book"] => build_book(),
        ["path"] => xtask::path().map(|path| print!("{path}")),
        ["counts"] => check_counts(),
        ["counts", "--write"] => write_counts(),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(64);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("cargo xtask {}: {why}", arguments.join(" "));
            ExitCode::FAILURE
        }
    }
}

fn build_book() -> Result<(), String> {
    let place = xtask::root().join("target/book");
    print!("{}", xtask::book(&place)?);
    Ok(())
}

fn check_counts() -> Result<(), String> {
    let committed = Counts::committed()?.ok_or("no counts are committed")?;
    let comparison = xtask::counts()?.beside(&committed);
    print!("{comparison}");
    if comparison.is_refused() { Err("a count has grown".into()) } else { Ok(()) }
}

fn write_counts() -> Result<(), String> {
    let counts = xtask::counts()?;
    if let Some(committed) = Counts::committed()? {
        print!("{}", counts.beside(&committed));
    }
    counts.write()
}
