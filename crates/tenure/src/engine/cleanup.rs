//! A release or withdrawal that must still reach the store. It is repeated until it is answered,
//! or until what it would undo has ended by itself.

use std::sync::Arc;
use std::sync::Mutex;

use crate::protocol::{Backoff, Op};
use crate::runtime::Moment;
use crate::types::Key;

use super::core::Engine;

#[derive(Debug)]
pub(crate) struct Cleanup {
    pub(crate) key: Key,
    pub(crate) op: Op,
    /// Past it, nothing is left to undo.
    pub(crate) until: Moment,
    pub(crate) backoff: Mutex<Backoff>,
    /// Whether the first in line may have been granted by it, or before it, without a push.
    pub(crate) recheck_queue: bool,
    /// Keeps the engine at work after the last guard and the last `Locks` are gone. The circle
    /// ends with this entry's leaving the schedule.
    pub(crate) _engine: Arc<Engine>,
}
