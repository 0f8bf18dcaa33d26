//! Words that are no command line, answered with the right ones. It repeats no word that may be a
//! secret, and looks at no store.

mod option;
mod value;

use std::ffi::{OsStr, OsString};

use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::shell::{has_secret, name_of, quoted};
use crate::{command, definition};

/// A longer line is not repeated.
const LONGEST: usize = 300;

/// A shorter word of another program is known only if it is spelled right.
const SLIP_MIN: usize = 4;

/// Any of these words, and the verbs with the line to type.
type Translation = (&'static [&'static str], &'static [(&'static str, &'static str)]);

/// Words of other programs for a verb's work. KEY stands for the word behind. Only the lines of
/// verbs that exist are shown.
const OTHERS: [Translation; 10] = [
    (
        &["lock", "take", "grab", "mutex"],
        &[("run", "tenure run KEY -- CMD"), ("acquire", "tenure acquire KEY")],
    ),
    (&["exec", "with", "flock"], &[("run", "tenure run KEY -- CMD")]),
    (
        &["unlock", "free", "break", "delete", "del", "rm"],
        &[
            ("release", "tenure release TICKET"),
            ("force-release", "tenure force-release KEY"),
            ("status", "tenure status KEY"),
        ],
    ),
    (&["ls", "ps", "keys", "show-all"], &[("list", "tenure list")]),
    (&["who", "show", "info", "get", "inspect", "holder"], &[("status", "tenure status KEY")]),
    (&["semaphore", "sem"], &[("run", "tenure run --permits N KEY -- CMD")]),
    (&["shared", "read", "rlock", "rdlock"], &[("run", "tenure run --shared KEY -- CMD")]),
    (&["lead", "leader", "election", "campaign"], &[("elect", "tenure elect KEY -- CMD")]),
    (&["cron", "every"], &[("once", "tenure once --every 5m KEY -- CMD")]),
    (&["version"], &[("help", "tenure --version")]),
];

/// clap's message as one of ours, with one more tip where there is one.
pub(crate) fn message(error: &clap::Error, words: &[OsString], command: &Command) -> String {
    let text = error.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text).trim_end();
    let words: Vec<String> = words.iter().map(|w| w.to_string_lossy().into_owned()).collect();
    let ours = value::message(error, text, &words);
    if let Some(message) = ours.or_else(|| option::message(error, text, &words)) {
        return message;
    }
    let has_tip = text.contains("\n  tip: ");
    let Some(tip) = tip(error, &words, &definition::verbs(command), has_tip) else {
        return text.to_owned();
    };
    let at = text.find("\n\nUsage:").unwrap_or(text.len());
    format!("{}\n\n  tip: {tip}{}", &text[..at], &text[at..])
}

fn tip(error: &clap::Error, words: &[String], verbs: &[&str], has_tip: bool) -> Option<String> {
    let (first, rest) = words.split_first()?;
    match error.kind() {
        ErrorKind::InvalidSubcommand => {
            let known = in_other_words(first, rest, verbs);
            known.or_else(|| verb_is_wrong(first, rest, verbs, has_tip))
        }
        ErrorKind::UnknownArgument if first.starts_with('-') => {
            Some("options stand behind the verb: 'tenure run [OPTIONS] KEY -- CMD'".into())
        }
        ErrorKind::MissingRequiredArgument if is_missing(error, "<CMD>...") => {
            Some(cmd_is_missing(first, rest))
        }
        _ => None,
    }
}

