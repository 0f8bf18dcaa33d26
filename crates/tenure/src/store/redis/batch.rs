//! Group commit: calls that wait at the same moment travel as one script call. A lone call goes
//! out at once; what comes while one is under way goes out together when that one is answered, or
//! before, once it is enough for a second: then the server need not wait for this process between
//! the two.
//!
//! Whoever has a reason sends: a caller who finds nothing under way, or makes the second batch
//! full, from its own thread; else the engine's thread, where the answers arrive. So no caller's
//! runtime can hold up anybody else's calls, and a lone call costs one change of threads, for its
//! answer.

use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::logic::{Reply, Step};
use crate::seam::Seam;
use crate::store::StoreError;

/// A script call takes no further call once it has so many steps: a script blocks its server.
const STEPS_MAX: usize = 256;
/// With fewer calls than this no second batch is sent: what a batch costs by itself would be
/// shared by too few.
pub(super) const SECOND_MIN: usize = 8;

/// The replies to some steps, in their order.
type Replies = Result<Vec<Reply>, StoreError>;
type Carrying = Pin<Box<dyn Future<Output = Replies> + Send>>;

/// Carries out many steps at once: the script over the link.
pub(super) type Carrier = Box<dyn Fn(Vec<Step>) -> Carrying + Send + Sync>;

#[derive(Debug)]
struct Call {
    steps: Vec<Step>,
    answer: oneshot::Sender<Replies>,
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
    /// How many make the next batch. Whoever comes as the last of them sees to its sending.
    wanted: usize,
}

/// What sends the calls.
struct Work {
    waiting: Arc<Mutex<Waiting>>,
    carry: Carrier,
    /// What was sent and is not answered yet, in that order: two batches at the most.
    under_way: VecDeque<Batch>,
    /// Of the task on the engine's thread: whoever sends does it in that one's name.
    waker: Option<Waker>,
}

impl Batches {
    pub(super) fn start(seam: &dyn Seam, carry: Carrier) -> Self {
        let waiting = Arc::new(Mutex::new(Waiting { calls: Vec::new(), wanted: 1 }));
        let under_way = VecDeque::with_capacity(2);
        let work = Work { waiting: Arc::clone(&waiting), carry, under_way, waker: None };
        let work = Arc::new(Mutex::new(work));
        let gone = CancellationToken::new();
        let batches = Self { waiting, work: Arc::clone(&work), gone: gone.clone() };
        seam.spawn(Box::pin(async move {
            tokio::select! {
                biased;
                () = gone.cancelled() => {}
                () = async {
                    loop {
                        // Without the lock: whoever is woken may want it.
                        let (batch, replies) = poll_fn(|cx| lock(&work).receive(cx)).await;
                        batch.answer(replies);
                    }
                } => {}
            }
        }));
        batches
    }

    /// Sends steps with the next batch; `None` if what sends them broke down over it.
    pub(super) async fn send(&self, steps: Vec<Step>) -> Option<Replies> {
        let (answer, replies) = oneshot::channel();
        let is_last = {
            let mut waiting = lock(&self.waiting);
            waiting.calls.push(Call { steps, answer });
            waiting.calls.len() == waiting.wanted
        };
        if is_last {
            lock(&self.work).send();
        }
        replies.await.ok()
    }

    /// Whether callers can send by themselves by now.
    #[cfg(test)]
    pub(super) fn is_adopted(&self) -> bool {
        lock(&self.work).waker.is_some()
    }
}

impl Drop for Batches {
    fn drop(&mut self) {
        self.gone.cancel();
    }
}

impl Work {
    /// What is answered next, on the engine's thread.
    fn receive(&mut self, cx: &mut Context<'_>) -> Poll<(Batch, Replies)> {
        self.waker.get_or_insert_with(|| cx.waker().clone()).clone_from(cx.waker());
        self.send();
        let Some(first) = self.under_way.front_mut() else { return Poll::Pending };
        let replies = ready!(first.poll(cx));
        let Some(first) = self.under_way.pop_front() else { return Poll::Pending };
        // The next one is under way before the callers of this one wake up.
        self.send();
        Poll::Ready((first, replies))
    }

    /// Sends what can be sent now; before the engine's task has first come by, nothing.
    fn send(&mut self) {
        let Some(waker) = &self.waker else { return };
        loop {
            let wanted = match self.under_way.front() {
                None => 1,
                Some(first) if self.under_way.len() == 1 => first.callers.len().max(SECOND_MIN),
                Some(_) => usize::MAX,
            };
            let calls = lock(&self.waiting).take(wanted);
            if calls.is_empty() {
                return;
            }
            let cx = &mut Context::from_waker(waker);
            self.under_way.push_back(Batch::send(calls, &self.carry, cx));
        }
    }
}

/// Calls that were sent together.
struct Batch {
    callers: Vec<(usize, oneshot::Sender<Replies>)>,
    carrying: Carrying,
    /// The outcome, if nothing had to be waited for.
    early: Option<Replies>,
}

impl Batch {
    fn send(calls: Vec<Call>, carry: &Carrier, cx: &mut Context<'_>) -> Self {
        let count = calls.iter().map(|call| call.steps.len()).sum();
        let (mut steps, mut callers) = (Vec::with_capacity(count), Vec::with_capacity(calls.len()));
        for call in calls {
            callers.push((call.steps.len(), call.answer));
            steps.extend(call.steps);
        }
        let mut carrying = carry(steps);
        let early = match carrying.as_mut().poll(cx) {
            Poll::Ready(replies) => Some(replies),
            Poll::Pending => None,
        };
        if early.is_some() {
            // A caller who sends shall not fail the calls of all others in their place.
            cx.waker().wake_by_ref();
        }
        Self { callers, carrying, early }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Replies> {
        match self.early.take() {
            Some(replies) => Poll::Ready(replies),
            None => self.carrying.as_mut().poll(cx),
        }
    }

    fn answer(self, replies: Replies) {
        match replies {
            Ok(replies) => {
                let mut replies = replies.into_iter();
                for (count, answer) in self.callers {
                    // A caller that has gone withdraws by itself.
                    let _gone = answer.send(Ok(replies.by_ref().take(count).collect()));
                }
            }
            Err(failure) => {
                for (_, answer) in self.callers {
                    let _gone = answer.send(Err(failure.clone()));
                }
            }
        }
    }
}

impl Waiting {
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
            let fits = steps == 0 || steps + call.steps.len() <= STEPS_MAX;
            steps += call.steps.len();
            fits
        });
        let count = fitting.count();
        self.calls.drain(..count).collect()
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
