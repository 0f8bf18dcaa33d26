//! Group commit: calls that wait at the same moment travel as one script call. A lone call goes
//! out at once; what comes while one is under way goes out together when that one is answered.
//!
//! One future does the work, and whoever has a reason moves it on: a caller who finds nothing
//! under way sends its call itself, from its own thread; else the engine's thread does, where
//! the answers arrive. So no caller's runtime can hold up anybody else's calls, and a lone call
//! costs one change of threads, for its answer.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::logic::{Reply, Step};
use crate::seam::Seam;
use crate::store::StoreError;

/// A script call takes no further call once it has so many steps: a script blocks its server.
const STEPS_MAX: usize = 256;

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

#[derive(Debug, Default)]
struct Waiting {
    calls: Vec<Call>,
    /// Somebody sees to it that these calls are sent. Only whoever sets it moves the work on.
    is_seen_to: bool,
}

/// What sends the calls.
struct Work {
    /// Away while it is being moved on.
    run: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// Of the task on the engine's thread: whoever moves the work on does it in that one's name.
    waker: Option<Waker>,
}

impl Batches {
    pub(super) fn start(seam: &dyn Seam, carry: Carrier) -> Self {
        let waiting = Arc::<Mutex<Waiting>>::default();
        let run = Box::pin(run(Arc::clone(&waiting), carry));
        let work = Arc::new(Mutex::new(Work { run: Some(run), waker: None }));
        let gone = CancellationToken::new();
        let batches = Self { waiting, work: Arc::clone(&work), gone: gone.clone() };
        seam.spawn(Box::pin(async move {
            tokio::select! {
                biased;
                () = gone.cancelled() => {}
                () = poll_fn(|cx| lock(&work).adopt(cx)) => {}
            }
        }));
        batches
    }

    /// Sends steps with the next batch; `None` if what sends them broke down over it.
    pub(super) async fn send(&self, steps: Vec<Step>) -> Option<Replies> {
        let (answer, replies) = oneshot::channel();
        let is_mine = {
            let mut waiting = lock(&self.waiting);
            waiting.calls.push(Call { steps, answer });
            !std::mem::replace(&mut waiting.is_seen_to, true)
        };
        if is_mine {
            lock(&self.work).move_on();
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
    /// Moves on, from the task on the engine's thread.
    fn adopt(&mut self, cx: &Context<'_>) -> Poll<()> {
        self.waker = Some(cx.waker().clone());
        self.move_on();
        Poll::Pending
    }

    /// Moves on as far as can be done now; before that task has first come by, not at all.
    fn move_on(&mut self) {
        let Some(waker) = &self.waker else { return };
        // Should it panic, it stays away: a future that has panicked must not be asked again.
        let Some(mut run) = self.run.take() else { return };
        if run.as_mut().poll(&mut Context::from_waker(waker)).is_pending() {
            self.run = Some(run);
        }
    }
}

/// Sends batch after batch. It never ends.
async fn run(waiting: Arc<Mutex<Waiting>>, carry: Carrier) {
    loop {
        let calls = poll_fn(|_| lock(&waiting).next()).await;
        let mut batch = Batch::send(calls, &carry).await;
        loop {
            let replies = batch.replies().await;
            // The next one is under way before the callers of this one wake up.
            let calls = lock(&waiting).take();
            if calls.is_empty() {
                batch.answer(replies);
                break;
            }
            let next = Batch::send(calls, &carry).await;
            std::mem::replace(&mut batch, next).answer(replies);
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
    async fn send(calls: Vec<Call>, carry: &Carrier) -> Self {
        let count = calls.iter().map(|call| call.steps.len()).sum();
        let (mut steps, mut callers) = (Vec::with_capacity(count), Vec::with_capacity(calls.len()));
        for call in calls {
            callers.push((call.steps.len(), call.answer));
            steps.extend(call.steps);
        }
        let mut carrying = carry(steps);
        let early = poll_fn(|cx| match carrying.as_mut().poll(cx) {
            Poll::Ready(replies) => Poll::Ready(Some(replies)),
            Poll::Pending => Poll::Ready(None),
        });
        let early = early.await;
        Self { callers, carrying, early }
    }

    async fn replies(&mut self) -> Replies {
        let Some(replies) = self.early.take() else { return self.carrying.as_mut().await };
        // A caller who moves this on shall not fail the calls of all others in their place.
        let mut is_later = false;
        poll_fn(|cx| {
            if std::mem::replace(&mut is_later, true) {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
        replies
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
    /// The next batch; while there is none, whoever comes sees to it.
    fn next(&mut self) -> Poll<Vec<Call>> {
        let calls = self.take();
        if calls.is_empty() {
            self.is_seen_to = false;
            return Poll::Pending;
        }
        Poll::Ready(calls)
    }

    /// The next batch: in order of coming, without those whose caller has gone before anything
    /// was sent.
    fn take(&mut self) -> Vec<Call> {
        self.calls.retain(|call| !call.answer.is_closed());
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
        f.debug_struct("Work").field("has_broken_down", &self.run.is_none()).finish_non_exhaustive()
    }
}
