//! Words that are no command line, answered with the right ones. It repeats no word that may be a
//! secret, and looks at no store.

use std::ffi::{OsStr, OsString};

use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::shell::{has_secret, name_of, quoted};
use crate::{command, definition};

/// A longer line is not repeated.
const LONGEST: usize = 300;

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
            in_other_words(first, rest, verbs).or_else(|| verb_is_missing(first, rest, has_tip))
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
    let error = definition::command().try_get_matches_from(words).err();
    let next = match error.as_ref().and_then(|error| error.get(ContextKind::SuggestedArg)) {
        Some(ContextValue::String(similar)) => format!("; did you mean {similar}?"),
        _ => format!(": see tenure {verb} --help."),
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

/// A key in the place of the verb. If a verb is spelled nearly so, clap has said that.
fn verb_is_missing(key: &str, rest: &[String], has_tip: bool) -> Option<String> {
    let key = shown(key).unwrap_or_else(|| "KEY".into());
    if rest.is_empty() {
        return (!has_tip)
            .then(|| format!("did you mean 'tenure run {key} -- CMD', or 'tenure status {key}'?"));
    }
    let end = rest.iter().position(|word| word == "--");
    if has_tip && end.is_none() {
        return None;
    }
    let (options, cmd) = match end {
        Some(at) if at == 0 || rest[0].starts_with('-') => (&rest[..at], &rest[at + 1..]),
        _ => (&[][..], rest),
    };
    let options: String = line(options).map(|line| format!("{line} ")).unwrap_or_default();
    let cmd = line(cmd).unwrap_or_else(|| "CMD".into());
    Some(format!("did you mean 'tenure run {options}{key} -- {cmd}'?"))
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
