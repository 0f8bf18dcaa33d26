//! A store that one request reaches late: long after its sender was told that nobody answers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tenure::protocol::{Op, Reply, Request};
use tenure::store::{Answer, Store, StoreError, StoreErrorClass};

use crate::store_wrapper::Change;

#[derive(Debug)]
pub(crate) struct Late {
    inner: Arc<dyn Store>,
    /// The first acquire, until it arrives.
    held_back: Mutex<Option<Vec<Request>>>,
    /// Whether its sender has asked again.
    was_repeated: AtomicBool,
}

impl Late {
    pub(crate) fn new(inner: Arc<dyn Store>) -> Self {
        Self { inner, held_back: Mutex::default(), was_repeated: AtomicBool::new(false) }
    }

    pub(crate) fn was_repeated(&self) -> bool {
        self.was_repeated.load(Ordering::Acquire)
    }

    /// The request arrives, and is answered to nobody but the test.
    pub(crate) async fn arrive(&self) -> Reply {
        let steps = self.held_back.lock().expect("no panic").take().expect("a request");
        self.inner.call(steps).await.expect("an answer").swap_remove(0)
    }
}

impl Change for Late {
    fn within(&self) -> &dyn Store {
        &*self.inner
    }

    fn call(&self, steps: Vec<Request>) -> Answer<'_, Vec<Reply>> {
        let mut held_back = self.held_back.lock().expect("no panic");
        if let Some(first) = &*held_back {
            if steps == *first {
                self.was_repeated.store(true, Ordering::Release);
            }
            return self.inner.call(steps);
        }
        if !matches!(steps[0].op, Op::Acquire(_)) {
            return self.inner.call(steps);
        }
        *held_back = Some(steps);
        let (class, message) = (StoreErrorClass::Transient, "no answer".into());
        let failure = StoreError { class, message, may_have_run: true, source: None };
        Box::pin(std::future::ready(Err(failure)))
    }
}
