//! One call of a quorum: its steps go to all nodes in a round, and in a second one where fences
//! differ. It decides; `outcome` acts on the decision.

use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::mutants;
use crate::protocol::{
    Acquire, FenceRule, Op, Reply, Request, TickClock, Ticks, Verdict, Vote, Votes, majority,
};
use crate::runtime::{shown, unhindered};
use crate::store::{StoreError, StoreErrorClass};
use crate::types::{Claim, Fence};

use super::leases::Standing;
use super::outcome::{self, Asked};
use super::round::{Heard, Round, Word};
use super::{Shared, report};

/// The least extra time for the other nodes after a majority has answered, where every node's
/// answer is wanted or the majority is split.
const STRAGGLERS: Duration = Duration::from_millis(100);

/// The extra time for the other nodes, after the majority took `heard`. A busy machine, or a long
/// way, makes all of them slow.
fn stragglers(heard: Duration) -> Duration {
    STRAGGLERS.max(4 * heard)
}

/// Asks all nodes for their identities. A minority may be out of reach.
pub(super) async fn introduce(shared: &Arc<Shared>) -> Result<(), StoreError> {
    // A call without steps only asks for the identity.
    let (runtime, limit) = (&shared.runtime, shared.options.node_timeout());
    let mut round = Round::new(runtime, &shared.nodes, limit, |_| Some(Vec::new()));
    let fit = |words: &[Word]| words.iter().filter(|word| word.reply_came()).count();
    let (majority, sent) = (majority(shared.nodes.len()), shared.now());
    round.listen(|words| fit(words) >= majority).await;
    // Healthy nodes have answered by then.
    round.shorten(stragglers(shared.now().since(sent)));
    round.listen(|_| false).await;
    for (node, word) in shared.nodes.iter().zip(&round.words) {
        let failure = word.heard().and_then(|heard| heard.result.as_ref().err());
        let is_unfit = failure.filter(|f| f.class == StoreErrorClass::Config);
        if let Some(unfit) = is_unfit {
            let message = format!("node {} ({}): {}", node.index + 1, node.name, unfit.message);
            return Err(StoreError { message, ..unfit.clone() });
        }
    }
    if fit(&round.words) < majority {
        return Err(report::failure(&shared.nodes, &round.words, 0, None));
    }
    Ok(())
}

/// Carries steps out. A step that no quorum carries is refused without asking the nodes.
pub(super) async fn carry(
    shared: &Arc<Shared>,
    steps: Vec<Request>,
) -> Result<Vec<Reply>, StoreError> {
    let mut replies: Vec<_> = steps.iter().map(|step| refusal(shared, &step.op)).collect();
    let open = steps.into_iter().zip(&replies).filter(|(_, reply)| reply.is_none());
    let open: Arc<[Request]> = open.map(|(step, _)| step).collect();
    if !open.is_empty() {
        let mut answers = apart(shared, open).await?.into_iter();
        replies.iter_mut().filter(|r| r.is_none()).for_each(|r| *r = answers.next());
    }
    replies.into_iter().collect::<Option<_>>().ok_or_else(|| defect("left out a step"))
}

fn defect(what: &str) -> StoreError {
    let message = format!("a call of a quorum {what}; this is a defect in Tenure");
    StoreError { class: StoreErrorClass::Internal, message, may_have_run: true, source: None }
}

/// Sends in place, from the caller's thread, and leaves the rest to a task of the runtime: the
/// caller wakes up once, when the answer is certain, and not for each node. If it goes away, so
/// does the task.
async fn apart(shared: &Arc<Shared>, steps: Arc<[Request]>) -> Result<Vec<Reply>, StoreError> {
    let mut rounds = Box::pin(rounds(Arc::clone(shared), steps));
    // No node may hold up the requests to the others.
    let in_place = unhindered(|| rounds.as_mut().poll(&mut Context::from_waker(Waker::noop())));
    // Local stores answer at once.
    if let Poll::Ready(answer) = in_place {
        return answer;
    }
    let (mut tell, told) = oneshot::channel();
    shared.runtime.spawn(Box::pin(async move {
        tokio::select! {
            biased;
            answer = rounds => drop(tell.send(answer)),
            () = tell.closed() => {}
        }
    }));
    told.await.unwrap_or_else(|_| Err(defect("lost its task")))
}

