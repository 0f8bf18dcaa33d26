//! The consequences of a decision: the answer, and the steps that each node must still be sent. A
//! node that has not answered by then is accounted for when it has. It decides nothing.

use std::sync::Arc;
use std::time::Duration;

use crate::mutants;
use crate::protocol::timing;
use crate::protocol::{Acquire, Blocker, FenceRule, Op, Reply, Request, Verdict, Vote, majority};
use crate::runtime::{Moment, answer_by};
use crate::store::StoreError;
use crate::types::{Key, Label, Owner};

use super::call::vote;
use super::leases::{Lease, Standing};
use super::round::{Heard, Round, Word};
use super::{Shared, merge, report};

/// How long a node refuses an owner of which a request may still be under way.
pub(super) const TOMBSTONE: Duration = Duration::from_secs(60);

/// The steps of a call, with the state of their leases when they were sent.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) steps: Arc<[Request]>,
    pub(super) sent: Moment,
    /// For each step the standings of its lease; empty: no lease of ours.
    pub(super) standings: Vec<Vec<Standing>>,
}

/// The follow-up to the answer of a node.
enum Due {
    Nothing,
    /// It granted a lease that was not won: before the call ends.
    GiveBack(Request),
    /// It may have carried out a step that it did not answer: by the outbox, within this time.
    Later(Vec<Request>, Duration),
    /// It has lost a lease that is held.
    TopUp(Owner, Duration),
}

/// Answers the steps, and sends the nodes what follows.
pub(super) async fn settle(
    shared: &Arc<Shared>,
    asked: Asked,
    round: Round,
    verdicts: Vec<Verdict>,
) -> Result<Vec<Reply>, StoreError> {
    let replies: Vec<_> = (0..asked.steps.len())
        .map(|index| answer(shared, &asked, index, &round.words, verdicts[index]))
        .collect();
    for (index, verdict) in verdicts.iter().enumerate() {
        shared.enter(&asked, index, &round.words, *verdict);
    }
    let failed = verdicts.iter().all(|verdict| *verdict == Verdict::Unknown);
    let op = asked.steps.first().map(|step| &step.op);
    let failure = failed.then(|| report::failure(&shared.nodes, &round.words, 0, op));
    let give_back = follow_up(shared, asked, round, verdicts);
    if give_back.iter().any(|steps| !steps.is_empty()) {
        let limit = shared.options.node_timeout();
        let ask = |node: usize| (!give_back[node].is_empty()).then(|| give_back[node].clone());
        let mut round = Round::new(&shared.runtime, &shared.nodes, limit, ask);
        // Before the next attempt, which would otherwise be in its own way.
        round.listen(|_| false).await;
        for (node, word) in round.words.iter().enumerate() {
            if word.heard().is_some_and(|heard| heard.result.is_err()) {
                let until = shared.now() + TOMBSTONE;
                for step in &give_back[node] {
                    shared.outbox[node].put(step.clone(), until);
                }
            }
        }
    }
    match failure {
        Some(failure) => Err(failure),
        None => Ok(replies),
    }
}

/// Accounts for every node: now, or when it has answered. Returns the steps that each node must be
/// sent before the call ends.
fn follow_up(
    shared: &Arc<Shared>,
    asked: Asked,
    mut round: Round,
    verdicts: Vec<Verdict>,
) -> Vec<Vec<Request>> {
    let heard =
        |words: &[Word]| -> Vec<bool> { words.iter().map(|word| word.heard().is_some()).collect() };
    let before = heard(&round.words);
    let mut give_back = vec![Vec::new(); shared.nodes.len()];
    account(shared, &asked, &round.words, &verdicts, |node| before[node], &mut give_back);
    if before.iter().any(|heard| !heard) {
        let shared = Arc::clone(shared);
        let runtime = Arc::clone(&shared.runtime);
        runtime.spawn(Box::pin(async move {
            round.listen(|_| false).await;
            let mut late = vec![Vec::new(); shared.nodes.len()];
            account(&shared, &asked, &round.words, &verdicts, |node| !before[node], &mut late);
            let until = shared.now() + TOMBSTONE;
            for (outbox, steps) in shared.outbox.iter().zip(late) {
                steps.into_iter().for_each(|step| outbox.put(step, until));
            }
        }));
    }
    give_back
}

