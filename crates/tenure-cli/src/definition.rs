//! The definition of the command line: what the arguments' types say, and the parts that are the
//! same for all verbs. The help, the completions, the man pages and the command reference are made
//! from it.

use clap::builder::{PossibleValuesParser, StyledStr};
use clap::{Command, CommandFactory};

use crate::args::Cli;
use crate::topics;

/// The whole definition.
pub(crate) fn command() -> Command {
    let command = Cli::command();
    let topics = topics::ALL.iter().map(|topic| topic.name);
    let subjects: Vec<&'static str> = verbs(&command).into_iter().chain(topics).collect();
    let behind_verb = format!("More:\n  tenure help {}", names_of_topics());
    let command = with_footers(command, &list_of_topics());
    let command = command.mut_subcommands(|verb| with_footers(verb, &behind_verb));
    command.mut_subcommand("help", |help| {
        help.mut_arg("about", |about| {
            about.value_parser(PossibleValuesParser::new(subjects)).hide_possible_values(true)
        })
    })
}

/// The names of the verbs. The definition keeps such names for as long as the process lives.
pub(crate) fn verbs(command: &Command) -> Vec<&'static str> {
    let shown = command.get_subcommands().filter(|verb| !verb.is_hide_set());
    shown.map(|verb| &*verb.get_name().to_owned().leak()).collect()
}

/// Adds to the examples of a verb where more is said.
fn with_footers(command: Command, long: &str) -> Command {
    let behind = |text: Option<&StyledStr>, footer: &str| {
        let text = text.map(|text| format!("{text}\n\n")).unwrap_or_default();
        text + footer
    };
    let short = format!("See --help for all of it, and:\n  tenure help {}", names_of_topics());
    let short = behind(command.get_after_help(), &short);
    let long = behind(command.get_after_long_help(), long);
    command.after_help(short).after_long_help(long)
}

fn names_of_topics() -> String {
    topics::ALL.map(|topic| topic.name).join("|")
}

fn list_of_topics() -> String {
    let lines = topics::ALL.map(|topic| format!("\n  {:<13}{}", topic.name, topic.about));
    format!("Topics, for 'tenure help TOPIC':{}", lines.concat())
}