async fn rounds(shared: Arc<Shared>, steps: Arc<[Request]>) -> Result<Vec<Reply>, StoreError> {
    let shared = &shared;
    let sent = shared.now();
    let standings = shared.before(&steps);
    let asked = Asked { steps, sent, standings };
    let limit = limit(shared, &asked.steps);
    let proposal = Proposal { fence: shared.proposal(), wall: shared.runtime.wall_micros() };
    let mut first = Round::new(&shared.runtime, &shared.nodes, limit, |node| {
        let prepared =
            |(index, step): (usize, &Request)| asked.prepared(index, step, node, proposal);
        // A lone release leaves out a node that has not answered the acquire: `outcome` tells it
        // when it has.
        let is_early = |index| asked.standing(index, node) == Some(Standing::Awaited);
        let lone = matches!(&asked.steps[..], [Request { op: Op::Release { .. }, .. }]);
        let steps = || asked.steps.iter().enumerate().map(prepared).collect();
        (!(lone && is_early(0))).then(steps)
    });
    let all = |words: &[Word], is_done: fn(&Op, usize, &[Word]) -> bool| {
        asked.steps.iter().enumerate().all(|(index, step)| is_done(&step.op, index, words))
    };
    first.listen(|words| all(words, |op, i, w| is_settled(op, i, w) || is_split(op, i, w))).await;
    let heard = shared.now().since(sent);
    if !all(&first.words, is_settled) {
        first.shorten(stragglers(heard));
        first.listen(|words| all(words, is_settled)).await;
    }
    if asked.steps.iter().any(|step| matches!(step.op, Op::Inspect | Op::Force { .. })) {
        // Every node's answer is wanted here.
        first.shorten(stragglers(heard));
        first.listen(|_| false).await;
    }
    let verdicts = asked.steps.iter().enumerate();
    let mut verdicts: Vec<_> = verdicts.map(|(i, s)| verdict(&s.op, i, &first.words)).collect();
    let differ = differ(&asked.steps, &verdicts, &first.words);
    raise(shared, &asked.steps, differ, &mut verdicts, limit).await;
    outcome::settle(shared, asked, first, verdicts).await
}

/// Whether no further answer can change what the step comes to.
fn is_settled(op: &Op, index: usize, words: &[Word]) -> bool {
    if verdict(op, index, words) == Verdict::Open {
        return false;
    }
    if !matches!(op, Op::Release { .. }) {
        return true;
    }
    // Right after the end of a lease one node may still release what most have forgotten.
    let is_awaited = |word: &Word| matches!(word, Word::Awaited(_));
    let count = |is_meant: fn(&Reply) -> bool| {
        words.iter().filter_map(|word| word.reply(index)).filter(|r| is_meant(r)).count()
    };
    let released = count(|reply| *reply == Reply::Released);
    let lost = count(|reply| matches!(reply, Reply::Gone | Reply::Others));
    released.max(lost) >= majority(words.len()) || !words.iter().any(is_awaited)
}

/// Whether a majority has answered without a decision, because others hold some of its nodes. Two
/// clients that both waited on for a silent node would block each other, attempt after attempt.
fn is_split(op: &Op, index: usize, words: &[Word]) -> bool {
    grants(op).is_some() && votes(op, index, words).answered() >= majority(words.len())
}

/// The claim of a step that grants anew.
fn grants(op: &Op) -> Option<&Acquire> {
    match op {
        Op::Acquire(acquire) | Op::Steal(acquire) | Op::Begin { acquire, .. } => Some(acquire),
        _ => None,
    }
}

/// The numbers that all nodes are asked to agree on.
#[derive(Debug, Clone, Copy)]
struct Proposal {
    fence: FenceRule,
    /// The time by which ticks are counted.
    wall: u64,
}

/// A grant whose nodes came to different fences.
struct Difference {
    step: usize,
    /// The largest fence.
    fence: Fence,
    /// The votes of the first round.
    votes: Votes,
}

