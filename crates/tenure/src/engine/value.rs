//! Changing the value beside a lease. It sends each value once.

use crate::protocol::{Op, Reply};
use crate::runtime::Moment;
use crate::types::{ErrorKind, LostReason, Operation, Result, Value};

use super::Engine;
use super::lease::LeaseState;

/// Sets the value. The caller gives each value a larger revision than the one before, so that a
/// request that arrives late does nothing.
pub(crate) async fn set_value(engine: &Engine, lease: &LeaseState, value: Value) -> Result<()> {
    let failing = engine.failing(Operation::SetValue, &lease.key);
    let op = Op::SetValue { owner: lease.owner.clone(), fence: lease.fence(), value };
    let reply = engine.ask(&lease.key, op, engine.now(), Moment::NEVER).await;
    match reply.map_err(|failure| failing.by_store(failure).with_may_hold(true))? {
        Reply::ValueSet => Ok(()),
        // The verdict on the lease tells the caller.
        Reply::Gone | Reply::Withdrawn => {
            lease.lose(LostReason::Gone);
            Ok(())
        }
        Reply::Mismatch(why) => Err(failing.with(ErrorKind::Mismatch, why)),
        other => Err(failing.by_reply(&other)),
    }
}