fn account(
    shared: &Arc<Shared>,
    asked: &Asked,
    words: &[Word],
    verdicts: &[Verdict],
    concerns: impl Fn(usize) -> bool,
    give_back: &mut [Vec<Request>],
) {
    let nodes = words.iter().enumerate().filter(|(node, _)| concerns(*node));
    for (node, word) in nodes {
        let Word::Heard(heard) = word else { continue };
        let mut top_ups = Vec::new();
        for (index, verdict) in verdicts.iter().enumerate() {
            match due(shared, asked, index, node, (word, heard), *verdict) {
                Due::Nothing => {}
                Due::GiveBack(step) => give_back[node].push(step),
                Due::Later(steps, span) => {
                    let until = shared.now() + span;
                    steps.into_iter().for_each(|step| shared.outbox[node].put(step, until));
                }
                Due::TopUp(owner, ttl) => {
                    let step = shared.leases.top_up(&owner, node, ttl, shared.now());
                    top_ups.extend(step.map(|step| (owner, step)));
                }
            }
        }
        if !top_ups.is_empty() {
            top_up(shared, node, top_ups);
        }
    }
}

fn due(
    shared: &Shared,
    asked: &Asked,
    index: usize,
    node: usize,
    (word, heard): (&Word, &Heard),
    verdict: Verdict,
) -> Due {
    let Request { key, op } = &asked.steps[index];
    let vote = vote(op, word, index);
    let may_have_run = heard.result.as_ref().is_err_and(|failure| failure.may_have_run);
    let is_won = matches!(verdict, Verdict::Won(_));
    match op {
        Op::Acquire(Acquire { owner, ttl, .. })
        | Op::Steal(Acquire { owner, ttl, .. })
        | Op::Begin { acquire: Acquire { owner, ttl, .. }, .. } => {
            let owner = owner.clone();
            if is_won {
                let told = shared.leases.stands(&owner, node, standing(vote, may_have_run));
                // It was released meanwhile, without this node.
                let steps = told.map(|op| let_go_late(key, op, vote)).into_iter().collect();
                return Due::Later(steps, shared.options.follow_up_max());
            } else if mutants::has!(PartialWinKept) {
                return Due::Nothing;
            } else if matches!(vote, Vote::For(_)) {
                let op = match op {
                    // The tick is as free as before.
                    Op::Begin { .. } => Op::Withdraw { owner, tombstone: TOMBSTONE },
                    _ => Op::Release { owner, min_hold: Duration::ZERO, tombstone: None },
                };
                return Due::GiveBack(Request { key: key.clone(), op });
            } else if may_have_run {
                let tombstone = (*ttl).max(TOMBSTONE);
                let op = Op::Withdraw { owner, tombstone };
                return Due::Later(vec![Request { key: key.clone(), op }], tombstone);
            }
            Due::Nothing
        }
        Op::Renew { owner, ttl } if is_won && vote == Vote::Against => {
            Due::TopUp(owner.clone(), *ttl)
        }
        Op::Transfer { from, to, .. } if is_won => {
            let told = shared.leases.stands(to, node, standing(vote, may_have_run));
            let mut steps: Vec<_> = told.map(|op| let_go_late(key, op, vote)).into_iter().collect();
            if vote == Vote::Fault {
                // There the lease may still be the old owner's, who is nobody any more.
                let (owner, tombstone) = (from.clone(), TOMBSTONE);
                steps.push(Request { key: key.clone(), op: Op::Withdraw { owner, tombstone } });
            }
            Due::Later(steps, shared.options.follow_up_max())
        }
        // If too few answered, the whole release is repeated.
        Op::Release { owner, min_hold, .. } if is_won && heard.result.is_err() => {
            if asked.standing(index, node) == Some(Standing::Missing) {
                return Due::Nothing;
            }
            let (owner, min_hold) = (owner.clone(), *min_hold);
            let op = Op::Release { owner, min_hold, tombstone: Some(TOMBSTONE) };
            Due::Later(vec![Request { key: key.clone(), op }], shared.options.follow_up_max())
        }
        Op::Finish { owner, outcome, .. } if is_won && heard.result.is_err() => {
            let (owner, outcome) = (owner.clone(), outcome.clone());
            let op = Op::Finish { owner, outcome, tombstone: Some(TOMBSTONE) };
            Due::Later(vec![Request { key: key.clone(), op }], shared.options.follow_up_max())
        }
        Op::Withdraw { tombstone, .. } if is_won && heard.result.is_err() => {
            Due::Later(vec![asked.steps[index].clone()], *tombstone)
        }
        _ => Due::Nothing,
    }
}

