//! Steps as arguments of the scripts. It sends nothing.

use std::collections::HashMap;
use std::iter;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use crate::protocol::{Acquire, Count, FenceRule, Group, Op, Outcome, Request, TickClock, Ticks};
use crate::types::{Fence, Owner, Value};

use super::client::{Command, digits};
use super::keys::{self, Template};

/// The settings that are the same for all calls of a store.
#[derive(Debug)]
pub(super) struct Terms {
    /// The key of the largest fence, and that of this sender's last call that may grant.
    pub(super) own_keys: [String; 2],
    /// How many calls that may grant were made.
    pub(super) calls: AtomicU64,
    pub(super) template: Template,
    pub(super) retention: Duration,
    pub(super) restart_guard: Duration,
}

/// One call of the script.
#[derive(Debug)]
pub(super) struct ScriptCall {
    keys: Words,
    /// Without those that are known only when it leaves.
    args: Words,
    /// Whether it may grant to its sender, and so has a number.
    pub(super) has_number: bool,
    /// Which step each number of the answer stands for, less one: fast ones come first. A fast step
    /// over several keys has a number for each.
    pub(super) order: Vec<usize>,
    /// How many of them are of fast steps.
    pub(super) fast: usize,
}

/// Words of a command, one behind the other in one piece of memory.
#[derive(Debug, Default)]
pub(super) struct Words {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Words {
    /// With room for a lone step of usual length.
    fn with_room() -> Self {
        Self { bytes: Vec::with_capacity(256), ends: Vec::with_capacity(8) }
    }

    fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        begins.zip(&self.ends).map(|(begin, end)| &self.bytes[begin..*end])
    }

    fn bytes(&self) -> usize {
        self.bytes.len()
    }

