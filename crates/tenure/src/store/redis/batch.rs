//! Group commit: calls that wait at the same moment travel as one script call. A call that finds
//! few under way goes out at once; what comes while a batch is under way goes out together when
//! that one is answered, or before, once it is enough for a second: then the server need not wait
//! for this process between the two.
//!
//! A caller sends from its own thread if it finds few calls under way, or makes the second batch
//! full. Otherwise the engine's thread sends, where the answers arrive. So no caller's runtime can
//! hold up anybody else's calls.

use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use tokio::sync::oneshot;
use tokio_util::sync::{CancellationToken, ReusableBoxFuture};

use crate::protocol::{Reply, Request};
use crate::runtime::{Runtime, shielded};
use crate::store::StoreError;

use super::gather::Gather;

/// A script call takes no further call once it has so many steps: a script blocks its server.
const STEPS_MAX: usize = 256;
/// The same at a node of a cluster, which has a part of the keys and so of the calls.
const STEPS_MAX_OF_NODE: usize = 1_000;
/// With fewer calls than this no second batch is sent: what a batch costs by itself would be
/// shared by too few.
pub(super) const SECOND_MIN: usize = 8;

/// With no more callers than this, no call waits for others: what a batch saves the server would
/// cost its few callers their time.
pub(super) const FEW: usize = 6;
/// With each sending, a crowd of callers that is gone fades by one part in so many.
const CROWD_FADES: usize = 32;

/// The replies to some steps, in their order.
pub(super) type Replies = Result<Vec<Reply>, StoreError>;

/// The outcome of the steps of a batch.
#[derive(Debug)]
pub(super) enum Outcome {
    /// They travelled together.
    Together(Replies),
    /// Some were refused, which concerns no other.
    Apart(Vec<Result<Reply, StoreError>>),
}

/// A call under way. It is large, and its memory serves one call after the other.
pub(super) type Carrying = ReusableBoxFuture<'static, Outcome>;

/// Carries out many steps at once: the script over the link. It may use the memory of a call
/// that has ended.
pub(super) type Carrier = Box<dyn Fn(Vec<Request>, Option<Carrying>) -> Carrying + Send + Sync>;

#[derive(Debug)]
struct Call {
    steps: Vec<Request>,
    answer: oneshot::Sender<Outcome>,
}

/// When a batch is sent beside others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// Before the last one is answered, if it is few calls or enough for a second batch.
    Pipelined,
    /// When the last one is answered and its callers, or most of them, have called again; few calls
    /// at once.
    Gathered,
    /// When the last one is answered.
    OneByOne,
}

/// Where calls wait to be sent.
#[derive(Debug)]
pub(super) struct Batches {
    waiting: Arc<Mutex<Waiting>>,
    work: Arc<Mutex<Work>>,
    gone: CancellationToken,
}

#[derive(Debug)]
struct Waiting {
    calls: Vec<Call>,
    /// The number of calls that make the next batch. The last of them sends it.
    wanted: usize,
    /// The number of steps after which a batch takes no further call.
    steps_max: usize,
}

/// The sender of the calls.
struct Work {
    waiting: Arc<Mutex<Waiting>>,
    carry: Carrier,
    pace: Pace,
    /// The batches that were sent and not answered yet, in that order: two, or a few small ones.
    under_way: VecDeque<Batch>,
    /// How many steps were waiting or under way at once, lately, in parts of `CROWD_FADES`.
    crowd: usize,
    /// The memory of calls that have ended.
    rooms: Vec<Carrying>,
    /// At a node of a cluster: the wait for the callers of the last batch.
    gather: Option<Gather>,
    /// Of the task on the engine's thread: whoever sends does it in that one's name.
    waker: Option<Waker>,
}

