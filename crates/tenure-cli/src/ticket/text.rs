//! The ticket that a verb is about: a word of the command line, the variable `TENURE_TICKET`, or a
//! line on stdin. It is a secret of the job, so no message repeats it.

use std::env;
use std::io::{self, Read};

use tenure::Ticket;

use crate::exit::Refusal;

/// The variable with the ticket of this job.
pub(crate) const VARIABLE: &str = "TENURE_TICKET";

/// The most bytes that are read from stdin: more than any ticket has.
const LONGEST: u64 = 4096;

/// Reads the ticket for `verb`.
pub(crate) fn ticket(word: Option<&str>, verb: &str) -> Result<Ticket, Refusal> {
    let (text, from) = match word {
        Some("-") => (from_stdin()?, "stdin"),
        Some(word) => (word.to_owned(), "TICKET"),
        None => (from_environment(verb)?, VARIABLE),
    };
    let text = text.trim();
    text.parse().map_err(|invalid| {
        let looks_like_one = text.starts_with("tenure-ticket") || text.is_empty();
        if looks_like_one {
            let message = format!("{from}: {invalid}; give the whole line of tenure acquire");
            return Refusal::usage(message);
        }
        let shown: String = text.chars().filter(|c| !c.is_control()).take(64).collect();
        let key = crate::shell::quoted(&shown);
        Refusal::usage(format!(
            "{from}: {shown:?} is no ticket, which tenure acquire prints: tenure {verb} TICKET. If \
             it is a key: tenure status {key} shows its holder, and tenure force-release {key} \
             takes it away"
        ))
    })
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