/// The message about a CMD that begins as an option does, with no `--` before it: of a verb whose
/// options may stand behind KEY too, it is none of them.
pub(crate) fn no_such_option(verb: &str, key: &str, word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let name = name_of(word.split('=').next().unwrap_or_default());
    let words = [command::OWN_NAME, verb, &name];
    let command = definition::command();
    let error = command.clone().try_get_matches_from(words).err();
    let similar = error.zip(command.find_subcommand(verb));
    let similar = similar.and_then(|(error, verb)| option::similar(&error, verb, &name));
    let next = match similar {
        Some(similar) => format!("; did you mean {similar}?"),
        None => format!(": see tenure {verb} --help."),
    };
    let key = shown(key).unwrap_or_else(|| "KEY".into());
    format!(
        "{name} stands where CMD begins, and tenure {verb} has no such option{next} A CMD of \
         this name stands behind \"--\": tenure {verb} {key} -- {name}"
    )
}

fn in_other_words(first: &str, rest: &[String], verbs: &[&str]) -> Option<String> {
    let (_, lines) = OTHERS.iter().find(|(names, _)| names.contains(&first))?;
    let known = lines.iter().filter(|(verb, _)| verbs.contains(verb));
    let key = rest.first().filter(|key| !key.starts_with('-')).and_then(|key| shown(key));
    let key = key.unwrap_or_else(|| "KEY".into());
    let lines: Vec<_> = known.map(|(_, line)| format!("'{}'", line.replace("KEY", &key))).collect();
    (!lines.is_empty()).then(|| format!("did you mean {}?", lines.join(" or ")))
}

/// A slip in the spelling of a verb, or a key in its place. `has_tip`: clap has named a similar
/// verb.
fn verb_is_wrong(first: &str, rest: &[String], verbs: &[&str], has_tip: bool) -> Option<String> {
    let end = rest.iter().position(|word| word == "--");
    // In "KEY -- CMD" the verb is left out.
    if end != Some(0) {
        if has_tip {
            return None;
        }
        if let Some(verb) = verbs.iter().find(|verb| is_one_slip(first, verb)) {
            return Some(format!("a similar subcommand exists: '{verb}'"));
        }
        let mut others = OTHERS.iter().flat_map(|(names, _)| *names);
        let other = others.find(|name| name.len() >= SLIP_MIN && is_one_slip(first, name));
        if let Some(tip) = other.and_then(|name| in_other_words(name, rest, verbs)) {
            return Some(tip);
        }
    }
    match end {
        Some(at) if at > 0 && !rest[0].starts_with('-') => {
            let key = line(&rest[..at]).unwrap_or_else(|| "KEY".into());
            let cmd = line(&rest[at + 1..]).unwrap_or_else(|| "CMD".into());
            Some(format!("did you mean 'tenure run {key} -- {cmd}'?"))
        }
        _ => verb_is_missing(first, rest, end),
    }
}

fn verb_is_missing(key: &str, rest: &[String], end: Option<usize>) -> Option<String> {
    let key = shown(key).unwrap_or_else(|| "KEY".into());
    if rest.is_empty() {
        return Some(format!("did you mean 'tenure run {key} -- CMD', or 'tenure status {key}'?"));
    }
    let (options, cmd) = end.map_or((&[][..], rest), |at| (&rest[..at], &rest[at + 1..]));
    let options: String = line(options).map(|line| format!("{line} ")).unwrap_or_default();
    let cmd = line(cmd).unwrap_or_else(|| "CMD".into());
    Some(format!("did you mean 'tenure run {options}{key} -- {cmd}'?"))
}

/// Whether two neighbours have changed places, or one letter is missing or too many.
fn is_one_slip(typed: &str, name: &str) -> bool {
    let (typed, name): (Vec<_>, Vec<_>) = (typed.chars().collect(), name.chars().collect());
    let at = typed.iter().zip(&name).take_while(|(a, b)| a == b).count();
    let (typed, name) = (&typed[at..], &name[at..]);
    match (typed, name) {
        ([a, b, typed @ ..], [c, d, name @ ..]) if (a, b) == (d, c) && typed == name => true,
        ([_, typed @ ..], _) if typed == name => true,
        (_, [_, name @ ..]) => typed == name,
        _ => false,
    }
}