impl Batches {
    pub(super) fn start(runtime: &Arc<dyn Runtime>, pace: Pace, carry: Carrier) -> Self {
        let gather = (pace == Pace::Gathered).then(|| Gather::new(Arc::clone(runtime)));
        let steps_max = if gather.is_some() { STEPS_MAX_OF_NODE } else { STEPS_MAX };
        let waiting = Waiting { calls: Vec::new(), wanted: 1, steps_max };
        let waiting = Arc::new(Mutex::new(waiting));
        let work = Work {
            waiting: Arc::clone(&waiting),
            carry,
            pace,
            under_way: VecDeque::with_capacity(2),
            crowd: 0,
            rooms: Vec::new(),
            gather,
            waker: None,
        };
        let work = Arc::new(Mutex::new(work));
        let gone = CancellationToken::new();
        let batches = Self { waiting, work: Arc::clone(&work), gone: gone.clone() };
        runtime.spawn(Box::pin(async move {
            tokio::select! {
                biased;
                () = gone.cancelled() => {}
                () = async {
                    loop {
                        // Without the lock: whoever is woken may want it.
                        let (callers, outcome) = poll_fn(|cx| lock(&work).receive(cx)).await;
                        answer(callers, outcome);
                    }
                } => {}
            }
        }));
        batches
    }

    /// Sends steps at once or with the next batch; `None` if what sends them broke down over it.
    pub(super) async fn send(&self, steps: Vec<Request>) -> Option<Outcome> {
        let (outcome, is_last) = {
            let mut waiting = lock(&self.waiting);
            let outcome = waiting.enter(steps);
            (outcome, waiting.calls.len() == waiting.wanted)
        };
        if is_last {
            lock(&self.work).send();
        }
        outcome.await.ok()
    }

    /// Whether callers can send by themselves by now.
    #[cfg(test)]
    pub(super) fn is_adopted(&self) -> bool {
        lock(&self.work).waker.is_some()
    }

    /// Number of batches that were sent and not answered yet.
    #[cfg(test)]
    pub(super) fn under_way(&self) -> usize {
        lock(&self.work).under_way.len()
    }
}

impl Drop for Batches {
    fn drop(&mut self) {
        self.gone.cancel();
    }
}

impl Work {
    /// The next answer, on the engine's thread.
    fn receive(&mut self, cx: &mut Context<'_>) -> Poll<(Callers, Outcome)> {
        self.waker.get_or_insert_with(|| cx.waker().clone()).clone_from(cx.waker());
        if let Some(gather) = &mut self.gather {
            gather.poll(cx);
        }
        self.send();
        let Some(first) = self.under_way.front_mut() else { return Poll::Pending };
        let outcome = ready!(first.poll(cx));
        let Some(first) = self.under_way.pop_front() else { return Poll::Pending };
        self.rooms.push(first.carrying);
        let expected = first.callers.len() + lock(&self.waiting).calls.len();
        match &mut self.gather {
            Some(gather) if self.under_way.is_empty() && expected > FEW => gather.begin(expected),
            // The next one is under way before the callers of this one wake up.
            _ => self.send(),
        }
        Poll::Ready((first.callers, outcome))
    }

    /// Sends what can be sent now; before the engine's task has first come by, nothing.
    fn send(&mut self) {
        if self.waker.is_none() {
            return;
        }
        loop {
            let is_few = self.count() <= FEW;
            let wanted = match self.under_way.front() {
                None => self.gather.as_ref().map_or(1, Gather::wanted),
                Some(_) if self.pace == Pace::OneByOne => usize::MAX,
                Some(_) if is_few => 1,
                Some(_) if self.pace == Pace::Gathered => usize::MAX,
                Some(first) if self.under_way.len() == 1 => first.callers.len().max(SECOND_MIN),
                Some(_) => usize::MAX,
            };
            let calls = lock(&self.waiting).take(wanted);
            if calls.is_empty() {
                return;
            }
            if let Some(gather) = &mut self.gather {
                gather.end();
            }
            let count = calls.iter().map(|call| call.steps.len()).sum();
            let mut steps = Vec::with_capacity(count);
            let mut callers = Vec::with_capacity(calls.len());
            for call in calls {
                callers.push((call.steps.len(), call.answer));
                steps.extend(call.steps);
            }
            let carrying = (self.carry)(steps, self.rooms.pop());
            self.add(carrying, callers);
        }
    }

    /// How many steps are there, or were lately: tasks that call again and again come one by one,
    /// and would never travel together if each went out at once.
    fn count(&mut self) -> usize {
        let of_steps = |batch: &Batch| batch.callers.iter().map(|(count, _)| count).sum::<usize>();
        let under_way: usize = self.under_way.iter().map(of_steps).sum();
        let waiting: usize = lock(&self.waiting).calls.iter().map(|call| call.steps.len()).sum();
        let now = (under_way + waiting) * CROWD_FADES;
        let faded = self.crowd - self.crowd.saturating_sub(now) / CROWD_FADES;
        self.crowd = now.max(faded);
        self.crowd / CROWD_FADES
    }

