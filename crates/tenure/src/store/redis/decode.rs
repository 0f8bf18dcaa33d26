//! The server's answers as replies, pushes and names. An answer in another form is `None`, never a
//! guess.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use crate::protocol::{
    Blocker, ForeignView, Group, Guarded, HolderView, Inspection, LastRun, Op, Reply, Request,
    RunState, State, WaiterView,
};
use crate::types::{Fence, Key, Label, Owner, Value as Claimed};

use super::super::{Push, StoreError, StoreErrorClass};
use super::client::{Failure, Value};
use super::encode::ScriptCall;
use super::marker::Marker;

/// In place of the time for which a holder has held: the restart guard is in the way.
const GUARDED: i64 = -2;

/// The script's answer to a step.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Answered {
    Reply(Reply),
    /// Too few words: others wait for the key, or its record is of another layout.
    AskInFull,
    /// It was granted, and too few replicas know of that.
    Failed(Failure),
}

/// Reads the script's answer, in the order of the steps, and the marker of a server that grants
/// nothing new; `None` if it is none of its.
///
/// The answer names all full steps, and those fast ones of which the outcome is not as usual, by
/// their numbers in the call. Zero is the marker's number.
// `cargo xtask counts` finds it by its name.
#[inline(never)]
pub(super) fn decode(
    answer: Value,
    request: &ScriptCall,
    steps: &[Request],
) -> Option<(Vec<Answered>, Option<Marker>)> {
    // A number alone has no list around it.
    let mut parts = match answer {
        Value::Int(_) => Parts([answer].into()),
        answer => Parts::of(answer)?,
    };
    let fence = parts.fence()?;
    let (mut answered, mut marker) = (vec![None; steps.len()], None);
    while !parts.0.is_empty() {
        let number = usize::try_from(parts.number()?).ok()?;
        let reply = parts.0.pop_front()?;
        if number == 0 {
            marker = Some(decode_marker(reply)?);
        } else {
            let index = *request.order.get(number - 1)?;
            answered[index] = Some(decode_step(reply, &steps[index].op)?);
        }
    }
    for &index in &request.order[..request.fast] {
        answered[index] = answered[index].take().or_else(|| usual(&steps[index].op, fence));
    }
    Some((answered.into_iter().collect::<Option<_>>()?, marker))
}

/// The answer to a fast step that the script does not name.
fn usual(op: &Op, fence: Fence) -> Option<Answered> {
    let is_grant = matches!(op, Op::Acquire(_) | Op::AcquireAll(_) | Op::Handoff { .. });
    let number = if is_grant { fence.get() } else { 0 };
    Some(Answered::Reply(decode_short(i64::try_from(number).ok()?, op)?))
}

/// The server's marker: how it begins, and for how long the server is known.
pub(super) fn decode_marker(answer: Value) -> Option<Marker> {
    let mut parts = Parts::of(answer)?;
    Some(Marker { mark: parts.text()?, known_for: parts.span()? })
}

/// Adds to a guarded server's reply the time for which it is guarded, which only this side knows.
pub(super) fn guarded(reply: &mut Reply, guarded: Guarded) {
    match reply {
        Reply::Busy { look_in, blocker: Some(blocker) }
        | Reply::Queued { look_in, blocker: Some(blocker), .. }
            if blocker.guarded.is_some() =>
        {
            blocker.guarded = Some(guarded);
            blocker.held_for = guarded.known_for;
            // Not before: it would be told the same again.
            *look_in = guarded.left;
        }
        Reply::HandedOff { acquired, .. } => self::guarded(acquired, guarded),
        Reply::Blocked { by, .. } => self::guarded(by, guarded),
        Reply::Inspected(seen) => seen.guarded = Some(guarded),
        _ => {}
    }
}

fn decode_step(reply: Value, op: &Op) -> Option<Answered> {
    Some(match reply {
        Value::Int(-1) => Answered::AskInFull,
        Value::Int(number) => Answered::Reply(decode_short(number, op)?),
        reply => Answered::Reply(match op {
            Op::AcquireAll(group) => decode_group(reply, group)?,
            _ => decode_one(reply)?,
        }),
    })
}

/// An answer of one word.
pub(super) fn decode_word(answer: Value) -> Option<String> {
    match answer {
        Value::SimpleString(word) => Some(word),
        Value::BulkString(word) => String::from_utf8(word).ok(),
        Value::Int(number) => Some(number.to_string()),
        _ => None,
    }
}

