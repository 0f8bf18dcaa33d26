//! A step in words: those of the script's arguments. The scripts' `fast` and `full` say what they
//! mean. It knows no call.

use std::time::Duration;

use crate::protocol::{Acquire, Count, FenceRule, Op, Outcome, TickClock, Ticks};
use crate::types::{Claim, Fence, Owner, Value};

use super::client::digits;

/// Words of a command, one behind the other in one piece of memory.
#[derive(Debug, Default)]
pub(super) struct Words {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Words {
    /// With room for a lone step of usual length.
    pub(super) fn with_room() -> Self {
        Self { bytes: Vec::with_capacity(256), ends: Vec::with_capacity(8) }
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        begins.zip(&self.ends).map(|(begin, end)| &self.bytes[begin..*end])
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn append(&mut self, mut more: Self) {
        let before = self.bytes.len();
        self.bytes.append(&mut more.bytes);
        self.ends.extend(more.ends.into_iter().map(|end| before + end));
    }

    fn owner(&mut self, owner: &Owner) -> &mut Self {
        self.text(owner.value()).attempt(owner).end()
    }

    fn span(&mut self, span: Duration) -> &mut Self {
        self.number(u64::try_from(span.as_micros()).unwrap_or(u64::MAX))
    }

    pub(super) fn number(&mut self, number: u64) -> &mut Self {
        let (digits, begin) = digits(number);
        self.bytes.extend_from_slice(&digits[begin..]);
        self.end()
    }

    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        self.bytes.extend_from_slice(text.as_bytes());
        self.end()
    }

    /// One word of several parts.
    pub(super) fn join<const N: usize>(&mut self, parts: [&str; N]) -> &mut Self {
        parts.iter().for_each(|part| self.bytes.extend_from_slice(part.as_bytes()));
        self.end()
    }

    /// The beginning of a word: the attempt, always as long.
    pub(super) fn attempt(&mut self, owner: &Owner) -> &mut Self {
        let halves = (0..16).rev().map(|place| (owner.attempt() >> (4 * place)) & 15);
        self.bytes.extend(halves.map(|half| b"0123456789abcdef"[half as usize]));
        self
    }

    pub(super) fn end(&mut self) -> &mut Self {
        self.ends.push(self.bytes.len());
        self
    }
}

/// The kind of the fast steps of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Run {
    Acquires(Duration),
    /// The ttl, of plain values.
    Plain(Duration),
    /// The ttl, and the number of keys.
    Group(Duration, usize),
    /// The ttl, the units, and their limit.
    Shares(Duration, u32, u32),
    /// The ttl, what is proposed, and how far from the server's clock it counts.
    Proposals(Duration, Fence, Duration),
    /// The ttl of the next.
    Handoffs(Duration),
    Renewals(Duration),
    Releases,
}

impl Run {
    /// Whether it needs a number, so that it is not carried out again when it arrives late. A
    /// handoff needs none: it grants while its sender holds, so once.
    pub(super) fn may_grant(self) -> bool {
        !matches!(self, Self::Handoffs(_) | Self::Renewals(_) | Self::Releases)
    }

    pub(super) fn is_group(self) -> bool {
        matches!(self, Self::Group(..))
    }

    /// The number of keys of each step.
    pub(super) fn keys(self) -> usize {
        if let Self::Group(_, keys) = self { keys } else { 1 }
    }
}

/// With which others a step can stand in a run, if a few words describe it.
pub(super) fn run_of(op: &Op) -> Option<Run> {
    match op {
        Op::Acquire(acquire) => {
            let Acquire { claim, ttl, .. } = *acquire;
            let run = match acquire.fence {
                FenceRule::Mint if claim.is_plain() => Run::Plain(ttl),
                FenceRule::Mint if claim.is_exclusive() => Run::Acquires(ttl),
                FenceRule::Mint => Run::Shares(ttl, claim.units(), claim.limit()),
                FenceRule::Propose { fence, within } if claim.is_exclusive() => {
                    Run::Proposals(ttl, fence, within)
                }
                FenceRule::Propose { .. } | FenceRule::Carry(_) => return None,
            };
            (acquire.queue.is_none() && acquire.value.is_none()).then_some(run)
        }
        Op::AcquireAll(group) => {
            let (_, first) = &group.members()[0];
            let is_plain = |(_, acquire): &(_, Acquire)| {
                let is_alike = acquire.ttl == first.ttl && acquire.fence == FenceRule::Mint;
                is_alike && acquire.claim == Claim::EXCLUSIVE && acquire.value.is_none()
            };
            let run = Run::Group(first.ttl, group.members().len());
            group.members().iter().all(is_plain).then_some(run)
        }
        Op::Release { min_hold, tombstone, .. } => {
            (min_hold.is_zero() && tombstone.is_none()).then_some(Run::Releases)
        }
        Op::Handoff { min_hold, tombstone, to, ahead, .. } => {
            let is_plain = to.claim == Claim::EXCLUSIVE && to.fence == FenceRule::Mint;
            let is_plain = is_plain && to.value.is_none();
            let is_plain = is_plain && *ahead && min_hold.is_zero() && tombstone.is_none();
            is_plain.then_some(Run::Handoffs(to.ttl))
        }
        Op::Renew { ttl, .. } => Some(Run::Renewals(*ttl)),
        _ => None,
    }
}

