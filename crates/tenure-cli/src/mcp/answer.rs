//! The answers of the tools: structured for programs, and the same as a text for the model. Times
//! are those of this host's clock (UTC). The fields are a contract: more may come, none goes.

use std::fmt::Write;
use std::time::{Duration, SystemTime};

use rmcp::model::{CallToolResult, ContentBlock};
use schemars::JsonSchema;
use serde::Serialize;
use tenure::protocol::{HolderView, Inspection, State};
use tenure::{Error, ErrorKind, Key};

use crate::duration::show;
use crate::hindrance::{self, Hindrance};

/// An answer, and the locks that this session lost since the last one.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Told<T> {
    #[serde(flatten)]
    answer: T,
    /// Locks of this session that were lost since the last answer. Stop the work they protected.
    lost: Vec<Loss>,
}

/// An answer that knows its own text.
pub(super) trait Answer: Serialize {
    fn text(&self) -> String;
}

/// The result of a call. Exactly the failures are errors.
pub(super) fn result<T: Answer>(answered: Result<T, Failure>, lost: Vec<Loss>) -> CallToolResult {
    let mut text = lost.iter().map(|loss| loss.text() + "\n").collect::<String>();
    let (value, is_error) = match answered {
        Ok(answer) => {
            text += &answer.text();
            (value(Told { answer, lost }), false)
        }
        Err(failure) => {
            text += &failure.text();
            (value(Told { answer: failure, lost }), true)
        }
    };
    let mut result = CallToolResult::success(vec![ContentBlock::text(text)]);
    result.structured_content = Some(value);
    result.is_error = Some(is_error);
    result
}

fn value<T: Serialize>(answer: Told<T>) -> serde_json::Value {
    serde_json::to_value(answer).expect("text and numbers are JSON")
}

/// A lock that this session held and holds no more.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(super) struct Loss {
    pub(super) key: String,
    pub(super) fence: u64,
    /// The name under which it was held.
    pub(super) name: String,
    pub(super) lost_at: String,
    pub(super) reason: String,
}

impl Loss {
    pub(super) fn text(&self) -> String {
        let Self { key, fence, lost_at, reason, .. } = self;
        format!(
            "LOST: you do not hold {key:?} (fence {fence}) any more, since {lost_at}: {reason}. \
             Stop the work it protected, and look at what others may have changed meanwhile."
        )
    }
}

/// A holder of a key.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(super) struct Holder {
    /// The name that it gave itself: shown, not proven.
    pub(super) name: String,
    /// The fencing token: a number that grows with every new grant of the key.
    pub(super) fence: u64,
    pub(super) since: String,
    pub(super) held_for: String,
    /// The end of its lease at the store, unless it renews or releases it before. The holder counts
    /// with an earlier end, since clocks differ.
    pub(super) until: String,
    pub(super) time_left: String,
    /// Whether it is this very session.
    pub(super) is_this_session: bool,
}

impl Holder {
    fn text(&self) -> String {
        let Self { name, fence, since, held_for, until, .. } = self;
        let this = if self.is_this_session { "this session, as " } else { "" };
        format!(
            "held by {this}{name} since {since} (for {held_for}), until {until} unless renewed, \
             fence {fence}"
        )
    }
}

/// One that waits in line.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(super) struct Waiter {
    pub(super) name: String,
    pub(super) waiting_for: String,
}

/// A key as others see it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(super) struct Seen {
    pub(super) key: String,
    /// "free", "held", or "foreign": something that is no lock of Tenure's.
    pub(super) state: &'static str,
    pub(super) holders: Vec<Holder>,
    /// Those that wait, the next first.
    pub(super) waiters: Vec<Waiter>,
    /// More about the state, if there is more.
    pub(super) note: Option<String>,
    /// Why the store grants nothing new, or may not know of a holder; null: neither is so.
    pub(super) hindrance: Option<Hindrance>,
    /// Whether a "free" key may be held all the same, since the store may not know of a holder.
    pub(super) may_be_held: bool,
}

