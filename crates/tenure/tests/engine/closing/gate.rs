//! A store that holds back its answers until the test lets them through.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tenure::protocol::{Op, Reply, Request};
use tenure::store::{Answer, Store};
use tokio::sync::Semaphore;

use crate::store_wrapper::Change;

#[derive(Debug)]
pub(crate) struct Gate {
    inner: Arc<dyn Store>,
    /// Has no permits until it is open.
    opening: Semaphore,
    renewals: AtomicUsize,
}

impl Gate {
    pub(crate) fn new(inner: Arc<dyn Store>) -> Self {
        Self { inner, opening: Semaphore::new(0), renewals: AtomicUsize::new(0) }
    }

    pub(crate) fn open(&self) {
        self.opening.add_permits(1);
    }

    /// The number of renewals that were sent.
    pub(crate) fn renewals(&self) -> usize {
        self.renewals.load(Ordering::SeqCst)
    }
}

impl Change for Gate {
    fn within(&self) -> &dyn Store {
        &*self.inner
    }

    fn call(&self, steps: Vec<Request>) -> Answer<'_, Vec<Reply>> {
        let renewals = steps.iter().filter(|step| matches!(step.op, Op::Renew { .. })).count();
        self.renewals.fetch_add(renewals, Ordering::SeqCst);
        let call = self.inner.call(steps);
        Box::pin(async move {
            let replies = call.await;
            let _through = self.opening.acquire().await.expect("it is never closed");
            replies
        })
    }
}