    fn append(&mut self, mut more: Self) {
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

    fn number(&mut self, number: u64) -> &mut Self {
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

/// So many fast steps go into a call at most: the names of more would not fit on the script's
/// stack.
const FAST_MAX: usize = 1_000;
/// In calls with more fast steps than this each brings its lock and record alone, which is what the
/// server's time goes into. A release that finds that others wait is then sent again in full, which
/// a caller in such company waits for less than for the call itself.
const WITH_OTHERS_MAX: usize = 8;

impl ScriptCall {
    /// All steps, in few words where that is enough. If it was not, `in_full` asks again.
    // `cargo xtask counts` finds it by its name.
    #[inline(never)]
    pub(super) fn new(steps: &[Request], terms: &Terms, in_full: bool) -> Self {
        let (fast, mut full) = sorted(steps, in_full);
        let has_groups = fast.iter().any(|(run, _)| run.is_group());
        let fast_keys =
            if has_groups { fast.iter().map(|(run, _)| run.keys()).sum() } else { fast.len() };
        let has_number = fast.iter().any(|(run, _)| run.may_grant())
            || full.iter().any(|&index| may_grant(&steps[index].op));
        let (mut keys, mut args) = (Words::with_room(), Words::with_room());
        if has_number {
            terms.own_keys.iter().for_each(|key| _ = keys.text(key));
        }
        if terms.is_guarded() {
            keys.text(keys::MARKER);
        }
        let others = append_fast(&fast, steps, &terms.template, (&mut keys, &mut args));
        if fast_keys <= WITH_OTHERS_MAX {
            keys.append(others);
        }
        let is_group = |index: usize| matches!(steps[index].op, Op::AcquireAll(_));
        // One behind the other the steps of a key share its record. A step over several keys must
        // not change its place among those of each of them.
        if !full.iter().any(|&index| is_group(index)) {
            full.sort_by_key(|&index| &steps[index].key);
        }
        let are_of_one = |one: usize, other: usize| {
            steps[one].key == steps[other].key && !is_group(one) && !is_group(other)
        };
        for run in full.chunk_by(|&one, &other| are_of_one(one, other)) {
            append_full(steps, run, &terms.template, (&mut keys, &mut args));
        }
        let order = if has_groups {
            let fast = fast.iter().flat_map(|&(run, index)| iter::repeat_n(index, run.keys()));
            fast.chain(full).collect()
        } else {
            fast.iter().map(|(_, index)| *index).chain(full).collect()
        };
        Self { keys, args, has_number, order, fast: fast_keys }
    }

    /// The command, from its first two words on. Known only when it leaves: the marker that a
    /// guarded server must have, and the number of a call that may grant.
    // `cargo xtask counts` finds it by its name.
    #[inline(never)]
    pub(super) fn command(
        &self,
        head: [&str; 2],
        guard: Option<&str>,
        number: Option<u64>,
    ) -> Command {
        let Self { keys, args, .. } = self;
        let count = 5 + usize::from(guard.is_some()) + keys.len() + args.len();
        let size = head[0].len() + head[1].len() + 48 + keys.bytes() + args.bytes();
        let mut command = Command::with_capacity(count, size);
        head.iter().for_each(|word| command.word(word.as_bytes()));
        command.number(keys.len() as u64);
        keys.iter().for_each(|word| command.word(word));
        command.number(number.unwrap_or_default());
        command.number(self.fast as u64);
        if let Some(guard) = guard {
            command.word(guard.as_bytes());
        }
        args.iter().for_each(|word| command.word(word));
        command
    }
}

/// Full steps on one key, or one over several.
fn append_full(
    steps: &[Request],
    run: &[usize],
    template: &Template,
    (keys, args): (&mut Words, &mut Words),
) {
    let mut name = |key| {
        let names = template.names(key);
        names.lock(keys).record(keys).queue(keys).buried(keys);
    };
    if let Op::AcquireAll(group) = &steps[run[0]].op {
        group.keys().for_each(name);
        args.text("G").number(group.members().len() as u64);
        group.members().iter().for_each(|(_, acquire)| args.acquire(acquire));
        return;
    }
    name(&steps[run[0]].key);
    args.number(run.len() as u64);
    run.iter().for_each(|&index| args.full(&steps[index].op));
}

/// Fast steps in runs, with the names of their locks and records. Answers the other names of those
/// that may have to know who waits.
fn append_fast(
    fast: &[(Run, usize)],
    steps: &[Request],
    template: &Template,
    (keys, args): (&mut Words, &mut Words),
) -> Words {
    let mut others = Words::default();
    for run in fast.chunk_by(|one, other| one.0 == other.0 && !one.0.is_group()) {
        args.run(run[0].0);
        for &(run, index) in run {
            let Request { key, op } = &steps[index];
            if let Op::AcquireAll(group) = op {
                append_group(group, template, (keys, args));
                continue;
            }
            let names = template.names(key);
            names.lock(keys).record(keys);
            match run {
                Run::Acquires(_) | Run::Shares(..) | Run::Proposals(..) | Run::Group(..) => {}
                Run::Handoffs(_) => _ = names.queue(&mut others),
                Run::Renewals(_) | Run::Releases => names.queue(&mut others).buried(&mut others),
            }
            args.fast(op);
        }
    }
    others
}

/// A fast step over several keys.
#[cold]
fn append_group(group: &Group, template: &Template, (keys, args): (&mut Words, &mut Words)) {
    args.number(group.members().len() as u64);
    for (key, Acquire { owner, label, .. }) in group.members() {
        args.claim(owner, label.as_str());
        template.names(key).lock(keys).record(keys);
    }
}

impl Terms {
    /// Whether the server is asked whether it may have forgotten.
    pub(super) fn is_guarded(&self) -> bool {
        !self.restart_guard.is_zero()
    }

    /// The text in front of the script.
    pub(super) fn preface(&self) -> String {
        let (before, behind) = self.template.around();
        let (retention, has_guard) = (self.retention.as_millis(), self.is_guarded());
        format!(
            "local retention, before, behind = '{retention}', {before}, {behind}\n\
             local has_guard, others_max = {has_guard}, {WITH_OTHERS_MAX}\n"
        )
    }
}

/// The kind of the fast steps of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Run {
    Acquires(Duration),
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
    fn may_grant(self) -> bool {
        matches!(self, Self::Acquires(_) | Self::Shares(..) | Self::Proposals(..) | Self::Group(..))
    }

    fn is_group(self) -> bool {
        matches!(self, Self::Group(..))
    }

    /// The number of keys of each step.
    fn keys(self) -> usize {
        if let Self::Group(_, keys) = self { keys } else { 1 }
    }
}

/// Which steps are fast, in runs, and which are not.
fn sorted(steps: &[Request], in_full: bool) -> (Vec<(Run, usize)>, Vec<usize>) {
    if in_full {
        return (Vec::new(), (0..steps.len()).collect());
    }
    if let [Request { op, .. }] = steps {
        return match run_of(op) {
            Some(run) => (vec![(run, 0)], Vec::new()),
            None => (Vec::new(), vec![0]),
        };
    }
    let (mut fast, mut full) = (Vec::with_capacity(steps.len()), Vec::new());
    let mut seen = HashMap::with_capacity(steps.len());
    // Fast steps come before all others, and may have to be asked again after them: steps on one
    // key would lose their order.
    for step in steps {
        match &step.op {
            Op::AcquireAll(group) => {
                group.keys().for_each(|key| *seen.entry(key).or_insert(0) += 1);
            }
            _ => *seen.entry(&step.key).or_insert(0) += 1,
        }
    }
    let is_alone = |step: &Request| match &step.op {
        Op::AcquireAll(group) => group.keys().all(|key| seen[key] == 1),
        _ => seen[&step.key] == 1,
    };
    let mut fast_keys = 0;
    for (index, step) in steps.iter().enumerate() {
        match run_of(&step.op) {
            Some(run) if fast_keys + run.keys() <= FAST_MAX && is_alone(step) => {
                fast_keys += run.keys();
                fast.push((run, index));
            }
            _ => full.push(index),
        }
    }
    fast.sort_unstable();
    (fast, full)
}

/// Whether a step may begin a lease, or a place in a queue, for the one who sends it, or changes
/// what is claimed: it must do nothing when it arrives late.
fn may_grant(op: &Op) -> bool {
    matches!(
        op,
        Op::Acquire(_)
            | Op::AcquireAll(_)
            | Op::Handoff { .. }
            | Op::Steal(_)
            | Op::Resize { .. }
            | Op::SetLimit { .. }
            | Op::Begin { .. }
    )
}

/// With which others a step can stand in a run, if a few words describe it.
fn run_of(op: &Op) -> Option<Run> {
    match op {
        Op::Acquire(acquire) => {
            let Acquire { claim, ttl, .. } = *acquire;
            let run = match acquire.fence {
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
                is_alike && acquire.claim.is_exclusive() && acquire.value.is_none()
            };
            let run = Run::Group(first.ttl, group.members().len());
            group.members().iter().all(is_plain).then_some(run)
        }
        Op::Release { min_hold, tombstone, .. } => {
            (min_hold.is_zero() && tombstone.is_none()).then_some(Run::Releases)
        }
        Op::Handoff { min_hold, tombstone, to, ahead, .. } => {
            let is_plain = to.claim.is_exclusive() && to.fence == FenceRule::Mint;
            let is_plain = is_plain && to.value.is_none();
            let is_plain = is_plain && *ahead && min_hold.is_zero() && tombstone.is_none();
            is_plain.then_some(Run::Handoffs(to.ttl))
        }
        Op::Renew { ttl, .. } => Some(Run::Renewals(*ttl)),
        _ => None,
    }
}

impl Words {
    fn run(&mut self, run: Run) {
        let (letter, ttl) = match run {
            Run::Acquires(ttl) => ("a", Some(ttl)),
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

    fn fast(&mut self, op: &Op) {
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
    fn claim(&mut self, owner: &Owner, label: &str) -> &mut Self {
        self.bytes.extend_from_slice(owner.value().as_bytes());
        self.bytes.extend_from_slice(b"\n1");
        self.attempt(owner).join([label])
    }

    fn full(&mut self, op: &Op) {
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

    fn acquire(&mut self, acquire: &Acquire) {
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
