//! The ticket that a verb is about: a word of the command line, the variable `TENURE_TICKET`, or a
//! line on stdin. It is a secret of the job, so no message repeats it.

use std::env;
use std::io::{self, Read};

use tenure::{InvalidTicket, Ticket};

use crate::args::TicketArgs;
use crate::exit::Refusal;
use crate::{shell, store};

/// The variable with the ticket of this job.
pub(crate) const VARIABLE: &str = "TENURE_TICKET";

/// The most bytes that are read from stdin: more than any ticket has.
const LONGEST: u64 = 4096;

/// The least number of colons between a ticket's secret fields and its end.
const COLONS: usize = 4;

/// Reads the ticket for `verb`.
pub(crate) fn ticket(of: &TicketArgs, verb: &str) -> Result<Ticket, Refusal> {
    let (text, from) = match of.ticket.as_deref() {
        Some("-") => (from_stdin()?, "stdin"),
        Some(word) => (word.to_owned(), "TICKET"),
        None => (from_environment(verb)?, VARIABLE),
    };
    // A key may end with a blank.
    let line = text.trim_matches(['\n', '\r']);
    let text = line.trim();
    text.parse().or_else(|_| line.parse()).map_err(|invalid: InvalidTicket| {
        if text.is_empty() {
            let message = format!("{from}: the ticket is empty: did tenure acquire fail?");
            return Refusal::usage(message);
        }
        if looks_like_one(text) {
            let message = format!("{from}: {invalid}; give the whole line of tenure acquire");
            return Refusal::usage(message);
        }
        let shown: String = text.chars().filter(|c| !c.is_control()).take(64).collect();
        let (store, key) = (store::typed(&of.store), shell::quoted(&shown));
        Refusal::usage(format!(
            "{from}: {shown:?} is no ticket, which tenure acquire prints: tenure {verb} TICKET. If \
             it is a key: tenure status{store} {key} shows its holder, and tenure \
             force-release{store} {key} takes it away"
        ))
    })
}

/// A ticket, or the rest of one that still is a secret.
fn looks_like_one(text: &str) -> bool {
    text.starts_with("tenure-ticket") || text.matches(':').count() >= COLONS
}

fn from_stdin() -> Result<String, Refusal> {
    let mut text = String::new();
    let read = io::stdin().take(LONGEST).read_to_string(&mut text);
    read.map_err(|e| Refusal::usage(format!("cannot read a ticket from stdin: {e}")))?;
    Ok(text)
}

fn from_environment(verb: &str) -> Result<String, Refusal> {
    match env::var(VARIABLE) {
        Ok(text) if !text.is_empty() => Ok(text),
        _ => Err(Refusal::usage(format!(
            "no ticket is given, and {VARIABLE} has none: tenure {verb} TICKET, or tenure {verb} - \
             to read it from stdin. tenure acquire KEY prints one"
        ))),
    }
}