/// The step for a node that answered after the lease was released. If it is not known whether the
/// node granted, the owner is refused there from now on.
fn let_go_late(key: &Key, op: Op, vote: Vote) -> Request {
    let op = match op {
        Op::Release { owner, min_hold, tombstone } => {
            let ghost = (vote == Vote::Fault).then_some(TOMBSTONE);
            Op::Release { owner, min_hold, tombstone: tombstone.max(ghost) }
        }
        other => other,
    };
    Request { key: key.clone(), op }
}

fn standing(vote: Vote, may_have_run: bool) -> Standing {
    match vote {
        Vote::For(_) => Standing::Holds,
        Vote::Fault if may_have_run => Standing::Unsure,
        Vote::Awaited => Standing::Awaited,
        Vote::Against | Vote::Fault => Standing::Missing,
    }
}

/// Brings leases back to a node that has lost them. Nothing waits for it: its vote does not count
/// for the renewal that found it.
fn top_up(shared: &Arc<Shared>, node: usize, top_ups: Vec<(Owner, Request)>) {
    let this = Arc::clone(shared);
    let limit = shared.now() + shared.options.node_timeout();
    shared.runtime.spawn(Box::pin(async move {
        let (owners, mut steps): (Vec<_>, Vec<_>) = top_ups.into_iter().unzip();
        if mutants::has!(TopUpMints) {
            for step in &mut steps {
                if let Op::Acquire(acquire) = &mut step.op {
                    acquire.fence = FenceRule::Mint;
                }
            }
        }
        let answer = answer_by(&*this.runtime, limit, this.nodes[node].ask(steps)).await;
        for (index, owner) in owners.iter().enumerate() {
            let standing = match &answer {
                Some(Ok(replies)) if matches!(replies.get(index), Some(Reply::Granted { .. })) => {
                    Standing::Holds
                }
                Some(Err(failure)) if failure.may_have_run => Standing::Unsure,
                Some(_) => Standing::Missing,
                None => Standing::Unsure,
            };
            this.leases.topped_up(owner, node, standing);
        }
    }));
}

impl Shared {
    /// The standings of the leases that steps are about. Leases that are about to be released are
    /// topped up no more.
    pub(super) fn before(&self, steps: &[Request]) -> Vec<Vec<Standing>> {
        let standings = |step: &Request| match &step.op {
            Op::Release { owner, .. } | Op::Withdraw { owner, .. } | Op::Finish { owner, .. } => {
                self.leases.close(owner, step.op.clone())
            }
            Op::Transfer { from, .. } => {
                let (owner, tombstone) = (from.clone(), TOMBSTONE);
                self.leases.close(from, Op::Withdraw { owner, tombstone })
            }
            _ => Vec::new(),
        };
        steps.iter().map(standings).collect()
    }

