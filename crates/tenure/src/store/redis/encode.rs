//! Steps as arguments of the scripts. It sends nothing.

mod crowd;
mod lone;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::protocol::{Acquire, FenceRule, Op, Queueing, Request};
use crate::types::{Fence, Owner};

use super::client::digits;
use super::keys::{self, Template};
use super::scripts::By;

/// What stays the same for all calls of a store.
#[derive(Debug)]
pub(super) struct Terms {
    /// The key of the largest fence, and that of this sender's last call that may grant.
    pub(super) own_keys: [String; 2],
    /// How many calls that may grant were made.
    pub(super) calls: AtomicU64,
    /// Whether fences were proposed: the locks of a quorum all have records.
    pub(super) proposes: AtomicBool,
    pub(super) template: Template,
    pub(super) retention: Duration,
    pub(super) restart_guard: Duration,
}

/// One call of the script.
#[derive(Debug)]
pub(super) struct ScriptCall {
    pub(super) by: By,
    pub(super) keys: Words,
    pub(super) args: Words,
    /// Which of the arguments says what the marker of a guarded server must be.
    pub(super) guard: Option<usize>,
    /// Which of the arguments is the number of a call that may grant.
    pub(super) number: Option<usize>,
    /// Which step each reply is for: simple ones come first.
    pub(super) order: Vec<usize>,
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
    fn attempt(&mut self, owner: &Owner) -> &mut Self {
        let halves = (0..16).rev().map(|place| (owner.attempt() >> (4 * place)) & 15);
        self.bytes.extend(halves.map(|half| b"0123456789abcdef"[half as usize]));
        self
    }

    fn end(&mut self) -> &mut Self {
        self.ends.push(self.bytes.len());
        self
    }
}

/// More in one call would not fit on the script's stack.
const SIMPLE_MAX: usize = 1_000;
/// In calls with more simple steps than this the keys of a queue are left out, and a release comes
/// with its lock alone. One that finds that the lock does not say everything, as when others wait
/// for it, must then ask again, which a caller in such company waits for less than for the call
/// itself.
const WITH_OTHERS_MAX: usize = 8;

impl ScriptCall {
    /// All steps, in few words where that is enough. If it was not, `in_full` asks again.
    pub(super) fn new(steps: &[Request], terms: &Terms, in_full: bool) -> Self {
        let (mut simple, mut full) = sorted(steps, in_full);
        if full.is_empty()
            && let Some(crowd) = Self::crowd(&simple, steps, terms)
        {
            return crowd;
        }
        let with_others = simple.len() <= WITH_OTHERS_MAX;
        let (mut keys, mut others, mut args) = <(Words, Words, Words)>::default();
        let may_grant = steps.iter().any(|step| may_grant(&step.op));
        let guard = terms.first_keys(may_grant, &mut keys).then_some(0);
        args.text("0");
        if simple.iter().any(|(run, _)| matches!(run, Run::Proposals(..))) {
            terms.proposes.store(true, Ordering::Relaxed);
        }
        let with_records = with_others || terms.proposes.load(Ordering::Relaxed);
        let has_record = |run| with_records || run != Run::Releases;
        let records = simple.iter().filter(|(run, _)| has_record(*run)).count();
        args.number(simple.len() as u64).number((simple.len() + records) as u64);
        args.text(if with_others { "1" } else { "0" });
        let number = may_grant.then_some(args.len());
        args.text("0");
        append_runs(&simple, steps, terms, has_record, (&mut keys, &mut args));
        for Request { key, op } in simple.iter().map(|(_, index)| &steps[*index]) {
            if with_others && !matches!(op, Op::Acquire(_)) {
                terms.template.names(key).other_four(&mut others);
            }
        }
        keys.append(others);
        // One behind the other the steps of a key share its record.
        full.sort_by_key(|&index| &steps[index].key);
        for run in full.chunk_by(|&one, &other| steps[one].key == steps[other].key) {
            let names = terms.template.names(&steps[run[0]].key);
            names.lock(&mut keys).record(&mut keys);
            names.other_four(&mut keys);
            args.number(run.len() as u64);
            run.iter().for_each(|&index| args.full(&steps[index].op));
        }
        let mut order: Vec<_> = simple.drain(..).map(|(_, index)| index).collect();
        order.append(&mut full);
        Self { by: By::All, keys, args, guard, number, order }
    }
}

/// Simple steps in runs, with the names of their locks and of those records that are wanted.
fn append_runs(
    simple: &[(Run, usize)],
    steps: &[Request],
    terms: &Terms,
    has_record: impl Fn(Run) -> bool,
    (keys, args): (&mut Words, &mut Words),
) {
    for run in simple.chunk_by(|one, other| one.0 == other.0) {
        args.run(run[0].0, run.len());
        for &(run, index) in run {
            let Request { key, op } = &steps[index];
            let names = terms.template.names(key);
            names.lock(keys);
            if has_record(run) {
                names.record(keys);
            }
            args.simple(op);
        }
    }
}

impl Terms {
    /// The keys in front of all others, and whether the server is guarded.
    fn first_keys(&self, may_grant: bool, keys: &mut Words) -> bool {
        if may_grant {
            self.own_keys.iter().for_each(|key| _ = keys.text(key));
        }
        let is_guarded = !self.restart_guard.is_zero();
        if is_guarded {
            keys.text(keys::MARKER);
        }
        is_guarded
    }

