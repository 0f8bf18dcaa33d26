//! `tenure`: run a command under a lock, and see who holds what.
//!
//! ```text
//! args     what was typed                    sentry   CMD's parent, ends CMD's family in time
//! plan     what will be done; all refusals   watch    when the family has to end
//! run      the flow: wait, hold, release     family   CMD and all that descends from it
//! wait     until the lock is held            post     a sentry as `tenure` sees it
//! hold     until CMD has ended               link     what both say to each other
//! look     status and list                   relay    signals on their way to CMD
//!                                            job      one shell job in two process groups
//! ```
//!
//! This file decides which of these a process is, and nothing else.

mod args;
mod child;
mod clock;
mod command;
mod duration;
mod epilogue;
mod exit;
mod family;
mod help;
mod hold;
mod job;
mod link;
mod look;
mod nest;
mod plan;
mod post;
mod procs;
mod progress;
mod relay;
mod report;
mod run;
mod sentry;
mod shell;
mod signals;
mod store;
mod terminal;
mod view;
mod voice;
mod wait;
mod warnings;
mod watch;

use std::ffi::OsString;
use std::process::exit;

use clap::Parser;

use crate::args::{Cli, Verb};
use crate::exit::Exit;
use crate::run::Fate;
use crate::voice::{Level, Voice};

fn main() {
    let words: Vec<OsString> = std::env::args_os().skip(1).collect();
    let code = match words.first().and_then(|word| word.to_str()) {
        Some(sentry::WORD) => as_sentry(words),
        Some(terminal::WORD) => as_foreground_step(words),
        _ => as_tool(),
    };
    exit(code.0.into());
}

fn as_tool() -> Exit {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => {
            // A reader of the help that went away is no error.
            let _ = e.print();
            return if e.use_stderr() { Exit::USAGE } else { Exit::SUCCESS };
        }
    };
    let done = match cli.verb {
        Verb::Run(args) => run::run(*args),
        Verb::Status(args) => look::status(&args).map(Fate::Exit),
        Verb::List(args) => look::list(&args).map(Fate::Exit),
    };
    match done {
        Ok(Fate::Exit(code)) => code,
        Ok(Fate::Interrupt { whole_job }) => {
            signals::die_of_interrupt(whole_job);
            Exit::of_signal(2)
        }
        Err(refusal) => {
            Voice(Level::Quiet).error(&refusal.message);
            refusal.exit
        }
    }
}

fn as_sentry(words: Vec<OsString>) -> Exit {
    match sentry::main(words.into_iter().skip(1).collect()) {
        Ok(()) => Exit::SUCCESS,
        Err(e) => {
            Voice(Level::Quiet).error(format!("the sentry, which tenure run starts: {e}"));
            Exit::INTERNAL
        }
    }
}

fn as_foreground_step(words: Vec<OsString>) -> Exit {
    let Err(e) = terminal::main(words.into_iter().skip(1).collect());
    Voice(Level::Quiet).error(format!("cannot run CMD: {e}"));
    match e.kind() {
        std::io::ErrorKind::NotFound => Exit::NOT_FOUND,
        _ => Exit::NOT_EXECUTABLE,
    }
}
