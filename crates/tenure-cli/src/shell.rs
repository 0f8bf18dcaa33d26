//! Words for a shell where CMD is expected: `"echo a && echo b"`, `-c LINE`, `FOO=bar env`, `cd /`.
//! No shell is involved, so they name no program. Here they become the line to type instead. They
//! are looked at only when CMD was not found, and nothing of them is ever run.

use std::ffi::OsString;

/// Words that only a shell knows: its own commands, and those of its grammar.
const WORDS: [&str; 51] = [
    "!", ".", "[[", "alias", "bg", "break", "builtin", "case", "cd", "command", "continue",
    "declare", "dirs", "disown", "eval", "exec", "exit", "export", "fc", "fg", "for", "function",
    "getopts", "hash", "history", "if", "jobs", "let", "local", "popd", "pushd", "read",
    "readonly", "return", "set", "shift", "shopt", "source", "time", "times", "trap", "type",
    "typeset", "ulimit", "umask", "unalias", "unset", "until", "wait", "while", "{",
];
/// Aliases that many interactive shells have.
const ALIASES: [&str; 5] = ["l", "la", "ll", "lsl", ".."];
/// Operators between blanks that join commands, or redirect their input and output.
const OPERATORS: [&str; 14] =
    ["&&", "||", "|", ";", "&", ">", ">>", "<", "2>", "2>>", "2>&1", "&>", "|&", ">&2"];
/// Parts of a variable's name: its value is a secret and is not repeated.
const SECRETS: [&str; 7] = ["PASS", "PWD", "SECRET", "TOKEN", "KEY", "CREDENTIAL", "AUTH"];
/// A longer line is not repeated.
const LONGEST: usize = 500;

/// The words that start a shell with what `words` seem to mean; `None` if they name a program.
pub(crate) fn instead_of(words: &[OsString]) -> Option<String> {
    let words: Option<Vec<&str>> = words.iter().map(|word| word.to_str()).collect();
    let words = words?;
    let (first, rest) = words.split_first()?;
    let in_shell = |line: &str| format!("sh -c {}", quoted(line));
    let started = if is_option_with_line(first) && !rest.is_empty() {
        let all: Vec<String> = words.iter().map(|word| quoted(word)).collect();
        format!("sh {}", all.join(" "))
    } else if ALIASES.contains(first) {
        format!("bash -ic {}", quoted(&joined(first, rest)))
    } else if WORDS.contains(first) || needs_shell(first) {
        in_shell(&joined(first, rest))
    } else {
        let (name, value) = assignment(first)?;
        in_shell(&joined(&format!("{name}={}", shown(name, value)), rest))
    };
    let fits = started.len() <= LONGEST && !started.chars().any(char::is_control);
    let fits = fits && !words.iter().any(|word| word.contains(' ') && has_secret(word));
    Some(if fits { started } else { "sh -c '…'".into() })
}

/// CMD's name for a message: without the value of an assignment, which may be a secret.
pub(crate) fn name_of(word: &str) -> String {
    match assignment(word) {
        Some((name, _)) => format!("{name}=…"),
        None if has_secret(word) => "a line with a password".into(),
        None => word.chars().map(|c| if c.is_control() { ' ' } else { c }).collect(),
    }
}

/// A word as it is typed into a shell, so that the shell leaves it as it is.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_@%+=:,./-".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.into();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// `-c`, perhaps with other letters: the option of a shell that takes a line.
fn is_option_with_line(word: &str) -> bool {
    let letters = word.strip_prefix('-').unwrap_or_default();
    letters.ends_with('c') && letters.len() <= 4 && letters.chars().all(|c| c.is_ascii_lowercase())
}

/// Blanks, or characters with a meaning for a shell.
fn needs_shell(word: &str) -> bool {
    word.starts_with('~') || word.contains(|c: char| c.is_whitespace() || "|&;<>()$`*?".contains(c))
}

/// `NAME=value`.
fn assignment(word: &str) -> Option<(&str, &str)> {
    let (name, value) = word.split_once('=')?;
    let is_letter = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let is_name = name.chars().all(is_letter) && !name.starts_with(|c: char| c.is_ascii_digit());
    (is_name && !name.is_empty()).then_some((name, value))
}

