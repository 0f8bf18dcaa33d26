//! A store that takes its time: there are many moments at which a call can be dropped.

use std::sync::Arc;

use tenure::Key;
use tenure::protocol::{Inspection, Op, Reply, Request};
use tenure::store::{Answer, Inbox, Store};

use crate::store_wrapper::Change;

/// Waits so many polls around each call of another store.
#[derive(Debug)]
pub(crate) struct Slow {
    pub(crate) inner: Arc<dyn Store>,
    pub(crate) before: usize,
    pub(crate) after: usize,
    /// So much slower is an acquire, and a change to more units or fewer: what is sent later
    /// overtakes it.
    pub(crate) acquire_behind: usize,
    /// Dropping an answer does not stop the call: it is under way.
    pub(crate) detached: bool,
}

async fn polls(count: usize) {
    for _ in 0..count {
        tokio::task::yield_now().await;
    }
}

impl Change for Slow {
    fn within(&self) -> &dyn Store {
        &*self.inner
    }

    fn call(&self, steps: Vec<Request>) -> Answer<'_, Vec<Reply>> {
        let acquires = |op: &Op| match op {
            Op::Acquire(_)
            | Op::AcquireAll(_)
            | Op::Handoff { .. }
            | Op::Steal(_)
            | Op::Transfer { .. } => true,
            Op::Resize { from, to, .. } => from != to,
            _ => false,
        };
        let is_acquire = steps.iter().any(|step| acquires(&step.op));
        let before = self.before + if is_acquire { self.acquire_behind } else { 0 };
        let (inner, after) = (Arc::clone(&self.inner), self.after);
        let call = async move {
            polls(before).await;
            let replies = inner.call(steps).await;
            polls(after).await;
            replies
        };
        if !self.detached {
            return Box::pin(call);
        }
        let (tell, told) = tokio::sync::oneshot::channel();
        tokio::spawn(async move {
            // Nobody may be listening any more.
            let _dropped = tell.send(call.await);
        });
        Box::pin(async { told.await.expect("the call runs to its end") })
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a Key>,
        limit: usize,
    ) -> Answer<'a, Vec<(Key, Inspection)>> {
        Box::pin(async move {
            polls(self.before).await;
            let page = self.inner.list(prefix, after, limit).await;
            polls(self.after).await;
            page
        })
    }

    fn inbox(&self) -> Answer<'_, Option<Inbox>> {
        Box::pin(async {
            polls(self.before).await;
            let inbox = self.inner.inbox().await;
            polls(self.after).await;
            inbox
        })
    }
}