    /// A batch is under way, in the name of the engine's task.
    fn add(&mut self, mut carrying: Carrying, callers: Callers) {
        let Some(waker) = &self.waker else { return };
        let early = match carrying.poll(&mut Context::from_waker(waker)) {
            Poll::Ready(outcome) => Some(outcome),
            Poll::Pending => None,
        };
        if early.is_some() {
            // A caller who sends shall not fail the calls of all others in their place.
            waker.wake_by_ref();
        }
        self.under_way.push_back(Batch { callers, carrying, early });
    }
}

/// How many steps each has, and where its outcome goes.
type Callers = Vec<(usize, oneshot::Sender<Outcome>)>;

/// Calls that were sent together.
struct Batch {
    callers: Callers,
    carrying: Carrying,
    /// The outcome, if nothing had to be waited for.
    early: Option<Outcome>,
}

impl Batch {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Outcome> {
        match self.early.take() {
            Some(outcome) => Poll::Ready(outcome),
            None => self.carrying.poll(cx),
        }
    }
}

impl Outcome {
    /// The outcome of each of `count` steps.
    pub(super) fn each(self, count: usize) -> Vec<Result<Reply, StoreError>> {
        match self {
            Self::Together(Ok(replies)) => replies.into_iter().map(Ok).collect(),
            Self::Together(Err(failure)) => vec![Err(failure); count],
            Self::Apart(results) => results,
        }
    }

    /// The answer to a call: if some of its steps were refused, these answer that.
    pub(super) fn of_one_call(self) -> Replies {
        match self {
            Self::Together(replies) => replies,
            Self::Apart(results) => of_one_call(results),
        }
    }
}

/// The answer to a call whose steps were asked apart: the replies, or the failure if all failed.
fn of_one_call(results: Vec<Result<Reply, StoreError>>) -> Replies {
    if results.iter().any(Result::is_ok) {
        return Ok(results.into_iter().map(|r| r.unwrap_or_else(StoreError::into_reply)).collect());
    }
    results.into_iter().collect()
}

/// Each caller gets the outcome of its own steps. A caller that has gone withdraws by itself.
fn answer(callers: Callers, outcome: Outcome) {
    match outcome {
        Outcome::Apart(results) => {
            let mut results = results.into_iter();
            for (count, answer) in callers {
                let results = results.by_ref().take(count).collect();
                let _gone = shielded(|| answer.send(Outcome::Apart(results)).is_err());
            }
        }
        Outcome::Together(Ok(replies)) => {
            let mut replies = replies.into_iter();
            for (count, answer) in callers {
                let replies = replies.by_ref().take(count).collect();
                let _gone = shielded(|| answer.send(Outcome::Together(Ok(replies))).is_err());
            }
        }
        Outcome::Together(Err(failure)) => {
            for (_, answer) in callers {
                let failure = Outcome::Together(Err(failure.clone()));
                let _gone = shielded(|| answer.send(failure).is_err());
            }
        }
    }
}

impl Waiting {
    fn enter(&mut self, steps: Vec<Request>) -> oneshot::Receiver<Outcome> {
        let (answer, outcome) = oneshot::channel();
        self.calls.push(Call { steps, answer });
        outcome
    }

    /// The next batch, once so many wait: in order of coming, without those whose caller has gone
    /// before anything was sent.
    fn take(&mut self, wanted: usize) -> Vec<Call> {
        self.wanted = wanted;
        if self.calls.len() >= wanted {
            self.calls.retain(|call| !call.answer.is_closed());
        }
        if self.calls.len() < wanted {
            return Vec::new();
        }
        let mut steps = 0;
        let fitting = self.calls.iter().take_while(|call| {
            let fits = steps == 0 || steps + call.steps.len() <= self.steps_max;
            steps += call.steps.len();
            fits
        });
        let count = fitting.count();
        self.calls.drain(..count).collect()
    }
}

/// A call, in the memory of one that has ended if there is any.
pub(super) fn carrying(
    room: Option<Carrying>,
    call: impl Future<Output = Outcome> + Send + 'static,
) -> Carrying {
    match room {
        Some(mut room) => {
            room.set(call);
            room
        }
        None => Carrying::new(call),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Work").field("under_way", &self.under_way.len()).finish_non_exhaustive()
    }
}