/// An answer of several words; one that is missing is left out.
pub(super) fn decode_words(answer: Value) -> Vec<String> {
    let Value::Array(words) = answer else { return Vec::new() };
    words.into_iter().filter_map(decode_word).collect()
}

fn decode_short(number: i64, op: &Op) -> Option<Reply> {
    match (op, u64::try_from(number).ok()?) {
        (Op::Release { .. }, 0) => Some(Reply::Released),
        (Op::Renew { .. }, 0) => Some(Reply::Renewed),
        (Op::Acquire(_), fence @ 1..) => Some(Reply::Granted { fence: Fence::new(fence) }),
        (Op::AcquireAll(group), fence @ 1..) => {
            let fences = vec![Fence::new(fence); group.members().len()];
            Some(Reply::AllGranted { fences })
        }
        (Op::Handoff { .. }, fence @ 1..) => Some(Reply::HandedOff {
            released: Box::new(Reply::Released),
            acquired: Box::new(Reply::Granted { fence: Fence::new(fence) }),
        }),
        _ => None,
    }
}

fn decode_group(reply: Value, group: &Group) -> Option<Reply> {
    let mut parts = Parts::of(reply)?;
    Some(match parts.text()?.as_str() {
        "all_granted" if parts.0.len() == group.members().len() => {
            let fences = group.members().iter().map(|_| parts.fence()).collect::<Option<_>>()?;
            Reply::AllGranted { fences }
        }
        "blocked" => {
            let place = usize::try_from(parts.number()?).ok()?.checked_sub(1)?;
            let (key, _) = group.members().get(place)?;
            let by = Box::new(decode_one(parts.0.pop_front()?)?);
            Reply::Blocked { key: key.clone(), by }
        }
        _ => return None,
    })
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
        "value_set" => Reply::ValueSet,
        "resized" => Reply::Resized { fence: parts.fence()? },
        "limit_set" => {
            let was = parts.small()?;
            Reply::LimitSet { was: (was > 0).then_some(was) }
        }
        "passed" => Reply::HandedOff {
            released: Box::new(decode_one(parts.0.pop_front()?)?),
            acquired: Box::new(decode_one(parts.0.pop_front()?)?),
        },
        "transferred" => Reply::Transferred { fence: parts.fence()? },
        "forced" => Reply::Forced { holders: parts.small()? },
        "gone" => Reply::Gone,
        "others" => Reply::Others,
        "already_ran" => Reply::AlreadyRan(parts.last_run()??.into()),
        "finished" => Reply::Finished,
        "refused" => Reply::Refused(parts.text()?.into()),
        "inspected" => Reply::Inspected(parts.inspection()?),
        "failed" => failed(&parts.text()?),
        _ => return None,
    };
    Some(reply)
}

/// The reply to a step that broke off with an error of the server.
fn failed(says: &str) -> Reply {
    let failure = Failure::answered("EVALSHA", says);
    if failure.class() == StoreErrorClass::Full {
        let why = "the server's memory is full (maxmemory); free some or raise the limit. What is \
                   held is renewed and released all the same";
        return Reply::Full(why.into());
    }
    StoreError::from(failure).into_reply()
}

/// Which of some locks say by themselves that they are ours, from the answer to MGET.
pub(super) fn decode_locks(answer: Value, names: &[&String]) -> Option<Vec<String>> {
    let Value::Array(values) = answer else { return None };
    let ours = names.iter().zip(values).filter(|(_, value)| match value {
        Value::BulkString(bytes) => says_everything(bytes),
        _ => false,
    });
    Some(ours.map(|(name, _)| (*name).clone()).collect())
}

/// Whether a lock's value is one that the script wrote and that needs no record: owner, line
/// feed, a digit for the layout, attempt, label; fence, since and expires.
fn says_everything(value: &[u8]) -> bool {
    const ATTEMPT: usize = 16;
    const NUMBERS: usize = 3 * 16;
    let Some(owner) = value.iter().position(|byte| *byte == b'\n') else { return false };
    let rest = &value[owner + 1..];
    owner > 0
        && rest.len() > ATTEMPT + NUMBERS
        && rest[0].is_ascii_digit()
        && rest[1..=ATTEMPT].iter().all(u8::is_ascii_hexdigit)
        && rest[rest.len() - NUMBERS..].iter().all(u8::is_ascii_digit)
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

/// The identity of a server, as INFO says it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) run_id: String,
    pub(super) replica_of: Option<String>,
    /// The number of replicas that are linked to it.
    pub(super) replicas: u32,
}

