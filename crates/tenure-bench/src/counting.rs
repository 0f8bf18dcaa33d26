//! A store that counts the calls to another one. It changes nothing about them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tenure::Key;
use tenure::protocol::{Inspection, Op, Reply, Request};
use tenure::store::{Answer, Capabilities, DataServer, Examination, Identity, Inbox, Links, Store};
use tokio::sync::watch;

/// Counts how renewals travel to the store within.
#[derive(Debug)]
pub(crate) struct Counting<S> {
    within: S,
    calls: AtomicU64,
    renewals: AtomicU64,
}

impl<S> Counting<S> {
    pub(crate) fn new(within: S) -> Self {
        Self { within, calls: AtomicU64::new(0), renewals: AtomicU64::new(0) }
    }

    /// Calls that carried renewals, and the renewals in them, since this was asked last.
    pub(crate) fn take(&self) -> (u64, u64) {
        (self.calls.swap(0, Ordering::Relaxed), self.renewals.swap(0, Ordering::Relaxed))
    }
}

#[deny(clippy::missing_trait_methods)]
impl<S: Store> Store for Counting<S> {
    fn capabilities(&self) -> &Capabilities {
        self.within.capabilities()
    }

    fn name(&self) -> Arc<str> {
        self.within.name()
    }

    fn check_key(&self, key: &Key) -> Result<(), String> {
        self.within.check_key(key)
    }

    fn part_of(&self, key: &Key) -> u32 {
        self.within.part_of(key)
    }

    fn call(&self, steps: Vec<Request>) -> Answer<'_, Vec<Reply>> {
        let renewals = steps.iter().filter(|step| matches!(step.op, Op::Renew { .. })).count();
        if renewals > 0 {
            self.calls.fetch_add(1, Ordering::Relaxed);
            self.renewals.fetch_add(renewals as u64, Ordering::Relaxed);
        }
        self.within.call(steps)
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a Key>,
        limit: usize,
    ) -> Answer<'a, Vec<(Key, Inspection)>> {
        self.within.list(prefix, after, limit)
    }

    fn inbox(&self) -> Answer<'_, Option<Inbox>> {
        self.within.inbox()
    }

    fn links(&self) -> Option<watch::Receiver<Links>> {
        self.within.links()
    }

    fn identity(&self) -> Answer<'_, Identity> {
        self.within.identity()
    }

    fn data(&self) -> Option<&dyn DataServer> {
        self.within.data()
    }

    fn examine(&self, ttl: Duration) -> Examination<'_> {
        self.within.examine(ttl)
    }
}