    /// Enters the decision into the table of leases.
    fn enter(&self, asked: &Asked, index: usize, words: &[Word], verdict: Verdict) {
        let Verdict::Won(fence) = verdict else { return };
        let Request { key, op } = &asked.steps[index];
        let valid_for = |ttl: Duration| timing::deadline(asked.sent, ttl);
        let lease = |label, fence, ttl, value| Lease {
            key: key.clone(),
            label,
            fence,
            valid_until: valid_for(ttl),
            standings: vec![Standing::Awaited; words.len()],
            value,
            closing: None,
        };
        match op {
            Op::Acquire(Acquire { owner, label, ttl, value, .. })
            | Op::Steal(Acquire { owner, label, ttl, value, .. })
            | Op::Begin { acquire: Acquire { owner, label, ttl, value, .. }, .. } => {
                self.saw(fence);
                let lease = lease(label.clone(), fence, *ttl, value.clone());
                self.leases.enter(owner.clone(), lease, self.now());
            }
            Op::Transfer { from, to, label, ttl } => {
                let fence = self.leases.fence(from).unwrap_or(fence);
                let lease = lease(label.clone(), fence, *ttl, self.leases.value(from));
                self.leases.leave(from);
                self.leases.enter(to.clone(), lease, self.now());
            }
            Op::Renew { owner, ttl } => self.leases.renewed(owner, valid_for(*ttl)),
            Op::SetValue { owner, value, .. } => self.leases.set_value(owner, value),
            Op::Release { owner, .. } | Op::Withdraw { owner, .. } | Op::Finish { owner, .. } => {
                self.leases.leave(owner);
            }
            _ => {}
        }
    }
}

impl Asked {
    pub(super) fn standing(&self, index: usize, node: usize) -> Option<Standing> {
        self.standings[index].get(node).copied()
    }
}

fn answer(shared: &Shared, asked: &Asked, index: usize, words: &[Word], verdict: Verdict) -> Reply {
    let op = &asked.steps[index].op;
    let replies: Vec<_> = words.iter().filter_map(|word| word.reply(index)).collect();
    let won = match verdict {
        Verdict::Won(fence) => Some(fence),
        Verdict::Refused => None,
        Verdict::Open | Verdict::Differ(_) | Verdict::Unknown => {
            return report::failure(&shared.nodes, words, index, Some(op)).into_reply();
        }
    };
    match (op, won) {
        (Op::Acquire(_) | Op::Steal(_) | Op::Begin { .. }, Some(fence)) => Reply::Granted { fence },
        (Op::Acquire(_) | Op::Steal(_), None) => {
            let line = report::line(&report::nodes(&shared.nodes, words, index));
            not_granted(&replies, shared.nodes.len(), line)
        }
        (Op::Begin { .. }, None) => {
            let line = report::line(&report::nodes(&shared.nodes, words, index));
            let ran = ran(&replies, shared.nodes.len());
            ran.unwrap_or_else(|| not_granted(&replies, shared.nodes.len(), line))
        }
        (Op::Finish { .. }, Some(_)) => Reply::Finished,
        (Op::Transfer { from, .. }, Some(fence)) => {
            Reply::Transferred { fence: shared.leases.fence(from).unwrap_or(fence) }
        }
        (Op::Inspect, Some(_)) => {
            let seen = replies.iter().filter_map(|reply| match reply {
                Reply::Inspected(seen) => Some(seen),
                _ => None,
            });
            let mut merged = merge::merged(&seen.collect::<Vec<_>>(), shared.nodes.len());
            merged.nodes = report::nodes(&shared.nodes, words, index);
            Reply::Inspected(merged)
        }
        (Op::Force { .. }, Some(_)) => {
            let forced = replies.iter().filter_map(|reply| match reply {
                Reply::Forced { holders } => Some(*holders),
                _ => None,
            });
            Reply::Forced { holders: forced.max().unwrap_or_default() }
        }
        (Op::Release { .. } | Op::Withdraw { .. }, Some(_)) => let_go(&replies, words.len()),
        (Op::SetValue { .. }, Some(_)) => Reply::ValueSet,
        (_, Some(_)) => Reply::Renewed,
        (Op::Transfer { .. }, None) => {
            let line = report::line(&report::nodes(&shared.nodes, words, index));
            let guarded = guarded(&replies, shared.nodes.len(), &line);
            guarded.or_else(|| most_frequent(&replies)).unwrap_or(Reply::Gone)
        }
        (_, None) => most_frequent(&replies).unwrap_or(Reply::Gone),
    }
}

