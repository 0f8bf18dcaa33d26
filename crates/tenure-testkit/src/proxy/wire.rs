//! Which frame answers which call. It touches no byte.
//!
//! Not understood are `CLIENT REPLY`, `MONITOR`, and the end of all subscriptions of one kind
//! (`UNSUBSCRIBE` without channels) while there are some of another.

use crate::reply::Reply;

/// How many frames answer a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answers {
    One,
    /// A subscription is confirmed once for each channel.
    Each(usize),
    /// The end of all subscriptions is confirmed until none is left.
    UntilNone,
}

impl Answers {
    pub(super) fn to(words: &[String]) -> Self {
        let name = words.first().map(|word| word.to_ascii_lowercase()).unwrap_or_default();
        match (is_subscription(&name), words.len()) {
            (false, _) => Self::One,
            (true, 1) => Self::UntilNone,
            (true, count) => Self::Each(count - 1),
        }
    }

    /// The frames that are still to come after `frame`; `None` if it was the last.
    pub(super) fn after(self, frame: &Reply) -> Option<Self> {
        match (self, confirmation(frame)) {
            (Self::Each(left), Some(_)) if left > 1 => Some(Self::Each(left - 1)),
            (Self::UntilNone, Some(subscriptions)) if subscriptions > 0 => Some(self),
            // A refusal answers the whole call.
            _ => None,
        }
    }
}

/// Whether `frame` answers no call. With RESP2 a message is a list like any other: `lists_answer`
/// says that there can be none, because of RESP3 or because nothing is subscribed to.
pub(super) fn is_push(frame: &Reply, awaited: Option<Answers>, lists_answer: bool) -> bool {
    match frame {
        // A confirmation is a push that answers a call, if one is waited for.
        Reply::Push(_) => {
            !(confirmation(frame).is_some() && awaited.is_some_and(|a| a != Answers::One))
        }
        Reply::Array(list) if !lists_answer => matches!(
            first(list).as_deref(),
            Some("message" | "pmessage" | "smessage") if list.len() >= 3
        ),
        _ => false,
    }
}

/// If `frame` confirms a subscription or its end: how many there are now.
pub(super) fn confirmation(frame: &Reply) -> Option<i64> {
    let (Reply::Push(list) | Reply::Array(list)) = frame else { return None };
    if list.len() != 3 || !is_subscription(&first(list)?) {
        return None;
    }
    match list[2] {
        Reply::Int(count) => Some(count),
        _ => None,
    }
}

fn first(list: &[Reply]) -> Option<String> {
    list.first().and_then(Reply::text)
}

fn is_subscription(name: &str) -> bool {
    let name = name.strip_prefix(['p', 's']).filter(|rest| rest.contains("sub")).unwrap_or(name);
    matches!(name, "subscribe" | "unsubscribe")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    fn frame(kind: &str, count: i64) -> Reply {
        let bulk = |text: &str| Reply::Bulk(text.into());
        Reply::Array(vec![bulk(kind), bulk("channel"), Reply::Int(count)])
    }

    #[test]
    fn subscriptions_are_answered_once_for_each_channel() {
        for name in ["SUBSCRIBE", "psubscribe", "SSUBSCRIBE", "sunsubscribe", "UNSUBSCRIBE"] {
            assert_eq!(Answers::to(&words(&format!("{name} a b"))), Answers::Each(2), "{name}");
        }
        assert_eq!(Answers::to(&words("PUNSUBSCRIBE")), Answers::UntilNone);
        assert_eq!(Answers::to(&words("SET k v")), Answers::One);
        let one = frame("subscribe", 1);
        assert_eq!(Answers::Each(2).after(&one), Some(Answers::Each(1)));
        assert_eq!(Answers::Each(1).after(&one), None);
        assert_eq!(Answers::Each(2).after(&Reply::Error("NOPERM".into())), None);
        assert_eq!(Answers::UntilNone.after(&frame("unsubscribe", 1)), Some(Answers::UntilNone));
        assert_eq!(Answers::UntilNone.after(&frame("unsubscribe", 0)), None);
    }

    #[test]
    fn messages_answer_nothing() {
        let bulk = |text: &str| Reply::Bulk(text.into());
        let message = || vec![bulk("message"), bulk("channel"), bulk("text")];
        assert!(is_push(&Reply::Array(message()), None, false));
        assert!(!is_push(&Reply::Array(message()), Some(Answers::One), true), "a list of RESP3");
        assert!(is_push(&Reply::Push(message()), Some(Answers::Each(1)), true));
        assert!(!is_push(&frame("subscribe", 1), Some(Answers::Each(1)), false));
    }
}
