//! Options that there are not, in place of clap's tips: it proposes to type such a word as a value,
//! and does not know a slip in a short name.

use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use tenure::store::spelling::distance;

use super::is_one_slip;

/// A name with more letters to change is no proposal.
const SLIPS_MAX: usize = 2;

/// The whole text in place of clap's; `None` for every other fault.
pub(super) fn message(error: &clap::Error, text: &str, words: &[String]) -> Option<String> {
    let (first, rest) = words.split_first()?;
    let command = crate::definition::command();
    let verb = command.find_subcommand(first)?;
    let Some(ContextValue::String(typed)) = error.get(ContextKind::InvalidArg) else { return None };
    if error.kind() != ErrorKind::UnknownArgument || !typed.starts_with('-') {
        return None;
    }
    // clap names the first letter of "-tyr".
    let is_typed = |word: &&String| word.starts_with(typed) && !typed.starts_with("--");
    let word = rest.iter().take_while(|word| *word != "--").find(is_typed).unwrap_or(typed);
    let said = text.split("\n\n").next()?;
    let usage = text.find("\n\nUsage:").map_or("", |at| &text[at..]);
    let tip = similar(error, verb, word).map(|name| format!("a similar argument exists: '{name}'"));
    let tip = tip.map(|tip| format!("\n\n  tip: {tip}")).unwrap_or_default();
    Some(format!("{said}{tip}{usage}"))
}

/// The option of a verb that was meant, most likely: the nearest, or else a guess of clap.
pub(super) fn similar(error: &clap::Error, verb: &Command, typed: &str) -> Option<String> {
    let guess = match error.get(ContextKind::SuggestedArg) {
        Some(ContextValue::String(guess)) => Some(guess.clone()),
        _ => None,
    };
    nearest(verb, typed).or(guess)
}

fn nearest(verb: &Command, typed: &str) -> Option<String> {
    let typed = typed.trim_start_matches('-').split('=').next()?;
    let letters = typed.chars().count();
    let slips = |name: &&str| if is_one_slip(typed, name) { 1 } else { distance(typed, name) };
    let names = verb.get_arguments().filter(|arg| !arg.is_hide_set()).filter_map(|a| a.get_long());
    let near = names.filter(|name| slips(name) <= SLIPS_MAX.min(letters / 2)).min_by_key(slips);
    near.map(|name| format!("--{name}"))
}