fn differ(steps: &[Request], verdicts: &[Verdict], words: &[Word]) -> Vec<Difference> {
    let difference = |(step, verdict): (usize, &Verdict)| match verdict {
        Verdict::Differ(fence) => {
            let votes = votes(&steps[step].op, step, words);
            Some(Difference { step, fence: *fence, votes })
        }
        _ => None,
    };
    verdicts.iter().enumerate().filter_map(difference).collect()
}

impl Difference {
    /// Whether the fence must be written to this node.
    fn is_below(&self, node: usize) -> bool {
        matches!(self.votes.of(node), Vote::For(fence) if fence < self.fence)
    }

    fn raise(&self, steps: &[Request]) -> Option<Request> {
        let Request { key, op } = &steps[self.step];
        let acquire = grants(op)?;
        let op = Op::Raise { owner: acquire.owner.clone(), fence: self.fence };
        Some(Request { key: key.clone(), op })
    }
}

/// The second round: writes the largest fence to a majority, where the owner still holds.
async fn raise(
    shared: &Arc<Shared>,
    steps: &[Request],
    differ: Vec<Difference>,
    verdicts: &mut [Verdict],
    limit: Duration,
) {
    if differ.is_empty() {
        return;
    }
    if mutants::has!(PlainMaximum) {
        differ.iter().for_each(|it| verdicts[it.step] = Verdict::Won(it.fence));
        return;
    }
    let mut second = Round::new(&shared.runtime, &shared.nodes, limit, |node| {
        let below = differ.iter().filter(|it| it.is_below(node));
        let raises: Vec<_> = below.filter_map(|it| it.raise(steps)).collect();
        (!raises.is_empty()).then_some(raises)
    });
    second
        .listen(|words| raised(&differ, words).iter().all(|verdict| *verdict != Verdict::Open))
        .await;
    for (it, verdict) in differ.iter().zip(raised(&differ, &second.words)) {
        verdicts[it.step] = match verdict {
            Verdict::Won(_) => Verdict::Won(it.fence),
            Verdict::Open | Verdict::Differ(_) => Verdict::Unknown,
            lost => lost,
        };
    }
}

/// The result of the second round, for each difference.
fn raised(differ: &[Difference], words: &[Word]) -> Vec<Verdict> {
    let mut next = vec![0; words.len()];
    let verdict = |it: &Difference| {
        let mut votes = Votes::new(words.len());
        for (node, word) in words.iter().enumerate() {
            let vote = match it.votes.of(node) {
                Vote::For(_) if it.is_below(node) => {
                    next[node] += 1;
                    vote(&Op::Inspect, word, next[node] - 1)
                }
                // A node that has not answered the first round is not asked in the second.
                Vote::Awaited => Vote::Fault,
                // Where the fence is the largest already, nothing needs to be written.
                other => other,
            };
            votes.cast(node, vote);
        }
        votes.on_deed()
    };
    differ.iter().map(verdict).collect()
}

impl Asked {
    /// The step as one node gets it.
    fn prepared(&self, index: usize, step: &Request, node: usize, proposal: Proposal) -> Request {
        let op = match &step.op {
            Op::Acquire(acquire) => Op::Acquire(proposed(acquire, proposal)),
            Op::Steal(acquire) => Op::Steal(proposed(acquire, proposal)),
            Op::Release { owner, min_hold, tombstone } => {
                let may_grant = self.standing(index, node).is_some_and(Standing::may_grant);
                let ghost = may_grant.then_some(outcome::TOMBSTONE);
                let (owner, tombstone) = (owner.clone(), (*tombstone).max(ghost));
                Op::Release { owner, min_hold: *min_hold, tombstone }
            }
            Op::Begin { acquire, ticks } => {
                // Twice as far apart, two hosts are still in one tick or in neighbours.
                let clock = TickClock::Proposed { now: proposal.wall, within: ticks.every / 2 };
                let acquire = proposed(acquire, proposal);
                Op::Begin { acquire, ticks: Ticks { clock, ..*ticks } }
            }
            Op::Finish { owner, outcome, tombstone } => {
                let standing = self.standing(index, node);
                let may_grant = |at: Standing| at.may_grant() || at == Standing::Awaited;
                let ghost = standing.is_some_and(may_grant).then_some(outcome::TOMBSTONE);
                let (owner, outcome) = (owner.clone(), outcome.clone());
                Op::Finish { owner, outcome, tombstone: (*tombstone).max(ghost) }
            }
            other => other.clone(),
        };
        Request { key: step.key.clone(), op }
    }
}