fn cmd_is_missing(verb: &str, rest: &[String]) -> String {
    if let Some(cmd) = rest.strip_prefix(&["--".to_owned()]) {
        let cmd = line(cmd).unwrap_or_else(|| "CMD".into());
        return format!("the key is missing: 'tenure {verb} KEY -- {cmd}'");
    }
    let rest: Vec<_> = rest.iter().filter(|word| *word != "--").cloned().collect();
    match line(&rest) {
        Some(rest) => format!("behind the key stands a command: 'tenure {verb} {rest} -- CMD'"),
        None => format!("name a key and a command: 'tenure {verb} KEY -- CMD'"),
    }
}

fn is_missing(error: &clap::Error, argument: &str) -> bool {
    match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::Strings(names)) => names.iter().any(|name| name == argument),
        _ => false,
    }
}

/// The words as they are typed; `None` for none, and for those that are better not repeated.
fn line(words: &[String]) -> Option<String> {
    let words: Option<Vec<_>> = words.iter().map(|word| shown(word)).collect();
    words.map(|words| words.join(" ")).filter(|line| !line.is_empty() && line.len() <= LONGEST)
}

fn shown(word: &str) -> Option<String> {
    (!has_secret(word) && !word.chars().any(char::is_control)).then(|| quoted(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message_for(words: &[&str]) -> String {
        let command = definition::command();
        let all = std::iter::once("tenure").chain(words.iter().copied());
        let error = command.clone().try_get_matches_from(all).expect_err("wrong use");
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        message(&error, &words, &command)
    }

    #[test]
    fn wrong_use_is_answered_with_the_right_one() {
        for (words, tip) in [
            (&["nightly", "--", "cmd", "a b"][..], "'tenure run nightly -- cmd 'a b''?"),
            (&["nightly", "cmd", "x"], "'tenure run nightly -- cmd x'?"),
            (&["nightly", "--ttl", "5s", "--", "cmd"], "'tenure run --ttl 5s nightly -- cmd'?"),
            (&["nightly"], "'tenure run nightly -- CMD', or 'tenure status nightly'?"),
            (&["run", "key"], "behind the key stands a command: 'tenure run key -- CMD'"),
            (&["run", "--try", "key", "--"], "'tenure run --try key -- CMD'"),
            (&["run", "--", "cmd"], "the key is missing: 'tenure run KEY -- cmd'"),
            (&["run"], "'tenure run KEY -- CMD'"),
            (&["elect", "role"], "'tenure elect role -- CMD'"),
            (&["lock", "k"], "'tenure run k -- CMD'"),
            (&["unlock", "k"], "'tenure status k'"),
            (&["ls"], "'tenure list'"),
            (&["who", "k"], "'tenure status k'"),
            (&["--ttl", "5s", "run", "k"], "options stand behind the verb"),
            (&["stat", "k"], "a similar subcommand exists: 'status'"),
            (&["status", "--jsno", "k"], "a similar argument exists: '--json'"),
            (&["help", "stroes"], "a similar value exists: 'stores'"),
        ] {
            let message = message_for(words);
            assert!(message.contains("\n  tip: "), "{words:?}: {message}");
            assert!(message.contains(tip), "{words:?}: {message}");
            assert!(!message.starts_with("error"), "{message}");
        }
    }

    /// A wrong verb with a key behind it was taken for a key.
    #[test]
    fn a_slip_in_a_verb_is_answered_with_the_verb_alone() {
        for (words, tip) in [
            (&["rnu", "k", "--", "true"][..], "a similar subcommand exists: 'run'"),
            (&["runn", "k", "true"], "a similar subcommand exists: 'run'"),
            (&["onec", "--every", "5m", "k", "--", "true"], "'once'"),
            (&["elct", "k", "--", "true"], "'elect'"),
            (&["tpo"], "'top'"),
            (&["unlok", "k"], "'tenure status k'"),
            (&["zzz", "k", "--", "true"], "did you mean 'tenure run k -- true'?"),
            (&["zzz", "k", "--ttl", "5s", "--", "c"], "did you mean 'tenure run k --ttl 5s -- c'?"),
        ] {
            let message = message_for(words);
            assert!(message.contains(tip), "{words:?}: {message}");
            assert_eq!(message.matches("  tip: ").count(), 1, "{words:?}: {message}");
            assert!(!message.contains(&format!("'tenure run {}", words[0])), "{message}");
        }
    }

    /// clap's tip was to type '-- -1', which is a key.
    #[test]
    fn a_negative_value_is_refused_as_the_option_s() {
        for (words, option) in [
            (&["run", "--busy-exit", "-1", "k", "--", "c"][..], "--busy-exit"),
            (&["run", "-w", "-1", "k", "--", "c"], "-w"),
            (&["run", "--retry", "-1", "k", "--", "c"], "--retry"),
            (&["run", "--ttl", "-3s", "k", "--", "c"], "--ttl"),
            (&["force-release", "--fence", "-1", "k"], "--fence"),
        ] {
            let message = message_for(words);
            let expected = format!("{option} takes no negative value, such as -");
            assert!(message.starts_with(&expected), "{words:?}: {message}");
            assert!(!message.contains("tip:") && message.contains("Usage:"), "{message}");
        }
        let message = message_for(&["run", "--try", "-1", "k", "--", "c"]);
        assert!(!message.contains("negative"), "--try takes no value: {message}");
    }

    /// clap guessed 'release' for urls, and 'run' for cron.
    #[test]
    fn a_subject_of_help_is_answered_by_what_it_is_about() {
        for (subject, tip) in [
            ("urls", "tip: did you mean 'tenure help stores'?"),
            ("cron", "tip: did you mean 'tenure once --every 5m KEY -- CMD'?"),
            ("codes", "tip: did you mean 'tenure help exit-codes'?"),
            ("aquire", "a similar value exists: 'acquire'"),
            ("zebra", "tip: the topics are stores, environment,"),
        ] {
            let message = message_for(&["help", subject]);
            assert!(message.contains(tip), "{subject}: {message}");
            assert_eq!(message.matches("  tip: ").count(), 1, "{message}");
        }
    }

    /// clap's tip was to type the word behind "--", where it would be KEY.
    #[test]
    fn an_option_that_there_is_not_is_answered_with_the_nearest_one() {
        for (words, similar) in [
            (&["run", "--tyr", "k", "--", "true"][..], Some("--try")),
            (&["run", "--ty", "k", "--", "true"], Some("--try")),
            (&["run", "-tyr", "k", "--", "true"], Some("--try")),
            (&["run", "-try", "k", "--", "-t"], Some("--try")),
            (&["run", "--tll=5s", "k", "--", "true"], Some("--ttl")),
            (&["run", "--lable", "x", "k", "--", "true"], Some("--label")),
            (&["extend", "--tp", "5s", "t"], Some("--to")),
            (&["status", "--jsn", "k"], Some("--json")),
            (&["run", "--zzzz", "k", "--", "true"], None),
            (&["run", "-x", "k", "--", "true"], None),
            (&["status", "--zzzz", "k"], None),
        ] {
            let message = message_for(words);
            let tip = similar.map(|name| format!("\n\n  tip: a similar argument exists: '{name}'"));
            let end = format!("{}\n\nUsage: ", tip.unwrap_or_default());
            assert!(message.contains(&format!("' found{end}")), "{words:?}: {message}");
            assert!(!message.contains("as a value"), "{message}");
        }
    }

    #[test]
    fn no_tip_repeats_a_secret() {
        for words in [
            &["nightly", "--", "PGPASSWORD=s3cret", "psql"][..],
            &["redis://:s3cret@host", "--", "cmd"],
            &["run", "--store", "redis://:s3cret@host", "k"],
        ] {
            let message = message_for(words);
            let (_, tip) = message.split_once("tip: ").expect("a tip");
            assert!(!tip.contains("s3cret"), "{message}");
        }
    }
}