pub(super) fn decode_info(answer: &Value) -> Option<Told> {
    let text = match answer {
        Value::BulkString(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        _ => return None,
    };
    let field = |name: &str| {
        let mut lines = text.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
    };
    let run_id = field("run_id")?.to_owned();
    let of = || {
        let (host, port) = (field("master_host"), field("master_port"));
        format!("{}:{}", host.unwrap_or_default(), port.unwrap_or_default())
    };
    let replica_of = (field("role")? == "slave").then(of);
    let replicas = field("connected_slaves").and_then(|count| count.parse().ok());
    Some(Told { run_id, replica_of, replicas: replicas.unwrap_or_default() })
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

    /// The units of a claim, and whether it is exclusive, which is none.
    fn units(&mut self, limit: u32) -> Option<(u32, bool)> {
        let units = self.small()?;
        Some(if units == 0 { (limit, true) } else { (units, false) })
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

    /// The value beside a claim, if there is one.
    fn value(&mut self) -> Option<Option<Claimed>> {
        if self.0.is_empty() {
            return Some(None);
        }
        Some(Some(Claimed::from_word(&self.text()?)?))
    }

    fn blocker(&mut self) -> Option<Option<Blocker>> {
        let label = self.text()?;
        let held_for = self.number()?;
        let is_guarded = held_for == GUARDED;
        if held_for < 0 && !is_guarded {
            return Some(None);
        }
        let held_for = Duration::from_micros(u64::try_from(held_for).unwrap_or_default());
        let guarded = is_guarded.then(Guarded::default);
        Some(Some(Blocker { label: Label::new(label), held_for, report: None, guarded }))
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
            let (owner, label) = (h.owner()?, Label::new(h.text()?));
            let (units, exclusive) = h.units(limit)?;
            Some(HolderView {
                owner,
                label,
                units,
                exclusive,
                fence: h.fence()?,
                since: h.span()?,
                remaining: h.span()?,
                kept: h.number()? != 0,
                value: h.value()?,
            })
        })?;
        let waiters = self.list(|w| {
            let (label, (units, exclusive)) = (Label::new(w.text()?), w.units(limit)?);
            Some(WaiterView { label, units, exclusive, waiting: w.span()? })
        })?;
        let last_run = self.last_run()?.map(Box::new);
        let foreign = self.foreign()?.map(Box::new);
        let state = match state.as_str() {
            "free" => State::Free,
            "held" => State::Held,
            "foreign" => State::Foreign(about.into()),
            _ => return None,
        };
        let limit = (limit > 0).then_some(limit);
        let fence = (fence > Fence::default()).then_some(fence);
        let (nodes, guarded) = (Vec::new(), None);
        Some(Inspection {
            state,
            limit,
            fence,
            holders,
            waiters,
            nodes,
            guarded,
            last_run,
            foreign,
            replica_of: None,
        })
    }

    /// The value of somebody else, from a list that is empty without one. Its bytes may be no text.
    fn foreign(&mut self) -> Option<Option<ForeignView>> {
        let mut told = Self::of(self.0.pop_front()?)?;
        if told.0.is_empty() {
            return Some(None);
        }
        let (name, kind) = (told.text()?.into(), told.text()?.into());
        let (left, size) = (told.number()?, told.number()?);
        let Value::BulkString(bytes) = told.0.pop_front()? else { return None };
        let text = std::str::from_utf8(&bytes).ok();
        let is_whole = text.is_some() && usize::try_from(size) == Ok(bytes.len());
        let value = (size >= 0).then(|| String::from_utf8_lossy(&bytes).into());
        let remaining = u64::try_from(left).ok().map(Duration::from_millis);
        let delete = "".into();
        Some(Some(ForeignView { name, kind, value, is_whole, remaining, delete }))
    }

    /// The last run of a job, from a list that is empty without one.
    fn last_run(&mut self) -> Option<Option<LastRun>> {
        let mut run = Self::of(self.0.pop_front()?)?;
        if run.0.is_empty() {
            return Some(None);
        }
        let (owner, label) = (run.owner()?, Label::new(run.text()?));
        let begun = SystemTime::UNIX_EPOCH + run.span()?;
        let (state, why, took) = (run.text()?, run.text()?, run.number()?);
        let state = match state.as_str() {
            "" => RunState::Unfinished,
            "running" => RunState::Running,
            "ok" => RunState::Ok,
            "failed" => RunState::Failed(Label::new(why)),
            _ => return None,
        };
        let took = u64::try_from(took).ok().map(Duration::from_micros);
        Some(Some(LastRun { owner, label, begun, state, took }))
    }
}