impl Words {
    pub(super) fn run(&mut self, run: Run) {
        let (letter, ttl) = match run {
            Run::Acquires(ttl) => ("a", Some(ttl)),
            Run::Plain(ttl) => ("o", Some(ttl)),
            Run::Group(ttl, _) => ("g", Some(ttl)),
            Run::Shares(ttl, ..) => ("s", Some(ttl)),
            Run::Proposals(ttl, ..) => ("p", Some(ttl)),
            Run::Handoffs(ttl) => ("h", Some(ttl)),
            Run::Renewals(ttl) => ("n", Some(ttl)),
            Run::Releases => ("r", None),
        };
        self.text(letter);
        if let Some(ttl) = ttl {
            self.span(ttl);
        }
        match run {
            Run::Shares(_, units, limit) => _ = self.number(units.into()).number(limit.into()),
            Run::Proposals(_, fence, within) => _ = self.proposal(fence, within),
            _ => {}
        }
    }

    fn proposal(&mut self, fence: Fence, within: Duration) -> &mut Self {
        self.text(&format!("p{}:{}", fence.get(), within.as_micros()))
    }

    pub(super) fn fast(&mut self, op: &Op) {
        match op {
            Op::Acquire(Acquire { owner, label, .. }) => self.claim(owner, label.as_str()),
            Op::Release { owner, .. } | Op::Renew { owner, .. } => self.claim(owner, ""),
            Op::Handoff { owner, to, .. } => {
                self.claim(owner, "").claim(&to.owner, to.label.as_str())
            }
            other => unreachable!("{other:?} is not fast"),
        };
    }

    /// Owner, line feed, layout, attempt and label.
    #[inline]
    pub(super) fn claim(&mut self, owner: &Owner, label: &str) -> &mut Self {
        self.bytes.extend_from_slice(owner.value().as_bytes());
        self.bytes.extend_from_slice(b"\n1");
        self.attempt(owner).join([label])
    }

    pub(super) fn full(&mut self, op: &Op) {
        self.text(letter(op));
        match op {
            Op::Acquire(acquire) | Op::Steal(acquire) => self.acquire(acquire),
            Op::Renew { owner, ttl } => _ = self.owner(owner).span(*ttl),
            Op::Release { owner, min_hold, tombstone } => {
                self.release(owner, *min_hold, *tombstone);
            }
            Op::Handoff { owner, min_hold, tombstone, to, ahead } => {
                self.release(owner, *min_hold, *tombstone).number((*ahead).into()).acquire(to);
            }
            Op::Withdraw { owner, tombstone } => _ = self.owner(owner).span(*tombstone),
            Op::Transfer { from, to, label, ttl } => {
                self.owner(from).span(*ttl).owner(to).text(label.as_str());
            }
            Op::Force { up_to } => _ = self.number(up_to.get()),
            Op::Raise { owner, fence } => _ = self.owner(owner).number(fence.get()),
            Op::Resize { owner, fence, from, to } => {
                self.owner(owner).number(fence.get()).number(from.units().into());
                self.number(to.units().into()).number(to.limit().into());
            }
            Op::SetLimit { limit } => _ = self.number((*limit).into()),
            Op::AcquireAll(_) => unreachable!("it is over several keys"),
            Op::Begin { acquire, ticks } => {
                // Its place in the queue is ignored.
                self.acquire(&Acquire { queue: None, ..acquire.clone() });
                self.ticks(ticks);
            }
            Op::Finish { owner, outcome, tombstone } => {
                self.owner(owner).tombstone(*tombstone);
                match outcome {
                    Outcome::Ok => self.text("ok").text(""),
                    Outcome::Failed(why) => self.text("failed").text(why.as_str()),
                };
            }
            Op::SetValue { owner, fence, value } => {
                self.owner(owner).number(fence.get()).text(value.word());
            }
            Op::Inspect => {}
        }
    }

    fn release(&mut self, owner: &Owner, hold: Duration, tombstone: Option<Duration>) -> &mut Self {
        self.owner(owner).span(hold).tombstone(tombstone)
    }

    fn tombstone(&mut self, tombstone: Option<Duration>) -> &mut Self {
        match tombstone {
            Some(span) => self.span(span),
            None => self.text("-1"),
        }
    }

    fn ticks(&mut self, ticks: &Ticks) {
        let Ticks { every, count, retry_failed, clock } = *ticks;
        self.span(every).number((count == Count::LastRun).into()).number(retry_failed.into());
        match clock {
            TickClock::Store => self.text("-1").text("0"),
            TickClock::Proposed { now, within } => self.number(now).span(within),
        };
    }

    pub(super) fn acquire(&mut self, acquire: &Acquire) {
        let Acquire { owner, label, claim, ttl, queue, fence, value } = acquire;
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
        match fence {
            FenceRule::Mint => self.text(""),
            FenceRule::Propose { fence, within } => self.proposal(*fence, *within),
            FenceRule::Carry(fence) => self.text(&format!("c{}", fence.get())),
        };
        self.text(value.as_ref().map_or("", Value::word));
    }
}

fn letter(op: &Op) -> &'static str {
    match op {
        Op::Acquire(_) => "A",
        Op::Renew { .. } => "N",
        Op::Release { .. } => "R",
        Op::Handoff { .. } => "P",
        Op::Withdraw { .. } => "W",
        Op::Transfer { .. } => "T",
        Op::Force { .. } => "F",
        Op::Raise { .. } => "H",
        Op::Steal(_) => "S",
        Op::Resize { .. } => "C",
        Op::SetLimit { .. } => "L",
        Op::AcquireAll(_) => "G",
        Op::Begin { .. } => "B",
        Op::Finish { .. } => "E",
        Op::SetValue { .. } => "V",
        Op::Inspect => "I",
    }
}
