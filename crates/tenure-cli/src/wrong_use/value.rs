//! Wrong values, for which clap's own tip is no help: a negative number, and a subject of `tenure
//! help` that there is not.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command};

use super::{in_other_words, shown};
use crate::topics;
use tenure::store::spelling::distance;

/// Other words for a topic.
const OF_TOPICS: [(&str, &[&str]); 6] = [
    ("stores", &["store", "url", "urls", "uri", "uris", "redis", "valkey", "sqlite", "quorum"]),
    ("environment", &["env", "variable", "variables", "vars"]),
    ("exit-codes", &["exit", "exits", "code", "codes", "exitcodes", "status-codes"]),
    ("kinds", &["kind", "types", "locks"]),
    ("durations", &["duration", "time", "times", "units"]),
    ("signals", &["signal", "kill", "trap"]),
];
/// A guess of clap with more letters to change is none.
const FAR: usize = 3;

/// The whole text in place of clap's, with no tip of clap's; `None` for every other fault.
pub(super) fn message(error: &clap::Error, text: &str, words: &[String]) -> Option<String> {
    let (first, rest) = words.split_first()?;
    match error.kind() {
        ErrorKind::UnknownArgument => {
            let command = crate::definition::command();
            let fault = negative(command.find_subcommand(first)?, rest)?;
            let usage = text.find("\n\nUsage:").map_or("", |at| &text[at..]);
            Some(format!("{fault}{usage}"))
        }
        ErrorKind::InvalidValue if first == "help" => subject(error, text, rest.first()?),
        _ => None,
    }
}

/// A negative number behind an option that takes a value.
fn negative(verb: &Command, words: &[String]) -> Option<String> {
    let is_negative = |word: &str| {
        let number = word.strip_prefix('-');
        number.is_some_and(|number| number.starts_with(|c: char| c.is_ascii_digit()))
    };
    let typed = words.iter().take_while(|word| *word != "--");
    let mut pairs = typed.clone().zip(typed.skip(1));
    let (option, number) = pairs.find(|(option, number)| {
        let takes_value = |arg: &Arg| arg.get_action().takes_values() && is_named(arg, option);
        is_negative(number) && verb.get_arguments().any(takes_value)
    })?;
    Some(format!("{option} takes no negative value, such as {}", shown(number)?))
}

fn is_named(arg: &Arg, word: &str) -> bool {
    match word.strip_prefix("--") {
        Some(name) => arg.get_long() == Some(name),
        None => arg.get_short().is_some_and(|short| word == format!("-{short}")),
    }
}

/// A subject of `tenure help` that there is not. The fault is clap's, without a guess that is far
/// from what was typed.
fn subject(error: &clap::Error, text: &str, typed: &str) -> Option<String> {
    let said = text.split("\n\n").next()?;
    let topic = OF_TOPICS.iter().find(|(_, words)| words.contains(&typed));
    let command = crate::definition::command();
    let verbs = crate::definition::verbs(&command);
    let tip = match topic {
        Some((name, _)) => format!("did you mean 'tenure help {name}'?"),
        None => match (in_other_words(typed, &[], &verbs), guess(error)) {
            (Some(tip), _) => tip,
            (None, Some(near)) if distance(typed, near) < FAR => return None,
            _ => {
                let names = topics::ALL.map(|topic| topic.name).join(", ");
                format!("the topics are {names}; 'tenure --help' lists the verbs")
            }
        },
    };
    Some(format!("{said}\n\n  tip: {tip}\n\nFor more information, try '--help'."))
}

fn guess(error: &clap::Error) -> Option<&str> {
    match error.get(ContextKind::SuggestedValue) {
        Some(ContextValue::String(near)) => Some(near),
        _ => None,
    }
}
