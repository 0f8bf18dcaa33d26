//! A store whose inbox does not open: waiting goes on without, and keeps its time limit.

#![allow(clippy::disallowed_methods, reason = "tests limit time")]

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tenure::logic::{Inspection, Reply, Step};
use tenure::store::{Answer, Capabilities, Inbox, Memory, Store};
use tenure::{ErrorKind, Key, Locks, LocksOptions, seam};

const PATIENCE: Duration = Duration::from_secs(20);

/// Answers every step, and never opens an inbox.
#[derive(Debug)]
struct Deaf(Memory);

impl Store for Deaf {
    fn capabilities(&self) -> &Capabilities {
        self.0.capabilities()
    }

    fn name(&self) -> Arc<str> {
        self.0.name()
    }

    fn call(&self, steps: Vec<Step>) -> Answer<'_, Vec<Reply>> {
        self.0.call(steps)
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a Key>,
        limit: usize,
    ) -> Answer<'a, Vec<(Key, Inspection)>> {
        self.0.list(prefix, after, limit)
    }

    fn inbox(&self) -> Answer<'_, Option<Inbox>> {
        Box::pin(pending())
    }
}

/// Found by simulation: opening the inbox counted against the store's time limit alone.
#[tokio::test]
async fn a_wait_keeps_its_limit_while_the_inbox_does_not_open() {
    let seam = seam::machine().expect("a clock and timers");
    let store = Arc::new(Deaf(Memory::new(Arc::clone(&seam))));
    let options = LocksOptions::default().with_store_timeout(PATIENCE * 10);
    let locks = Locks::over(store, seam, options);
    let guard = locks.mutex("key").acquire().await.expect("granted");
    let waiter = locks.mutex("key").with_wait(Duration::from_millis(200));
    let outcome = tokio::time::timeout(PATIENCE, waiter.acquire()).await.expect("an end");
    assert_eq!(outcome.expect_err("it is held").kind(), ErrorKind::Busy);

    let heir = tokio::spawn(async move { locks.mutex("key").acquire().await });
    guard.release().await.expect("released");
    let granted = tokio::time::timeout(PATIENCE, heir).await.expect("an end");
    let heir = granted.expect("no panic").expect("granted by timed looks");
    heir.release().await.expect("released");
}
