//! Steps as arguments of the script, and its answers as replies. It sends nothing.

use std::collections::VecDeque;
use std::time::Duration;

use redis::Value;

use crate::logic::{Acquire, Blocker, HolderView, Inspection, Op, Reply, State, Step, WaiterView};
use crate::words::{Fence, Key, Label, Owner};

use super::super::Push;
use super::layout::Template;

/// The script's `KEYS` and `ARGV` for a batch.
pub(super) fn encode(
    steps: &[Step],
    template: &Template,
    retention: Duration,
    restart_guard: Duration,
) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let mut keys = Vec::with_capacity(steps.len() * 6);
    let guard = restart_guard.as_micros().to_string();
    let mut args = vec![retention.as_millis().to_string().into_bytes(), guard.into_bytes()];
    for step in steps {
        keys.extend(template.names(&step.key).into_keys());
        let mut line = Line { args: &mut args };
        line.op(&step.key, &step.op);
    }
    (keys, args)
}

struct Line<'a> {
    args: &'a mut Vec<Vec<u8>>,
}

impl Line<'_> {
    fn op(&mut self, key: &Key, op: &Op) {
        self.text(letter(op)).text(key.as_str());
        match op {
            Op::Acquire(acquire) | Op::Steal(acquire) => self.acquire(acquire),
            Op::Renew { owner, ttl } => {
                self.owner(owner).span(*ttl);
            }
            Op::Release { owner, min_hold, tombstone } => {
                self.owner(owner).span(*min_hold);
                match tombstone {
                    Some(span) => self.span(*span),
                    None => self.text("-1"),
                };
            }
            Op::Withdraw { owner, tombstone } => {
                self.owner(owner).span(*tombstone);
            }
            Op::Transfer { from, to, label, ttl } => {
                self.owner(from).owner(to).text(label.as_str()).span(*ttl);
            }
            Op::Force { up_to } => {
                self.number(up_to.get());
            }
            Op::Inspect => {}
        }
    }

    fn acquire(&mut self, acquire: &Acquire) {
        let Acquire { owner, label, claim, ttl, queue } = acquire;
        self.owner(owner).text(label.as_str());
        self.number(claim.units().into()).number(claim.limit().into()).span(*ttl);
        match queue {
            Some(queue) => {
                self.span(queue.window).number(queue.stamp);
                self.text(queue.inbox.as_deref().unwrap_or_default());
            }
            None => {
                self.text("0").text("0").text("");
            }
        }
    }

    fn owner(&mut self, owner: &Owner) -> &mut Self {
        self.text(owner.value()).text(&format!("{:x}", owner.attempt()))
    }

    fn span(&mut self, span: Duration) -> &mut Self {
        self.number(u64::try_from(span.as_micros()).unwrap_or(u64::MAX))
    }

    fn number(&mut self, number: u64) -> &mut Self {
        self.text(&number.to_string())
    }

    fn text(&mut self, text: &str) -> &mut Self {
        self.args.push(text.as_bytes().to_vec());
        self
    }
}

fn letter(op: &Op) -> &'static str {
    match op {
        Op::Acquire(_) => "A",
        Op::Renew { .. } => "N",
        Op::Release { .. } => "R",
        Op::Withdraw { .. } => "W",
        Op::Transfer { .. } => "T",
        Op::Force { .. } => "F",
        Op::Steal(_) => "S",
        Op::Inspect => "I",
    }
}

/// Reads the script's answer; `None` if it is none of its.
pub(super) fn decode(answer: Value) -> Option<Vec<Reply>> {
    let Value::Array(replies) = answer else { return None };
    replies.into_iter().map(decode_one).collect()
}

fn decode_one(reply: Value) -> Option<Reply> {
    let mut parts = Parts::of(reply)?;
    let reply = match parts.text()?.as_str() {
        "granted" => Reply::Granted { fence: parts.fence()? },
        "queued" => Reply::Queued {
            ahead: parts.small()?,
            look_in: parts.span()?,
            blocker: parts.blocker()?,
        },
        "busy" => Reply::Busy { look_in: parts.span()?, blocker: parts.blocker()? },
        "self_held" => Reply::SelfHeld,
        "withdrawn" => Reply::Withdrawn,
        "mismatch" => Reply::Mismatch(parts.text()?.into()),
        "renewed" => Reply::Renewed,
        "released" => Reply::Released,
        "transferred" => Reply::Transferred { fence: parts.fence()? },
        "forced" => Reply::Forced { holders: parts.small()? },
        "gone" => Reply::Gone,
        "others" => Reply::Others,
        "inspected" => Reply::Inspected(parts.inspection()?),
        "failed" => Reply::Refused(refused(&parts.text()?).into()),
        _ => return None,
    };
    Some(reply)
}

/// What it means that the server would not write.
fn refused(says: &str) -> String {
    if says.starts_with("OOM") {
        return "the server's memory is full (maxmemory); free some or raise the limit. What is \
                held is renewed and released all the same"
            .into();
    }
    format!("the server would not write: {says}")
}