/// Whether a line seems to carry a password.
pub(crate) fn has_secret(line: &str) -> bool {
    line.split(char::is_whitespace).any(|word| {
        let name = word.split_once('=').map(|(name, _)| name.to_ascii_uppercase());
        let is_named = name.is_some_and(|name| SECRETS.iter().any(|part| name.contains(part)));
        is_named || (word.contains("://") && word.contains('@'))
    })
}

fn shown(name: &str, value: &str) -> String {
    let name = name.to_ascii_uppercase();
    let is_secret = SECRETS.iter().any(|part| name.contains(part)) || value.contains("://");
    if is_secret { "…".into() } else { quoted(value) }
}

/// The first word as it is, and the rest as words of the line.
fn joined(first: &str, rest: &[&str]) -> String {
    let rest = rest.iter().map(|word| match assignment(word) {
        _ if OPERATORS.contains(word) => (*word).to_owned(),
        Some((name, value)) => format!("{name}={}", shown(name, value)),
        None => quoted(word),
    });
    std::iter::once(first.to_owned()).chain(rest).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(words: &[&str]) -> Option<String> {
        instead_of(&words.iter().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn what_is_meant_for_a_shell_becomes_a_line_for_one() {
        for (words, expected) in [
            (&["echo a && echo b"][..], "sh -c 'echo a && echo b'"),
            (&["ls | wc"], "sh -c 'ls | wc'"),
            (&["echo hi > file"], "sh -c 'echo hi > file'"),
            (&["./*.sh"], "sh -c './*.sh'"),
            (&["~/bin/job", "a b"], r"sh -c '~/bin/job '\''a b'\'''"),
            (&["$HOME/job"], "sh -c '$HOME/job'"),
            (&["-c", "echo hi"], "sh -c 'echo hi'"),
            (&["-ec", "echo hi", "x"], "sh -ec 'echo hi' x"),
            (&["FOO=bar", "env"], "sh -c 'FOO=bar env'"),
            (&["A=1", "B=x y", "env"], r"sh -c 'A=1 B='\''x y'\'' env'"),
            (&["PGPASSWORD=hunter2", "psql"], "sh -c 'PGPASSWORD=… psql'"),
            (&["A=1", "API_TOKEN=hunter2", "curl"], "sh -c 'A=1 API_TOKEN=… curl'"),
            (&["cd", "/tmp"], "sh -c 'cd /tmp'"),
            (&["cd", "/tmp", "&&", "ls", ">", "f"], "sh -c 'cd /tmp && ls > f'"),
            (&["source", "env.sh"], "sh -c 'source env.sh'"),
            (&["ulimit", "-n", "99"], "sh -c 'ulimit -n 99'"),
            (&["ll"], "bash -ic ll"),
            (&["set -e\nls"], "sh -c '…'"),
            (&["PGPASSWORD=hunter2 psql"], "sh -c '…'"),
            (&["-c", "psql postgres://ada:hunter2@host"], "sh -c '…'"),
        ] {
            assert_eq!(of(words).as_deref(), Some(expected), "{words:?}");
        }
    }

    #[test]
    fn a_program_stays_one() {
        for words in
            [&["no-such-command"][..], &["/no/such/file", "a b"], &["-x"], &["=", "a"], &[]]
        {
            assert_eq!(of(words), None, "{words:?}");
        }
        assert_eq!(name_of("PGPASSWORD=hunter2"), "PGPASSWORD=…");
        assert_eq!(name_of("psql --password=hunter2"), "a line with a password");
        assert_eq!(name_of("a\nb"), "a b");
    }

    #[test]
    fn a_line_means_what_was_typed() {
        let words = ["printf", "%s|", "a b", "it's", "$HOME", "*", "", "a\\b", "~"];
        let line = words.map(quoted).join(" ");
        let output = std::process::Command::new("sh").args(["-c", &line]).output();
        let stdout = String::from_utf8(output.expect("sh runs").stdout).expect("text");
        assert_eq!(stdout, words[2..].join("|") + "|", "{line}");
    }
}
