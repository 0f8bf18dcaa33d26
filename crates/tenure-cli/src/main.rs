//! `tenure`: run a command under a lock, and see who holds what.
//!
//! ```text
//! args     the command line as typed         sentry         CMD's parent, ends it in time
//! plan     the checked run; all refusals     watch          when CMD has to end
//! store    the store that was chosen         process_tree   CMD and all its descendants
//! run      the flow: wait, hold, close       child          CMD as `tenure` sees it
//! keys     the keys that are locked          sentry_client  a sentry as `tenure` sees it
//! lock     all of them, or a part of one     link           the messages between both
//! contact  until the store answers
//! wait     until the lock is held
//! hold     until CMD has ended               line           a line for the shell beside CMD
//! health   whether CMD is healthy            on_lost        the line after a loss
//! report   the result as a line of JSON      relay          signals on their way to CMD
//! inspect  status and list                   job            one shell job in two process groups
//! hindrance  why a store grants nothing new, or may not know of a holder
//! top      the keys on a full screen
//! mcp      the tools for coding agents
//! permits  another number of permits    ticket        a lock between two commands
//! force    a key is taken away           until_free    a wait that takes nothing
//! changes  a line for each change
//! doctor   what endangers locks in a store
//! acl      the least rights at a server
//! changes  a line for each change       keeper        a lock in the background
//! printable  texts of others as a terminal may show them
//! fifo     files to write to, of which one may be a FIFO
//! output   messages on stderr                procs          processes as /proc shows them
//! ```
//!
//! A process is `tenure`, a sentry, or the step that takes the terminal for CMD. This file decides
//! which, and nothing else.

mod acl;
mod args;
mod changes;
mod child;
mod clock;
mod command;
mod contact;
mod definition;
mod doctor;
mod duration;
mod exit;
mod fifo;
mod force;
// The checked-in files have the verbs of all features.
#[cfg(all(test, feature = "mcp", feature = "top"))]
mod generated;
mod health;
mod help;
mod hindrance;
mod hold;
mod inspect;
mod job;
mod keeper;
mod keys;
mod label;
mod limits;
mod line;
mod link;
mod local;
mod lock;
mod log;
#[cfg(feature = "mcp")]
mod mcp;
mod nested;
mod on_lost;
mod output;
mod permits;
mod plan;
mod printable;
mod process_tree;
mod procs;
mod progress;
mod relay;
mod renewals;
mod report;
mod rest;
mod run;
mod sentry;
mod sentry_client;
mod shell;
mod signals;
mod store;
mod terminal;
mod ticket;
mod told;
#[cfg(feature = "top")]
mod top;
mod topics;
mod until_free;
mod users;
mod variables;
mod view;
mod wait;
mod wall;
mod warnings;
mod watch;
mod wrong_use;

use std::ffi::OsString;
use std::io::Write;
use std::process::exit;

use clap::FromArgMatches;
use clap::error::ErrorKind;

use crate::args::{Cli, Verb};
use crate::exit::Exit;
use crate::output::{Level, Output};
use crate::run::Termination;

fn main() {
    let words: Vec<OsString> = std::env::args_os().skip(1).collect();
    let code = match words.first().and_then(|word| word.to_str()) {
        Some(sentry::WORD) => as_sentry(words),
        Some(keeper::WORD) => as_keeper(),
        Some(terminal::WORD) => as_foreground_step(words),
        _ => {
            let code = as_tool(&words);
            ticket::form::fail(&words, code);
            code
        }
    };
    output::drain();
    exit(code.0.into());
}

fn as_tool(words: &[OsString]) -> Exit {
    let mut command = definition::command();
    let program = OsString::from(command::OWN_NAME);
    let parsed = command.try_get_matches_from_mut(std::iter::once(&program).chain(words));
    let cli = match parsed.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(e) => return answer(&e, words, &mut command),
    };
    let done = limits::check_descriptors().and_then(|()| match cli.verb {
        Verb::Run(args) => run::run(*args),
        Verb::Once(args) => run::run((*args).into()),
        Verb::Elect(args) => run::elect(*args),
        Verb::Status(args) => inspect::status(&args).map(Termination::Exit),
        Verb::List(args) => inspect::list(&args).map(Termination::Exit),
        Verb::Acquire(args) => ticket::acquire(&args),
        Verb::Renew(args) => ticket::renew(&args).map(Termination::Exit),
        Verb::Extend(args) => ticket::extend(&args).map(Termination::Exit),
        Verb::Check(args) => ticket::check(&args).map(Termination::Exit),
        Verb::Release(args) => ticket::release(&args).map(Termination::Exit),
        Verb::Hold(args) => keeper::hold(&args),
        Verb::ForceRelease(args) => force::release(&args).map(Termination::Exit),
        Verb::Wait(args) => until_free::wait(&args).map(Termination::Exit),
        Verb::Watch(args) => changes::watch(&args).map(Termination::Exit),
        Verb::Doctor(args) => doctor::examine(&args).map(Termination::Exit),
        Verb::Acl(args) => acl::show(&args).map(Termination::Exit),
        Verb::Permits(args) => permits::change(&args).map(Termination::Exit),
        #[cfg(feature = "top")]
        Verb::Top(args) => top::top(&args),
        Verb::Help(args) => {
            show(&help::text(args.about.as_deref(), &mut command));
            Ok(Termination::Exit(Exit::SUCCESS))
        }
        #[cfg(feature = "mcp")]
        Verb::Mcp(args) => mcp::serve(&args),
    });
    match done {
        Ok(Termination::Exit(code)) => code,
        Ok(Termination::Interrupt { whole_job }) => {
            output::drain();
            signals::die_of_interrupt(whole_job);
            Exit::of_signal(2)
        }
        Err(refusal) => {
            Output(Level::Quiet).fail(refusal.exit, &refusal.message);
            refusal.exit
        }
    }
}

/// Answers words that are no command line, or that ask for help.
fn answer(error: &clap::Error, words: &[OsString], command: &mut clap::Command) -> Exit {
    match error.kind() {
        _ if !error.use_stderr() => {
            show(&error.render().to_string());
            return Exit::SUCCESS;
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand if words.is_empty() => {
            Output(Level::Quiet).text(help::summary(command));
        }
        _ => {
            let message = wrong_use::message(error, words, command);
            Output(Level::Quiet).fail(Exit::USAGE, message);
        }
    }
    Exit::USAGE
}

/// Writes help to stdout. A reader that went away is no error.
fn show(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

fn as_sentry(words: Vec<OsString>) -> Exit {
    match sentry::main(words.into_iter().skip(1).collect()) {
        Ok(()) => Exit::SUCCESS,
        Err(e) => {
            Output(Level::Quiet).error(format!("the sentry, which tenure run starts: {e}"));
            Exit::INTERNAL
        }
    }
}

fn as_keeper() -> Exit {
    keeper::main().unwrap_or_else(|e| {
        Output(Level::Quiet).error(format!("the keeper, which tenure hold starts: {e}"));
        Exit::INTERNAL
    })
}

fn as_foreground_step(words: Vec<OsString>) -> Exit {
    let Err(e) = terminal::main(words.into_iter().skip(1).collect());
    let exit = match e.kind() {
        std::io::ErrorKind::NotFound => Exit::NOT_FOUND,
        _ => Exit::NOT_EXECUTABLE,
    };
    Output(Level::Quiet).fail(exit, format!("cannot run CMD: {e}"));
    exit
}
