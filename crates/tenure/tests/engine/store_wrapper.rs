//! A store around another one, for tests that change it in one place.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tenure::Key;
use tenure::protocol::{Inspection, Reply, Request};
use tenure::store::{Answer, Capabilities, DataServer, Examination, Identity, Inbox, Links, Store};
use tokio::sync::watch;

/// The changes to the store within. A method that is not changed goes through to it.
pub(crate) trait Change: fmt::Debug + Send + Sync + 'static {
    fn within(&self) -> &dyn Store;

    fn capabilities(&self) -> &Capabilities {
        self.within().capabilities()
    }

    fn call(&self, steps: Vec<Request>) -> Answer<'_, Vec<Reply>> {
        self.within().call(steps)
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a Key>,
        limit: usize,
    ) -> Answer<'a, Vec<(Key, Inspection)>> {
        self.within().list(prefix, after, limit)
    }

    fn inbox(&self) -> Answer<'_, Option<Inbox>> {
        self.within().inbox()
    }

    fn links(&self) -> Option<watch::Receiver<Links>> {
        self.within().links()
    }
}

/// The store within, so changed.
#[derive(Debug)]
pub(crate) struct Wrapper<C>(pub(crate) C);

#[deny(clippy::missing_trait_methods)]
impl<C: Change> Store for Wrapper<C> {
    fn capabilities(&self) -> &Capabilities {
        self.0.capabilities()
    }

    fn name(&self) -> Arc<str> {
        self.0.within().name()
    }

    fn check_key(&self, key: &Key) -> Result<(), String> {
        self.0.within().check_key(key)
    }

    fn part_of(&self, key: &Key) -> u32 {
        self.0.within().part_of(key)
    }

    fn call(&self, steps: Vec<Request>) -> Answer<'_, Vec<Reply>> {
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
        self.0.inbox()
    }

    fn links(&self) -> Option<watch::Receiver<Links>> {
        self.0.links()
    }

    fn identity(&self) -> Answer<'_, Identity> {
        self.0.within().identity()
    }

    fn data(&self) -> Option<&dyn DataServer> {
        self.0.within().data()
    }

    fn examine(&self, ttl: Duration) -> Examination<'_> {
        self.0.within().examine(ttl)
    }
}
