//! The only code that waits, renews and announces loss.

mod acquire;
mod cleanup;
pub(crate) mod core;
pub(crate) mod guard;
pub(crate) mod handle;
mod handoff;
mod handoff_budget;
mod in_flight;
mod keepalive;
pub(crate) mod lazy_locks;
pub(crate) mod lease;
mod local_queue;
pub(crate) mod options;
mod poll;
mod refusal;
mod rounds;
mod schedule;
mod signal;
mod taker;
mod waiter;

pub use guard::{Guard, Released};
pub use handle::Lease;

pub(crate) use acquire::{acquire, adopt, steal, try_acquire};
pub(crate) use lazy_locks::{LazyLocks, Opening};
pub(crate) use options::{AcquireOptions, LeaseOptions};
pub use options::{LocksOptions, Renewal};