/// Reads an answer to SCAN: the next cursor and names; names that are no text are not ours.
pub(super) fn decode_scan(answer: Value) -> Option<(String, Vec<String>)> {
    let mut parts = Parts::of(answer)?;
    let cursor = parts.text()?;
    let Value::Array(names) = parts.0.pop_front()? else { return None };
    let texts = names.into_iter().filter_map(|name| match name {
        Value::BulkString(bytes) => String::from_utf8(bytes).ok(),
        _ => None,
    });
    Some((cursor, texts.collect()))
}

/// The parts of an answer, taken from the front.
struct Parts(VecDeque<Value>);

impl Parts {
    fn of(value: Value) -> Option<Self> {
        match value {
            Value::Array(parts) => Some(Self(parts.into())),
            _ => None,
        }
    }

    fn text(&mut self) -> Option<String> {
        match self.0.pop_front()? {
            Value::BulkString(bytes) => String::from_utf8(bytes).ok(),
            Value::SimpleString(text) => Some(text),
            _ => None,
        }
    }

    fn number(&mut self) -> Option<i64> {
        match self.0.pop_front()? {
            Value::Int(number) => Some(number),
            _ => None,
        }
    }

    fn small(&mut self) -> Option<u32> {
        u32::try_from(self.number()?).ok()
    }

    fn span(&mut self) -> Option<Duration> {
        Some(Duration::from_micros(u64::try_from(self.number()?).ok()?))
    }

    fn fence(&mut self) -> Option<Fence> {
        Some(Fence::new(u64::try_from(self.number()?).ok()?))
    }

    fn owner(&mut self) -> Option<Owner> {
        let value = self.text()?;
        let attempt = u64::from_str_radix(&self.text()?, 16).ok()?;
        Some(Owner::from_parts(&value, attempt))
    }

    fn blocker(&mut self) -> Option<Option<Blocker>> {
        let label = self.text()?;
        let held_for = self.number()?;
        let Ok(held_for) = u64::try_from(held_for) else { return Some(None) };
        let held_for = Duration::from_micros(held_for);
        Some(Some(Blocker { label: Label::new(label), held_for }))
    }

    fn list<T>(&mut self, read: impl Fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let Value::Array(items) = self.0.pop_front()? else { return None };
        items.into_iter().map(|item| read(&mut Self::of(item)?)).collect()
    }

    fn inspection(&mut self) -> Option<Inspection> {
        let state = self.text()?;
        let about = self.text()?;
        let limit = self.small()?;
        let fence = self.fence()?;
        let holders = self.list(|h| {
            Some(HolderView {
                owner: h.owner()?,
                label: Label::new(h.text()?),
                units: h.small()?,
                fence: h.fence()?,
                since: h.span()?,
                remaining: h.span()?,
            })
        })?;
        let waiters = self.list(|w| {
            Some(WaiterView { label: Label::new(w.text()?), units: w.small()?, waiting: w.span()? })
        })?;
        let state = match state.as_str() {
            "free" => State::Free,
            "held" => State::Held,
            "foreign" => State::Foreign(about.into()),
            _ => return None,
        };
        let limit = (limit > 0).then_some(limit);
        let fence = (fence > Fence::default()).then_some(fence);
        Some(Inspection { state, limit, fence, holders, waiters })
    }
}

/// Reads a push: attempt, fence, stamp, owner value and key, a line each. What is not one is
/// ignored, since anybody may publish anything.
pub(super) fn decode_push(payload: &[u8]) -> Option<Push> {
    let mut lines = std::str::from_utf8(payload).ok()?.splitn(5, '\n');
    let attempt = u64::from_str_radix(lines.next()?, 16).ok()?;
    let fence = Fence::new(lines.next()?.parse().ok()?);
    let stamp = lines.next()?.parse().ok()?;
    let owner = Owner::from_parts(lines.next()?, attempt);
    let key = Key::new(lines.next()?).ok()?;
    Some(Push { key, owner, fence, stamp })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_push_is_read_and_rubbish_is_not() {
        let push = decode_push(b"ff\n12\n3\njob-1\nstock: 7").expect("a push");
        assert_eq!(push.owner, Owner::from_parts("job-1", 255));
        assert_eq!((push.fence.get(), push.stamp, push.key.as_str()), (12, 3, "stock: 7"));
        for rubbish in [&b""[..], b"ff\n12\n3\njob-1", b"x\n1\n1\na\nb", b"1\n1\n1\na\n", b"\xff"] {
            assert_eq!(decode_push(rubbish), None, "{rubbish:?}");
        }
    }

    #[test]
    fn an_answer_of_somebody_else_is_none_of_ours() {
        assert_eq!(decode(Value::Nil), None);
        assert_eq!(decode(Value::Array(vec![Value::Array(vec![])])), None);
        let renewed = Value::Array(vec![Value::BulkString(b"renewed".to_vec())]);
        let expected = Some(vec![Reply::Renewed]);
        assert_eq!(decode(Value::Array(vec![renewed])), expected);
    }
}
