//! A store in which a place in line lasts long without a heartbeat, for cases about the order in a
//! line: a machine that stands still for some seconds costs no waiter its place there.

use std::sync::Arc;
use std::time::Duration;

use tenure::protocol::{Op, Reply, Request};
use tenure::store::{Answer, Store};

use crate::store_wrapper::Change;

/// No machine that runs tests stands still for so long.
const WINDOW: Duration = Duration::from_secs(60);

/// Takes each place in the store within to last for [`WINDOW`].
#[derive(Debug)]
pub(crate) struct Lasting(pub(crate) Arc<dyn Store>);

impl Change for Lasting {
    fn within(&self) -> &dyn Store {
        &*self.0
    }

    fn call(&self, steps: Vec<Request>) -> Answer<'_, Vec<Reply>> {
        self.0.call(steps.into_iter().map(lasting).collect())
    }
}

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
