//! One question to all nodes at once. It ends as soon as it is decided, or at its time limit;
//! requests that are still under way then can be followed to their end. It decides nothing.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use crate::protocol::{Reply, Request};
use crate::runtime::{Limit, Moment, Runtime, shown};
use crate::store::{StoreError, StoreErrorClass};

use super::node::{Asking, Node};

/// The answer of a node, and how long it took.
#[derive(Debug, Clone)]
pub(super) struct Heard {
    pub(super) result: Result<Vec<Reply>, StoreError>,
    pub(super) took: Duration,
    /// Whether the round has ended without an answer.
    pub(super) is_silence: bool,
}

/// The state of one node in a round.
pub(super) enum Word {
    /// Not asked in this round.
    Unasked,
    /// Asked, and not answered.
    Awaited(Asking),
    Heard(Heard),
}

pub(super) struct Round {
    runtime: Arc<dyn Runtime>,
    started: Moment,
    limit: Duration,
    alarm: Limit,
    pub(super) words: Vec<Word>,
}

impl Round {
    /// Asks each node for its `steps`; `None`: it is not asked. Nothing is sent before the first
    /// poll.
    pub(super) fn new(
        runtime: &Arc<dyn Runtime>,
        nodes: &[Arc<Node>],
        limit: Duration,
        mut steps: impl FnMut(usize) -> Option<Vec<Request>>,
    ) -> Self {
        let started = runtime.now();
        let ask = |node: &Arc<Node>| match steps(node.index) {
            Some(steps) => Word::Awaited(node.ask(steps)),
            None => Word::Unasked,
        };
        let words = nodes.iter().map(ask).collect();
        let alarm = Limit::new(started + limit);
        Self { runtime: Arc::clone(runtime), started, limit, alarm, words }
    }

    /// Listens until `decided`, until all have answered, or until the limit is over. Nodes that
    /// are silent at the limit count as failed.
    pub(super) async fn listen(&mut self, mut decided: impl FnMut(&[Word]) -> bool) {
        poll_fn(|cx| {
            let mut heard_more = false;
            for word in &mut self.words {
                let Word::Awaited(asking) = word else { continue };
                if let Poll::Ready(result) = asking.as_mut().poll(cx) {
                    let took = self.runtime.now().since(self.started);
                    *word = Word::Heard(Heard { result, took, is_silence: false });
                    heard_more = true;
                }
            }
            // After all were polled: an answer at once must not leave a node unasked.
            let is_over = !self.words.iter().any(|word| matches!(word, Word::Awaited(_)));
            if is_over || (heard_more && decided(&self.words)) {
                return Poll::Ready(());
            }
            if self.alarm.poll(&*self.runtime, cx).is_ready() {
                self.silence();
                return Poll::Ready(());
            }
            Poll::Pending
        })
        .await;
    }

    /// Gives the nodes that are still awaited this much longer, within the limit.
    pub(super) fn shorten(&mut self, span: Duration) {
        let end = (self.started + self.limit).min(self.runtime.now() + span);
        self.limit = end.since(self.started);
        self.alarm = Limit::new(end);
    }

    /// Ends the round: every node that is still awaited has failed.
    fn silence(&mut self) {
        let limit = self.limit;
        for word in &mut self.words {
            if matches!(word, Word::Awaited(_)) {
                let result = Err(StoreError {
                    class: StoreErrorClass::Transient,
                    message: format!("no answer within {limit}", limit = shown(limit)),
                    may_have_run: true,
                    source: None,
                });
                *word = Word::Heard(Heard { result, took: limit, is_silence: true });
            }
        }
    }
}

impl Word {
    pub(super) fn heard(&self) -> Option<&Heard> {
        match self {
            Self::Heard(heard) => Some(heard),
            Self::Unasked | Self::Awaited(_) => None,
        }
    }

    pub(super) fn reply_came(&self) -> bool {
        self.heard().is_some_and(|heard| heard.result.is_ok())
    }

    /// The reply to one of the steps.
    pub(super) fn reply(&self, step: usize) -> Option<&Reply> {
        self.heard()?.result.as_ref().ok()?.get(step)
    }
}
