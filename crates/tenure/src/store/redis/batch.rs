//! Group commit: calls that wait at the same moment travel as one script call. A lone call goes
//! out at once; what comes while one is under way goes out together when that one is answered.
//!
//! The work is done by a task of the engine's thread, where the link lives as well: no caller's
//! runtime can hold up anybody else's calls, and a call costs no hop more than the link does.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;

use crate::logic::{Reply, Step};
use crate::seam::Seam;
use crate::store::StoreError;

/// A script call takes no further call once it has so many steps: a script blocks its server.
const STEPS_MAX: usize = 256;

/// Carries out many steps at once: the script over the link.
pub(super) type Carrier = Box<
    dyn Fn(Vec<Step>) -> Pin<Box<dyn Future<Output = Result<Vec<Reply>, StoreError>> + Send>>
        + Send
        + Sync,
>;

#[derive(Debug)]
struct Call {
    steps: Vec<Step>,
    answer: oneshot::Sender<Result<Vec<Reply>, StoreError>>,
}

/// Where calls wait to be sent.
#[derive(Debug)]
pub(super) struct Batches {
    waiting: Arc<Waiting>,
    gone: CancellationToken,
}

#[derive(Debug, Default)]
struct Waiting {
    calls: Mutex<Vec<Call>>,
    came: Notify,
}

impl Batches {
    pub(super) fn start(seam: &dyn Seam, carry: Carrier) -> Self {
        let waiting = Arc::new(Waiting::default());
        let gone = CancellationToken::new();
        let batches = Self { waiting: Arc::clone(&waiting), gone: gone.clone() };
        seam.spawn(Box::pin(async move {
            tokio::select! {
                biased;
                () = gone.cancelled() => {}
                () = run(&waiting, &carry) => {}
            }
        }));
        batches
    }

    /// Sends steps with the next batch; `None` if the engine's thread has ended.
    pub(super) async fn send(&self, steps: Vec<Step>) -> Option<Result<Vec<Reply>, StoreError>> {
        let (answer, replies) = oneshot::channel();
        self.waiting.lock().push(Call { steps, answer });
        self.waiting.came.notify_one();
        replies.await.ok()
    }
}

impl Drop for Batches {
    fn drop(&mut self) {
        self.gone.cancel();
    }
}

impl Waiting {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Call>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next batch: in order of coming, without those whose caller has gone before anything
    /// was sent.
    fn take(&self) -> Vec<Call> {
        let mut waiting = self.lock();
        waiting.retain(|call| !call.answer.is_closed());
        let mut steps = 0;
        let fitting = waiting.iter().take_while(|call| {
            let fits = steps == 0 || steps + call.steps.len() <= STEPS_MAX;
            steps += call.steps.len();
            fits
        });
        let count = fitting.count();
        waiting.drain(..count).collect()
    }
}

async fn run(waiting: &Waiting, carry: &Carrier) {
    loop {
        let calls = waiting.take();
        if calls.is_empty() {
            waiting.came.notified().await;
            continue;
        }
        let (mut steps, mut callers) = (Vec::new(), Vec::with_capacity(calls.len()));
        for call in calls {
            callers.push((call.steps.len(), call.answer));
            steps.extend(call.steps);
        }
        match carry(steps).await {
            Ok(replies) => {
                let mut replies = replies.into_iter();
                for (count, answer) in callers {
                    // A caller that has gone withdraws by itself.
                    let _gone = answer.send(Ok(replies.by_ref().take(count).collect()));
                }
            }
            Err(failure) => {
                for (_, answer) in callers {
                    let _gone = answer.send(Err(failure.clone()));
                }
            }
        }
    }
}