/// The refusal of a run because of the last one, if that is certain.
fn ran(replies: &[&Reply], nodes: usize) -> Option<Reply> {
    let told = replies.iter().filter_map(|reply| match reply {
        Reply::AlreadyRan(run) => Some(&**run),
        _ => None,
    });
    merge::certain_run(told, nodes).map(|run| Reply::AlreadyRan(Box::new(run.clone())))
}

/// The answer to a release: lost only if that is certain.
fn let_go(replies: &[&Reply], nodes: usize) -> Reply {
    let count = |kind: &Reply| replies.iter().filter(|reply| **reply == kind).count();
    let (gone, others) = (count(&Reply::Gone), count(&Reply::Others));
    match gone + others {
        lost if lost < majority(nodes) => Reply::Released,
        _ if others > 0 => Reply::Others,
        _ => Reply::Gone,
    }
}

/// The answer without a grant: the most frequent reason of the nodes that refused.
fn not_granted(replies: &[&Reply], nodes: usize, line: String) -> Reply {
    let is_refusal = |reply: &&Reply| !matches!(reply, Reply::Granted { .. });
    let refusals = || replies.iter().copied().filter(is_refusal);
    let is_other = |reply: &&Reply| matches!(reply, Reply::Mismatch(_) | Reply::Withdrawn);
    let others: Vec<_> = refusals().filter(is_other).collect();
    if others.len() * 2 > refusals().count()
        && let Some(other) = most_frequent(&others)
    {
        return other;
    }
    if let Some(guarded) = guarded(replies, nodes, &line) {
        return guarded;
    }
    let busy = refusals().filter_map(|reply| match reply {
        Reply::Busy { look_in, blocker } => Some((*look_in, blocker.as_ref())),
        _ => None,
    });
    let (mut look_ins, blockers): (Vec<_>, Vec<_>) = busy.unzip();
    look_ins.sort_unstable();
    // The number of nodes that must become free beside those that were.
    let granted = replies.len() - refusals().count();
    let needed = majority(nodes).saturating_sub(granted).max(1);
    let look_in = look_ins.get(needed - 1).or(look_ins.last()).copied().unwrap_or_default();
    let holders = blockers.into_iter().flatten().filter(|blocker| blocker.guarded.is_none());
    let longest = holders.max_by_key(|blocker| blocker.held_for);
    let blocker = longest.map(|by| Blocker { report: Some(line.into()), ..by.clone() });
    Reply::Busy { look_in, blocker }
}

/// The answer if only restart guards are in the way: without them enough nodes would grant.
fn guarded(replies: &[&Reply], nodes: usize, line: &str) -> Option<Reply> {
    let willing = replies.iter().filter_map(|reply| match reply {
        Reply::Granted { .. } | Reply::Transferred { .. } => Some(None),
        Reply::Busy { blocker: Some(Blocker { guarded: Some(guarded), .. }), .. } => {
            Some(Some(*guarded))
        }
        _ => None,
    });
    if willing.clone().count() < majority(nodes) {
        return None;
    }
    let guarded = merge::guarded(willing, majority(nodes))?;
    let blocker = Blocker {
        label: Label::new(""),
        held_for: guarded.known_for,
        report: Some(line.into()),
        guarded: Some(guarded),
    };
    Some(Reply::Busy { look_in: guarded.left, blocker: Some(blocker) })
}

fn most_frequent(replies: &[&Reply]) -> Option<Reply> {
    let count = |reply: &Reply| replies.iter().filter(|other| **other == reply).count();
    replies.iter().max_by_key(|reply| count(reply)).map(|reply| (*reply).clone())
}