fn proposed(acquire: &Acquire, proposal: Proposal) -> Acquire {
    Acquire { queue: None, fence: proposal.fence, ..acquire.clone() }
}

/// The refusal of a step that no quorum carries.
fn refusal(shared: &Shared, op: &Op) -> Option<Reply> {
    let (claim, ttl) = match op {
        Op::Acquire(acquire) | Op::Steal(acquire) | Op::Begin { acquire, .. } => {
            (acquire.claim, acquire.ttl)
        }
        Op::Renew { ttl, .. } | Op::Transfer { ttl, .. } => (Claim::EXCLUSIVE, *ttl),
        Op::Handoff { .. } => {
            let why = "a quorum has no line in which a lock could be passed on; release it";
            return Some(Reply::Refused(why.into()));
        }
        Op::AcquireAll(_) => {
            let why = "a quorum takes no two keys in one step; acquire one after the other";
            return Some(Reply::Refused(why.into()));
        }
        Op::Resize { .. } | Op::SetLimit { .. } => {
            let why = "a quorum carries locks of one holder only, which have no units to change";
            return Some(Reply::Refused(why.into()));
        }
        _ => return None,
    };
    if !claim.is_exclusive() {
        let why = "a quorum carries locks of one holder only: more units than there are could \
                   be won on nodes that are all within their limit";
        return Some(Reply::Refused(why.into()));
    }
    let max = shared.capabilities.ttl_max;
    let why = || {
        format!(
            "a ttl of {ttl} is above the quorum's max_ttl of {max}",
            ttl = shown(ttl),
            max = shown(max)
        )
    };
    (ttl > max).then(|| Reply::Refused(why().into()))
}

/// The time limit for nodes. An answer after the ttl is worth nothing.
fn limit(shared: &Shared, steps: &[Request]) -> Duration {
    let ttl = |step: &Request| Some(grants(&step.op)?.ttl);
    let shortest = steps.iter().filter_map(ttl).min();
    shortest.map_or(shared.options.node_timeout(), |ttl| ttl.min(shared.options.node_timeout()))
}

/// The decision about a step, as far as nodes have answered.
pub(super) fn verdict(op: &Op, index: usize, words: &[Word]) -> Verdict {
    let votes = votes(op, index, words);
    if grants(op).is_some() { votes.on_grant() } else { votes.on_deed() }
}

pub(super) fn votes(op: &Op, index: usize, words: &[Word]) -> Votes {
    let mut votes = Votes::new(words.len());
    words.iter().enumerate().for_each(|(node, word)| votes.cast(node, vote(op, word, index)));
    votes
}

/// A node's answer to one of the steps, as a vote.
pub(super) fn vote(op: &Op, word: &Word, index: usize) -> Vote {
    let reply = match word {
        Word::Unasked => return Vote::Fault,
        Word::Awaited(_) => return Vote::Awaited,
        Word::Heard(Heard { result: Err(_), .. }) => return Vote::Fault,
        Word::Heard(Heard { result: Ok(replies), .. }) => replies.get(index),
    };
    match (op, reply) {
        (_, Some(Reply::Granted { fence } | Reply::Transferred { fence })) => Vote::For(*fence),
        (_, None | Some(Reply::Refused(_) | Reply::Full(_) | Reply::Unknown(_))) => Vote::Fault,
        (Op::Acquire(_) | Op::Steal(_) | Op::Begin { .. }, Some(_)) => Vote::Against,
        (
            _,
            Some(
                Reply::Renewed
                | Reply::ValueSet
                | Reply::Inspected(_)
                | Reply::Forced { .. }
                | Reply::Finished,
            ),
        ) => Vote::For(Fence::default()),
        // Any answer to a release means that the node holds the lease no more.
        (Op::Release { .. } | Op::Withdraw { .. }, Some(_)) => Vote::For(Fence::default()),
        (_, Some(_)) => Vote::Against,
    }
}