    /// What stands in front of every script.
    pub(super) fn preface(&self) -> String {
        let (before, behind) = self.template.around();
        let retention = self.retention.as_millis();
        format!("local retention, before, behind = '{retention}', {before}, {behind}\n")
    }
}

/// What the simple steps of a run have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Run {
    Acquires(Duration),
    /// The ttl, what is proposed, and how far from the server's clock it counts.
    Proposals(Duration, Fence, Duration),
    /// The ttl of the next.
    Passes(Duration),
    Renewals(Duration),
    Releases,
}

/// Which steps are simple, in runs, and which are not.
fn sorted(steps: &[Request], in_full: bool) -> (Vec<(Run, usize)>, Vec<usize>) {
    let (mut simple, mut full) = (Vec::with_capacity(steps.len()), Vec::new());
    let mut seen = HashMap::with_capacity(steps.len());
    // Simple steps come before all others, and may have to be asked again after them: steps on
    // one key would lose their order.
    steps.iter().for_each(|step| *seen.entry(&step.key).or_insert(0) += 1);
    for (index, step) in steps.iter().enumerate() {
        match run_of(&step.op) {
            Some(run) if !in_full && simple.len() < SIMPLE_MAX && seen[&step.key] == 1 => {
                simple.push((run, index));
            }
            _ => full.push(index),
        }
    }
    simple.sort_unstable();
    (simple, full)
}

/// Whether a step may begin a lease, or a place in a queue, for the one who sends it.
fn may_grant(op: &Op) -> bool {
    matches!(op, Op::Acquire(_) | Op::Handoff { .. } | Op::Steal(_))
}

/// With which others a step can stand in a run, if a few words describe it.
fn run_of(op: &Op) -> Option<Run> {
    match op {
        Op::Acquire(acquire) => {
            let claim = acquire.claim;
            let is_plain = (claim.units(), claim.limit()) == (1, 1) && acquire.queue.is_none();
            let run = match acquire.fence {
                FenceRule::Mint => Run::Acquires(acquire.ttl),
                FenceRule::Propose { fence, within } => Run::Proposals(acquire.ttl, fence, within),
                FenceRule::Carry(_) => return None,
            };
            is_plain.then_some(run)
        }
        Op::Release { min_hold, tombstone, .. } => {
            (min_hold.is_zero() && tombstone.is_none()).then_some(Run::Releases)
        }
        Op::Handoff { min_hold, tombstone, to, ahead, .. } => {
            let is_plain = (to.claim.units(), to.claim.limit()) == (1, 1)
                && to.fence == FenceRule::Mint
                && to.queue.as_ref().is_some_and(Queueing::is_first_sign);
            let is_plain = is_plain && *ahead && min_hold.is_zero() && tombstone.is_none();
            is_plain.then_some(Run::Passes(to.ttl))
        }
        Op::Renew { ttl, .. } => Some(Run::Renewals(*ttl)),
        _ => None,
    }
}

impl Words {
    fn run(&mut self, run: Run, count: usize) {
        let (letter, ttl) = match run {
            Run::Acquires(ttl) => ("a", Some(ttl)),
            Run::Proposals(ttl, ..) => ("p", Some(ttl)),
            Run::Passes(ttl) => ("h", Some(ttl)),
            Run::Renewals(ttl) => ("n", Some(ttl)),
            Run::Releases => ("r", None),
        };
        self.text(letter).number(count as u64);
        if let Some(ttl) = ttl {
            self.span(ttl);
        }
        if let Run::Proposals(_, fence, within) = run {
            self.proposal(fence, within);
        }
    }

    fn proposal(&mut self, fence: Fence, within: Duration) -> &mut Self {
        self.text(&format!("p{}:{}", fence.get(), within.as_micros()))
    }

    fn simple(&mut self, op: &Op) {
        match op {
            Op::Acquire(Acquire { owner, label, .. }) => self.claim(owner, label.as_str()),
            Op::Release { owner, .. } | Op::Renew { owner, .. } => self.claim(owner, ""),
            Op::Handoff { owner, to, .. } => {
                self.claim(owner, "");
                self.claim(&to.owner, to.label.as_str());
            }
            other => unreachable!("{other:?} is not simple"),
        }
    }

    fn claim(&mut self, owner: &Owner, label: &str) {
        self.bytes.extend_from_slice(owner.value().as_bytes());
        self.bytes.extend_from_slice(b"\n1");
        self.attempt(owner).join([label]);
    }

    fn full(&mut self, op: &Op) {
        self.text(letter(op));
        match op {
            Op::Acquire(acquire) | Op::Steal(acquire) => self.acquire(acquire),
            Op::Renew { owner, ttl } => {
                self.owner(owner).span(*ttl);
            }
            Op::Release { owner, min_hold, tombstone } => {
                self.release(owner, *min_hold, *tombstone);
            }
            Op::Handoff { owner, min_hold, tombstone, to, ahead } => {
                self.release(owner, *min_hold, *tombstone).number((*ahead).into()).acquire(to);
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
            Op::Raise { owner, fence } => {
                self.owner(owner).number(fence.get());
            }
            Op::Inspect => {}
        }
    }

    fn release(&mut self, owner: &Owner, hold: Duration, tombstone: Option<Duration>) -> &mut Self {
        self.owner(owner).span(hold);
        match tombstone {
            Some(span) => self.span(span),
            None => self.text("-1"),
        }
    }

    fn acquire(&mut self, acquire: &Acquire) {
        let Acquire { owner, label, claim, ttl, queue, fence } = acquire;
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
        Op::Inspect => "I",
    }
}
