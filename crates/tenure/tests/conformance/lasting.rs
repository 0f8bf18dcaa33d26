//! A store in which a place in line lasts long without a heartbeat, for cases about the order in a
//! line: a machine that stands still for some seconds costs no waiter its place there.

use std::sync::Arc;
use std::time::Duration;

use tenure::Key;
use tenure::protocol::{Inspection, Op, Reply, Request};
use tenure::store::{Answer, Capabilities, DataServer, Examination, Identity, Inbox, Links, Store};
use tokio::sync::watch;

/// No machine that runs tests stands still for so long.
const WINDOW: Duration = Duration::from_secs(60);

/// A store that takes each place to last for [`WINDOW`].
#[derive(Debug)]
pub(crate) struct Lasting(pub(crate) Arc<dyn Store>);

/// The step with that window, if it asks for a place.
fn lasting(mut step: Request) -> Request {
    let queue = match &mut step.op {
        Op::Acquire(acquire) | Op::Handoff { to: acquire, .. } => acquire.queue.as_mut(),
        _ => None,
    };
    if let Some(queue) = queue {
        queue.window = WINDOW;
    }
    step
}

#[deny(clippy::missing_trait_methods)]
impl Store for Lasting {
    fn capabilities(&self) -> &Capabilities {
        self.0.capabilities()
    }

    fn name(&self) -> Arc<str> {
        self.0.name()
    }

    fn check_key(&self, key: &Key) -> Result<(), String> {
        self.0.check_key(key)
    }

    fn part_of(&self, key: &Key) -> u32 {
        self.0.part_of(key)
    }

    fn call(&self, steps: Vec<Request>) -> Answer<'_, Vec<Reply>> {
        self.0.call(steps.into_iter().map(lasting).collect())
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
        self.0.identity()
    }

    fn data(&self) -> Option<&dyn DataServer> {
        self.0.data()
    }

    fn examine(&self, ttl: Duration) -> Examination<'_> {
        self.0.examine(ttl)
    }
}
