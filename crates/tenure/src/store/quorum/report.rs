//! The answers of nodes in words: for errors, for waits in vain, and for inspections.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use crate::protocol::{Blocker, Guarded, Inspection, NodeView, Op, Reply, State, Vote};
use crate::runtime::shown;
use crate::store::{StoreError, StoreErrorClass};

use super::call::vote;
use super::node::Node;
use super::round::{Heard, Word};

/// The answer of every node to one of the steps.
pub(super) fn nodes(nodes: &[Arc<Node>], words: &[Word], step: usize) -> Vec<NodeView> {
    let view = |(node, word): (&Arc<Node>, &Word)| {
        let (answered, said, took) = match word {
            Word::Unasked => (false, "was not asked".into(), Duration::ZERO),
            Word::Awaited(_) => (false, "was not waited for".into(), Duration::ZERO),
            Word::Heard(heard) => {
                let said = match &heard.result {
                    Ok(replies) => replies.get(step).map_or("nothing".into(), of_reply),
                    Err(failure) => {
                        let trouble = if heard.is_silence { node.trouble() } else { None };
                        trouble.unwrap_or_else(|| failure.message.clone())
                    }
                };
                (heard.result.is_ok(), said, heard.took)
            }
        };
        let seen = word.reply(step);
        let holds = matches!(seen, Some(Reply::Inspected(seen)) if !seen.holders.is_empty());
        NodeView { name: Arc::clone(&node.name), answered, holds, said: said.into(), took }
    };
    nodes.iter().zip(words).map(view).collect()
}

/// The same as one line.
pub(super) fn line(views: &[NodeView]) -> String {
    let mut line = String::new();
    for view in views {
        let gap = if line.is_empty() { "" } else { "; " };
        // Writing to memory does not fail.
        let _ = write!(line, "{gap}{}: {} ({})", view.name, view.said, shown(view.took));
    }
    line
}

/// The failure of a call that too few nodes answered, or carried out; `op` is what they were asked.
pub(super) fn failure(
    nodes: &[Arc<Node>],
    words: &[Word],
    step: usize,
    op: Option<&Op>,
) -> StoreError {
    let views = self::nodes(nodes, words, step);
    let answered = views.iter().filter(|view| view.answered).count();
    let (all, needed, line) = (nodes.len(), majority(nodes.len()), line(&views));
    let message = match op {
        // Enough of them answered, and did not agree.
        Some(op) if answered >= needed => {
            let agrees = |word: &&Word| matches!(vote(op, word, step), Vote::For(_));
            let (count, verb) = (words.iter().filter(agrees).count(), verb(op));
            format!("{count} of {all} nodes {verb}, and {needed} are needed: {line}")
        }
        _ => format!("{answered} of {all} nodes answered, and {needed} are needed: {line}"),
    };
    let failures = || words.iter().filter_map(Word::heard).filter_map(failure_of);
    let class = {
        // It may pass if a majority could be had from those that may come back.
        let failed = failures().map(|f| f.class).filter(|class| !class.may_pass());
        let is_refused = |word: &&Word| matches!(word.reply(step), Some(Reply::Refused(_)));
        let refused = words.iter().filter(is_refused).map(|_| StoreErrorClass::Refused);
        let permanent = failed.chain(refused);
        let hopeless = nodes.len() - permanent.clone().count() < majority(nodes.len());
        let first = permanent.clone().next();
        first.filter(|_| hopeless).unwrap_or(StoreErrorClass::Transient)
    };
    let awaited = words.iter().any(|word| matches!(word, Word::Awaited(_)));
    StoreError {
        class,
        message,
        may_have_run: awaited || answered > 0 || failures().any(|f| f.may_have_run),
        source: None,
    }
}

/// The word for a node that carried the step out.
fn verb(op: &Op) -> &'static str {
    match op {
        Op::Acquire(_) | Op::Steal(_) | Op::Begin { .. } => "granted",
        Op::Renew { .. } => "renewed",
        Op::Transfer { .. } => "transferred",
        _ => "did so",
    }
}

fn majority(nodes: usize) -> usize {
    crate::protocol::majority(nodes)
}

fn failure_of(heard: &Heard) -> Option<&StoreError> {
    heard.result.as_ref().err()
}

fn of_reply(reply: &Reply) -> String {
    match reply {
        Reply::Granted { .. } => "granted".into(),
        Reply::Busy { blocker: Some(Blocker { guarded: Some(guarded), .. }), .. } => {
            nothing_new(*guarded)
        }
        Reply::Busy { blocker: Some(by), .. } | Reply::Queued { blocker: Some(by), .. } => {
            format!("held by {} for {}", by.label, shown(by.held_for))
        }
        Reply::Busy { .. } | Reply::Queued { .. } => "held".into(),
        Reply::Mismatch(what) => format!("mismatch: {what}"),
        Reply::Refused(why) | Reply::Full(why) => format!("refused: {why}"),
        Reply::Withdrawn => "withdrawn".into(),
        Reply::Renewed => "renewed".into(),
        Reply::Released => "released".into(),
        Reply::Transferred { .. } => "transferred".into(),
        Reply::Forced { holders } => format!("forced {holders}"),
        Reply::Gone => "has no such lease".into(),
        Reply::Others => "held by another".into(),
        Reply::AlreadyRan(run) => run.to_string(),
        Reply::Finished => "finished".into(),
        Reply::Inspected(seen) => of_inspection(seen),
        other => format!("{other:?}"),
    }
}

fn nothing_new(guarded: Guarded) -> String {
    let left = shown(Duration::from_secs(guarded.left.as_secs() + 1));
    let known_for = shown(guarded.known_for);
    format!("grants nothing new for {left}, since it is known for {known_for} only")
}

fn of_inspection(seen: &Inspection) -> String {
    let state = of_state(seen);
    match seen.guarded {
        Some(guarded) => format!("{state}, but {}", nothing_new(guarded)),
        None => state,
    }
}

fn of_state(seen: &Inspection) -> String {
    match (&seen.state, seen.holders.first()) {
        (_, Some(holder)) => format!("held by {} for {}", holder.label, shown(holder.since)),
        (State::Foreign(what), None) => format!("something else: {what}"),
        (_, None) => "free".into(),
    }
}
