//! The time limit of an answer from outside of this process. A process that was stopped, or a
//! machine that slept, finds the limit over and the answer in its socket at the same moment: the
//! answer is read first. No lease is judged by such a limit.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::yield_now;

use crate::process::OfProcess;

use super::{Moment, Runtime, Task, shielded};

/// A limit that is noticed so much later than it was set for rings late.
const LATE: Duration = Duration::from_millis(10);
/// Number of turns of the event loop for which a late limit waits. In the first one the sockets are
/// read. From there an answer takes up to four more to its caller, through a batch and a quorum:
/// in each turn all tasks run that were woken in the one before.
const TURNS: u32 = 8;

/// A time limit that waits once for what is there already, if it rings late.
pub(crate) struct Limit {
    at: Moment,
    phase: Phase,
}

enum Phase {
    /// Not polled yet.
    Unset,
    Set(OfProcess<Task>),
    /// It rang late, and the answers that are there are being read.
    Grace(OfProcess<Task>),
}

impl Limit {
    pub(crate) fn new(at: Moment) -> Self {
        Self { at, phase: Phase::Unset }
    }

    /// Ends at the limit, or a little later. The work that it limits must be polled before.
    pub(crate) fn poll(&mut self, runtime: &dyn Runtime, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match &mut self.phase {
                Phase::Unset => {
                    self.phase = Phase::Set(OfProcess::new(runtime.sleep_until(self.at)));
                }
                Phase::Set(alarm) => match Pin::new(alarm).poll(cx) {
                    Poll::Ready(Ok(())) if runtime.now().since(self.at) >= LATE => {
                        self.phase = Phase::Grace(OfProcess::new(grace(runtime)));
                    }
                    ended => return ended.map(|_| ()),
                },
                Phase::Grace(grace) => return Pin::new(grace).poll(cx).map(|_| ()),
            }
        }
    }
}

/// Ends when the event loop has read what is there, and has given it to its callers.
fn grace(runtime: &dyn Runtime) -> Task {
    let (tell, told) = oneshot::channel();
    runtime.spawn(Box::pin(async move {
        for _ in 0..TURNS {
            yield_now().await;
        }
        // The caller may have its answer and be gone.
        let _gone = shielded(|| tell.send(()));
    }));
    Box::pin(async move {
        // Without the task there is nobody to read anything.
        let _ended = told.await;
    })
}

/// The output of `work`, which waits for an answer from outside; `None` if it has not ended at
/// `limit`. If that is noticed late, what is there already counts as in time.
pub(crate) async fn answer_by<T>(
    runtime: &dyn Runtime,
    limit: Moment,
    work: impl Future<Output = T>,
) -> Option<T> {
    let mut work = pin!(work);
    let mut limit = Limit::new(limit);
    poll_fn(|cx| {
        // Most work in memory ends when it is first polled, and needs no timer.
        if let Poll::Ready(done) = work.as_mut().poll(cx) {
            return Poll::Ready(Some(done));
        }
        limit.poll(runtime, cx).map(|()| None)
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::runtime::machine;

    /// Keeps the event loop from its work until the answer is dropped.
    fn held_up(runtime: &dyn Runtime) -> mpsc::Sender<()> {
        let (begun, is_begun) = mpsc::channel();
        let (over, is_over) = mpsc::channel::<()>();
        runtime.spawn(Box::pin(async move {
            let _waits = begun.send(());
            let _dropped = is_over.recv();
        }));
        is_begun.recv().expect("it begins");
        over
    }

    fn late(runtime: &dyn Runtime) -> Moment {
        runtime.now() - 2 * LATE
    }

    #[tokio::test]
    async fn what_is_there_already_is_read_before_a_late_limit_ends() {
        let runtime = machine().expect("a clock");
        let event_loop = held_up(&*runtime);
        // The answer passes through tasks, each of which runs after the turn of the one before.
        let (tell, mut told) = oneshot::channel();
        tell.send(7).expect("it is waited for");
        let mut hops: Vec<Task> = Vec::new();
        for _ in 0..5 {
            let (tell, next) = oneshot::channel();
            let before = std::mem::replace(&mut told, next);
            hops.push(Box::pin(async move {
                let answer = before.await.expect("an answer");
                tell.send(answer).expect("it is waited for");
            }));
        }
        hops.into_iter().rev().for_each(|hop| runtime.spawn(hop));
        runtime.aside(Box::new(move || drop(event_loop)));
        assert_eq!(answer_by(&*runtime, late(&*runtime), told).await, Some(Ok(7)));
    }

    #[tokio::test]
    async fn a_late_limit_ends_where_nothing_comes() {
        let runtime = machine().expect("a clock");
        let nothing = std::future::pending::<()>();
        assert_eq!(answer_by(&*runtime, late(&*runtime), nothing).await, None);
    }
}
