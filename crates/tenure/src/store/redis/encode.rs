//! Steps as arguments of the scripts. It sends nothing.

use std::collections::HashMap;
use std::iter;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::protocol::{Acquire, Group, Op, Request};

use super::client::Command;
use super::keys::{self, Scope, Template};
use super::words::{Run, Words, run_of};

/// The settings that are the same for all calls of a store.
#[derive(Debug)]
pub(super) struct Terms {
    /// The sender of the calls: another one for each connection.
    pub(super) sender: String,
    /// How many calls that may grant were made.
    pub(super) calls: AtomicU64,
    pub(super) template: Template,
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

/// So many fast steps go into a call at most: the names of more would not fit on the script's
/// stack.
const FAST_MAX: usize = 1_000;
/// In calls with more fast steps than this each brings its lock and record alone, which is what the
/// server's time goes into. A release that finds that others wait is then sent again in full, which
/// a caller in such company waits for less than for the call itself.
pub(super) const WITH_OTHERS_MAX: usize = 8;

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
            terms.template.own_names(&terms.sender, &steps[0].key, &mut keys);
        }
        if terms.is_guarded() && terms.template.scope() == Scope::Server {
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
        guard: &[String],
        number: Option<u64>,
    ) -> Command {
        let size = head[0].len() + head[1].len() + 16 + self.bytes();
        let mut command = Command::with_capacity(3 + self.keys.len() + self.args(guard), size);
        head.iter().for_each(|word| command.word(word.as_bytes()));
        command.number(self.keys.len() as u64);
        self.append_words(guard, number, &mut command);
        command
    }

    /// The command for several slots of a node, each of which has a call. `is_asking`: the one slot
    /// is on its way to the node.
    pub(super) fn command_of_slots(
        calls: &[Self],
        (head, is_asking): ([&str; 2], bool),
        guard: &[String],
        mut number: impl FnMut() -> u64,
    ) -> Command {
        let count = |call: &Self| 2 + call.keys.len() + call.args(guard);
        let size = head[0].len() + head[1].len() + 16;
        let size = size + calls.iter().map(|call| call.bytes() + 16).sum::<usize>();
        let mut command = Command::with_capacity(4 + calls.iter().map(count).sum::<usize>(), size);
        head.iter().for_each(|word| command.word(word.as_bytes()));
        command.number(0);
        command.number(is_asking.into());
        for call in calls {
            command.number(call.keys.len() as u64);
            command.number(call.args(guard) as u64);
            call.append_words(guard, call.has_number.then(&mut number), &mut command);
        }
        command
    }

    /// The number of arguments that are no keys.
    fn args(&self, guard: &[String]) -> usize {
        2 + guard.len() + self.args.len()
    }

    fn bytes(&self) -> usize {
        32 + self.keys.bytes() + self.args.bytes()
    }

    fn append_words(&self, guard: &[String], number: Option<u64>, command: &mut Command) {
        self.keys.iter().for_each(|word| command.word(word));
        command.number(number.unwrap_or_default());
        command.number(self.fast as u64);
        guard.iter().for_each(|word| command.word(word.as_bytes()));
        self.args.iter().for_each(|word| command.word(word));
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
                Run::Handoffs(_) => _ = names.queue(&mut others),
                Run::Renewals(_) | Run::Releases => names.queue(&mut others).buried(&mut others),
                Run::Acquires(_) | Run::Plain(_) | Run::Proposals(..) => {}
                Run::Shares(..) | Run::Group(..) => {}
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
    /// The same for another sender.
    pub(super) fn of_another_sender(&self, sender: String) -> Self {
        let (calls, template) = (AtomicU64::default(), self.template.clone());
        Self { sender, calls, template, restart_guard: self.restart_guard }
    }

    /// The number of the next call that may grant: they grow in the order of sending.
    pub(super) fn next_number(&self) -> u64 {
        self.calls.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Whether the server is asked whether it may have forgotten.
    pub(super) fn is_guarded(&self) -> bool {
        !self.restart_guard.is_zero()
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
