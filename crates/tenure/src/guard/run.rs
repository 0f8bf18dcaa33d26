//! The end of a run that a guard was granted for.

use crate::engine;
use crate::process::{OfProcess, of_process};
use crate::protocol::{Outcome, Reply};
use crate::types::{ErrorKind, Operation, Result};

use super::Guard;

impl Guard {
    /// Puts the outcome of its run on record and gives the lock back. If the store does not answer,
    /// that goes on in the background.
    pub(crate) async fn finish(self, outcome: Outcome) -> Result<()> {
        self.lease.check_process(Operation::Finish)?;
        // A guard that is lost gives the rest of its lease back when it is dropped.
        self.lease.verdict(Operation::Finish)?;
        let mut this = self;
        this.settled = true;
        let (lease, held) = (this.lease.clone(), &this.lease.inner.held);
        let engine = OfProcess::new(std::sync::Arc::clone(&this.lease.inner.engine));
        engine::let_go(&engine, held);
        let failing = || lease.errors_of(Operation::Finish);
        let finished = of_process(engine::finish(&engine, &held.lease, outcome)).await;
        let reply = finished.map_err(|_| failing().by_fork())?;
        match reply.map_err(|failure| failing().by_store(failure).with_may_hold(true))? {
            Reply::Finished => Ok(()),
            Reply::Released | Reply::Gone | Reply::Others => {
                let message = "the store no longer has its lease, or its run, so the outcome is \
                               not on record: it counts as failed";
                Err(failing().with(ErrorKind::Lost, message))
            }
            other => Err(failing().by_reply(&other)),
        }
    }
}