/// Reads the pushes of a message, one behind the other. A message in another form is ignored as a
/// whole, since anybody may publish anything.
pub(super) fn decode_pushes(payload: &[u8]) -> Option<Vec<Push>> {
    let mut lines = std::str::from_utf8(payload).ok()?.split('\n').peekable();
    let mut pushes = Vec::with_capacity(1);
    while lines.peek().is_some() {
        pushes.push(decode_push(&mut lines)?);
    }
    Some(pushes)
}

/// Reads a push: attempt, fence, stamp, owner value and key, a line each.
fn decode_push<'a>(lines: &mut impl Iterator<Item = &'a str>) -> Option<Push> {
    let attempt = u64::from_str_radix(lines.next()?, 16).ok()?;
    let fence = Fence::new(lines.next()?.parse().ok()?);
    let stamp = lines.next()?.parse().ok()?;
    let owner = Owner::from_parts(lines.next()?, attempt);
    let key = Key::new(lines.next()?).ok()?;
    Some(Push { key, owner, fence, stamp })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::super::encode::Terms;
    use super::super::keys::Template;
    use super::*;

    #[test]
    fn pushes_are_read_and_rubbish_is_not() {
        let read = decode_pushes(b"ff\n12\n3\njob-1\nstock: 7\na\n13\n4\njob-2\nstock: 8");
        let read = read.expect("two pushes");
        let [push, second] = &read[..] else { panic!("{read:?}") };
        assert_eq!(push.owner, Owner::from_parts("job-1", 255));
        assert_eq!((push.fence.get(), push.stamp, push.key.as_str()), (12, 3, "stock: 7"));
        assert_eq!((second.owner.value(), second.key.as_str()), ("job-2", "stock: 8"));
        for rubbish in [
            &b""[..],
            b"ff\n12\n3\njob-1",
            b"x\n1\n1\na\nb",
            b"1\n1\n1\na\n",
            b"\xff",
            b"1\n2\n3\na\nb\n1",
        ] {
            assert_eq!(decode_pushes(rubbish), None, "{rubbish:?}");
        }
    }

    #[test]
    fn an_answer_of_somebody_else_is_none_of_ours() {
        let terms = Terms {
            sender: String::new(),
            calls: AtomicU64::default(),
            template: Template::default(),
            restart_guard: Duration::ZERO,
        };
        let op = Op::Renew { owner: Owner::from_parts("job", 1), ttl: Duration::from_secs(1) };
        let steps = [Request { key: Key::new("stock").expect("a key"), op }];
        let request = ScriptCall::new(&steps, &terms, false);
        let read = |answer| Some(decode(Value::Array(answer), &request, &steps)?.0);
        let renewed = Some(vec![Answered::Reply(Reply::Renewed)]);
        let named = Value::Array(vec![Value::BulkString(b"renewed".to_vec())]);
        let [none, first] = [0, 1].map(Value::Int);
        assert_eq!(read(vec![none.clone()]), renewed, "nothing else is said of it");
        assert_eq!(read(vec![none.clone(), first.clone(), named]), renewed);
        assert_eq!(read(vec![none.clone(), first.clone(), Value::Int(0)]), renewed);
        let in_full = read(vec![none.clone(), first.clone(), Value::Int(-1)]);
        assert_eq!(in_full, Some(vec![Answered::AskInFull]));
        for rubbish in [Value::Array(vec![]), Value::Int(7), Value::Int(-2), Value::Nil] {
            let answer = vec![none.clone(), first.clone(), rubbish.clone()];
            assert_eq!(read(answer), None, "{rubbish:?}");
        }
        for rubbish in [vec![], vec![Value::Nil], vec![none, Value::Int(2), Value::Int(0)]] {
            assert_eq!(read(rubbish.clone()), None, "{rubbish:?}");
        }
        assert_eq!(decode(Value::Nil, &request, &steps), None);
        let asked_in_full = ScriptCall::new(&steps, &terms, true);
        assert_eq!(decode(Value::Array(vec![Value::Int(0)]), &asked_in_full, &steps), None);
    }
}
