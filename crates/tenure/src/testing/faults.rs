//! A store in memory that fails on request. It never fails by itself.

use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use crate::protocol::{Inspection, Reply, Request};
use crate::store::{
    Answer, Capabilities, DataServer, Examination, Identity, Inbox, Links, Memory, Store,
    StoreError, StoreErrorClass,
};
use crate::types::Key;

#[derive(Debug)]
pub(super) struct Faulty {
    memory: Memory,
    /// Whether every request fails.
    fails: AtomicBool,
    /// The number of requests that still fail.
    to_fail: AtomicUsize,
    /// The number of answers that are still lost.
    to_lose: AtomicUsize,
}

impl Faulty {
    pub(super) fn new(memory: Memory) -> Self {
        Self {
            memory,
            fails: AtomicBool::new(false),
            to_fail: AtomicUsize::new(0),
            to_lose: AtomicUsize::new(0),
        }
    }

    pub(super) fn memory(&self) -> &Memory {
        &self.memory
    }

    pub(super) fn fail(&self, failing: bool) {
        self.fails.store(failing, Ordering::Release);
    }

    pub(super) fn fail_next(&self, count: usize) {
        self.to_fail.store(count, Ordering::Release);
    }

    pub(super) fn lose_answers(&self, count: usize) {
        self.to_lose.store(count, Ordering::Release);
    }

    fn is_to_fail(&self) -> bool {
        take_one(&self.to_fail) || self.fails.load(Ordering::Acquire)
    }
}

fn take_one(left: &AtomicUsize) -> bool {
    let one_less = |left: usize| left.checked_sub(1);
    left.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_less).is_ok()
}

fn failure(message: &str, may_have_run: bool) -> StoreError {
    let class = StoreErrorClass::Transient;
    StoreError { class, message: message.to_owned(), may_have_run, source: None }
}

#[deny(clippy::missing_trait_methods)]
impl Store for Faulty {
    fn capabilities(&self) -> &Capabilities {
        self.memory.capabilities()
    }

    fn name(&self) -> Arc<str> {
        self.memory.name()
    }

    fn check_key(&self, key: &Key) -> Result<(), String> {
        self.memory.check_key(key)
    }

    fn part_of(&self, key: &Key) -> u32 {
        self.memory.part_of(key)
    }

    fn call(&self, steps: Vec<Request>) -> Answer<'_, Vec<Reply>> {
        Box::pin(async move {
            if self.is_to_fail() {
                return Err(failure("the test lets the store fail", false));
            }
            // Decided before the call: the answer of an earlier one is never lost in its place.
            let is_to_lose = take_one(&self.to_lose);
            let replies = self.memory.call(steps).await;
            if is_to_lose {
                return Err(failure("the test lets the store's answer be lost", true));
            }
            replies
        })
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a Key>,
        limit: usize,
    ) -> Answer<'a, Vec<(Key, Inspection)>> {
        if self.is_to_fail() {
            return Box::pin(ready(Err(failure("the test lets the store fail", false))));
        }
        self.memory.list(prefix, after, limit)
    }

    fn inbox(&self) -> Answer<'_, Option<Inbox>> {
        self.memory.inbox()
    }

    fn links(&self) -> Option<watch::Receiver<Links>> {
        self.memory.links()
    }

    fn identity(&self) -> Answer<'_, Identity> {
        self.memory.identity()
    }

    fn data(&self) -> Option<&dyn DataServer> {
        self.memory.data()
    }

    fn examine(&self, ttl: Duration) -> Examination<'_> {
        self.memory.examine(ttl)
    }
}