impl Seen {
    /// `now` is the wall clock in microseconds; `is_ours` says which fences this session holds.
    pub(super) fn of(
        key: &Key,
        seen: &Inspection,
        now: u64,
        is_ours: impl Fn(u64) -> bool,
    ) -> Self {
        let (state, foreign) = match &seen.state {
            State::Free => ("free", None),
            State::Held => ("held", None),
            State::Foreign(what) => ("foreign", Some(what.to_string())),
            // A state that a later library knows, and this tool does not.
            _ => ("foreign", None),
        };
        let waiters = seen.waiters.iter().map(|waiter| Waiter {
            name: waiter.label.to_string(),
            waiting_for: show(waiter.waiting),
        });
        let hindrance = Hindrance::of(seen, now);
        Self {
            key: key.to_string(),
            state,
            holders: seen.holders.iter().map(|seen| holder(seen, now, &is_ours)).collect(),
            waiters: waiters.collect(),
            note: foreign.or_else(|| hindrance.as_ref().map(|hindrance| hindrance.text.clone())),
            may_be_held: hindrance::may_be_held(seen),
            hindrance,
        }
    }

    /// Whether nobody holds it, for certain.
    pub(super) fn is_free(&self) -> bool {
        self.state == "free" && !self.may_be_held
    }

    /// The holders, or that there are none; after the key's name.
    pub(super) fn told(&self) -> String {
        let mut text = self.holders.iter().map(Holder::text).collect::<Vec<_>>().join("; ");
        if self.holders.is_empty() {
            text = match self.state {
                "foreign" => "taken by something that is no lock of Tenure's".into(),
                _ if self.may_be_held => {
                    "not known to be held, but its store may not know of a holder".into()
                }
                _ => "free: nobody holds it".into(),
            };
        }
        match self.waiters.len() {
            0 => {}
            1 => text += "; one waits",
            many => drop(write!(text, "; {many} wait")),
        }
        text.extend(self.note.iter().map(|note| format!("; {note}")));
        text
    }
}

fn holder(seen: &HolderView, now: u64, is_ours: impl Fn(u64) -> bool) -> Holder {
    let fence = seen.fence.get();
    Holder {
        name: seen.label.to_string(),
        fence,
        since: clock(now, seen.since, true),
        held_for: show(seen.since),
        until: clock(now, seen.remaining, false),
        time_left: show(seen.remaining),
        is_this_session: is_ours(fence),
    }
}

/// The time of day (UTC) at `span` before or after `now`, which is in microseconds since 1970.
pub(super) fn clock(now: u64, span: Duration, is_past: bool) -> String {
    let now = Duration::from_micros(now);
    let at = if is_past { now.saturating_sub(span) } else { now.saturating_add(span) };
    humantime::format_rfc3339_seconds(SystemTime::UNIX_EPOCH + at).to_string()
}

/// A lock that this session holds.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Held {
    pub(super) key: String,
    /// The fencing token of this grant: a number that grows with every new grant of the key.
    pub(super) fence: u64,
    /// The name that others see.
    pub(super) name: String,
    /// Until then nobody else holds it, unless it is renewed or released before. The store ends the
    /// lease a little later, and shows that end to others, since clocks differ.
    pub(super) until: String,
    pub(super) time_left: String,
    /// By which a later session, or another program, renews or releases it, if it stays after this
    /// session. A secret among those who may do so.
    pub(super) ticket: Option<String>,
    /// The next thing to do.
    pub(super) next: String,
    /// Whether it was held before.
    #[serde(skip)]
    pub(super) is_renewed: bool,
}

