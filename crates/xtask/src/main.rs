//! `cargo xtask`: tasks of the project that need more than one line of shell. It changes no file
//! of the repository.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it is a command")]

use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask TASK

  path   the source files and types of ours that one acquire over Redis passes (needs valgrind)";

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["path"] => match xtask::path() {
            Ok(path) => print!("{path}"),
            Err(why) => {
                eprintln!("cargo xtask path: {why}");
                return ExitCode::FAILURE;
            }
        },
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(64);
        }
    }
    ExitCode::SUCCESS
}
