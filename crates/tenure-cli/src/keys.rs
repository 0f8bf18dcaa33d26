//! The keys of a run: KEY, or every `-k`. Each key once, in the order in which they are acquired.

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsString;
use std::fmt;

use tenure::Key;

use crate::args::RunArgs;
use crate::exit::Refusal;
use crate::plan::key_of;
use crate::{shell, wrong_use};

/// One key at least.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Keys(Vec<Key>);

impl Keys {
    fn of<'a>(texts: impl Iterator<Item = &'a str>) -> Result<Self, Refusal> {
        let keys = texts.map(key_of).collect::<Result<BTreeSet<_>, _>>()?;
        Ok(Self(keys.into_iter().collect()))
    }

    /// One key.
    pub(crate) fn one(key: Key) -> Self {
        Self(vec![key])
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Key> {
        self.0.iter()
    }

    pub(crate) fn first(&self) -> &Key {
        &self.0[0]
    }

    /// The words that name them on a command line.
    fn words(&self, by_option: bool) -> String {
        let quoted = |key: &Key| shell::quoted(key.as_str());
        if by_option {
            let words: Vec<_> = self.iter().map(|key| format!("-k {}", quoted(key))).collect();
            return words.join(" ");
        }
        quoted(self.first())
    }
}

/// Quoted, for messages.
impl fmt::Display for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted: Vec<_> = self.iter().map(|key| format!("{:?}", key.as_str())).collect();
        f.write_str(&quoted.join(", "))
    }
}

/// The keys and CMD, apart.
#[derive(Debug)]
pub(crate) struct Named {
    pub(crate) keys: Keys,
    /// CMD and its arguments.
    pub(crate) words: Vec<OsString>,
    /// Added to the message if CMD is not found.
    pub(crate) hint: String,
}

impl Named {
    pub(crate) fn of(args: &RunArgs) -> Result<Self, Refusal> {
        let words: Vec<OsString> = args.key.iter().chain(&args.cmd).cloned().collect();
        if args.keys.is_empty() {
            let (key, words) = words.split_first().ok_or_else(no_cmd)?;
            let key = key.to_str().ok_or_else(|| Refusal::usage("the key is not valid UTF-8"))?;
            let (keys, words) = (Keys::of([key].into_iter())?, words.to_vec());
            let is_option =
                words.first().is_some_and(|word| word.as_encoded_bytes().starts_with(b"-"));
            // A line for a shell has an answer of its own.
            if is_option && !has_separator(&words) && shell::instead_of(&words).is_none() {
                return Err(Refusal::usage(wrong_use::no_such_option(&verb(), key, &words[0])));
            }
            let hint = hint_for(&keys, 1, false, &words);
            return Ok(Self { keys, words, hint });
        }
        if words.is_empty() || !is_separated(&words) {
            return Err(no_cmd());
        }
        let keys = Keys::of(args.keys.iter().map(String::as_str))?;
        let hint = hint_for(&keys, 2 * args.keys.len(), true, &words);
        Ok(Self { keys, words, hint })
    }
}

fn no_cmd() -> Refusal {
    Refusal::usage(
        "with -k, no KEY is given, and CMD stands behind \"--\": tenure run -k KEY -k KEY -- CMD",
    )
}

/// Whether these last words stand behind a `--`.
fn is_separated(words: &[OsString]) -> bool {
    let typed: Vec<OsString> = env::args_os().collect();
    let before = typed.len().saturating_sub(words.len());
    typed.get(before.saturating_sub(1)).is_some_and(|word| word == "--")
}

/// Whether a `--` stands anywhere before these last words.
fn has_separator(words: &[OsString]) -> bool {
    let count = env::args_os().count().saturating_sub(words.len());
    env::args_os().take(count).any(|word| word == "--")
}

fn verb() -> String {
    env::args().nth(1).unwrap_or_default()
}

/// A hint for a CMD that was not found, if it looks like words for a shell.
/// `typed` is the number of words that name the keys.
fn hint_for(keys: &Keys, typed: usize, by_option: bool, words: &[OsString]) -> String {
    let separated = is_separated(words);
    let verb = verb();
    let before = env::args_os().count().saturating_sub(words.len() + usize::from(separated));
    // Options are not repeated: a store's URL may carry a password.
    let options = if before > 2 + typed { " [OPTIONS]" } else { "" };
    if let Some(instead) = shell::instead_of(words) {
        let keys = keys.words(by_option);
        return format!(
            "; no shell is involved: use {instead}, so: tenure {verb}{options} {keys} -- {instead}"
        );
    }
    String::new()
}