impl Answer for Held {
    fn text(&self) -> String {
        let Self { key, fence, name, until, time_left, next, .. } = self;
        let verb = if self.is_renewed { "RENEWED" } else { "ACQUIRED" };
        let mut text = format!(
            "{verb}: you hold {key:?} as {name}, until {until} ({time_left} left), fence {fence}."
        );
        text += " ";
        text += next;
        text.extend(self.ticket.iter().map(|ticket| format!("\nTicket: {ticket}")));
        text
    }
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Released {
    pub(super) key: String,
    pub(super) released: bool,
    pub(super) next: String,
}

impl Answer for Released {
    fn text(&self) -> String {
        format!("RELEASED: {:?} is given back. {}", self.key, self.next)
    }
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Looked {
    #[serde(flatten)]
    pub(super) seen: Seen,
    /// The store, and how far its locks reach.
    pub(super) store: String,
    pub(super) next: String,
}

impl Answer for Looked {
    fn text(&self) -> String {
        let Self { seen, store, next } = self;
        format!("{:?} is {}. Store: {store}. {next}", seen.key, seen.told())
    }
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Listed {
    /// The keys in use, in order.
    pub(super) keys: Vec<Seen>,
    /// There are more keys behind this one: ask again with `after`.
    pub(super) more_after: Option<String>,
    /// The store, and how far its locks reach.
    pub(super) store: String,
    /// Why the store grants nothing new, or may not know of all holders; null: neither is so.
    pub(super) hindrance: Option<Hindrance>,
}

impl Answer for Listed {
    fn text(&self) -> String {
        let mut text = match self.keys.len() {
            0 => format!("No key is in use. Store: {}.", self.store),
            1 => format!("One key is in use. Store: {}.", self.store),
            many => format!("{many} keys are in use. Store: {}.", self.store),
        };
        text.extend(self.hindrance.iter().map(|why| format!(" But {}.", why.text)));
        for seen in &self.keys {
            text += &format!("\n{:?} is {}", seen.key, seen.told());
        }
        text.extend(self.more_after.iter().map(|key| format!("\nThere are more after {key:?}.")));
        text
    }
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Waited {
    /// Whether the key was free at the end. To have it, acquire it: waiting reserves nothing.
    pub(super) is_free: bool,
    pub(super) waited_for: String,
    #[serde(flatten)]
    pub(super) seen: Seen,
    pub(super) next: String,
}

impl Answer for Waited {
    fn text(&self) -> String {
        let Self { waited_for, seen, next, .. } = self;
        format!("After {waited_for}, {:?} is {}. {next}", seen.key, seen.told())
    }
}

/// Why a call did not do its work.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(super) struct Failure {
    /// "busy", "not_held", "lost", "invalid", "unavailable", "refused" or "ended".
    pub(super) error: &'static str,
    pub(super) message: String,
    /// Whether you hold the key of the call in spite of it, as far as is known.
    pub(super) you_hold_it: bool,
    /// The key as it was seen, if the store answered.
    pub(super) seen: Option<Box<Seen>>,
    /// Why the store grants nothing new, or may not know of a holder, if it answered.
    pub(super) hindrance: Option<Box<Hindrance>>,
    /// The next thing to do.
    pub(super) next: String,
}

impl Failure {
    pub(super) fn new(error: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self {
            error,
            message,
            you_hold_it: false,
            seen: None,
            hindrance: None,
            next: String::new(),
        }
    }

    pub(super) fn next(self, next: impl Into<String>) -> Self {
        Self { next: next.into(), ..self }
    }

    pub(super) fn seeing(self, seen: Option<Seen>) -> Self {
        let hindrance = seen.as_ref().and_then(|seen| seen.hindrance.clone().map(Box::new));
        Self { seen: seen.map(Box::new), hindrance, ..self }
    }

    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new("invalid", message).next("Call the tool again with the right arguments.")
    }

    /// The call was cut: by its client, or by the end of the session.
    pub(super) fn ended() -> Self {
        Self::new("ended", "the call was cancelled, or the session ended: you do not hold it")
    }

    /// An error of the library, in which nothing is held.
    pub(super) fn of(error: &Error) -> Self {
        let word = match error.kind() {
            ErrorKind::Invalid => "invalid",
            ErrorKind::Busy => "busy",
            ErrorKind::Lost => "lost",
            ErrorKind::Closed => "ended",
            ErrorKind::Unavailable => "unavailable",
            _ => "refused",
        };
        Self::new(word, error.to_string())
    }
}

impl Answer for Failure {
    fn text(&self) -> String {
        let Self { message, next, .. } = self;
        let seen = self.seen.iter();
        let seen = seen.map(|seen| format!(" {:?} is {}.", seen.key, seen.told()));
        let end = if message.ends_with('.') { "" } else { "." };
        format!("FAILED: {message}{end}{} {next}", seen.collect::<String>()).trim_end().to_owned()
    }
}
