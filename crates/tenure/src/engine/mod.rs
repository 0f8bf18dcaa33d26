//! The only code that waits, renews and announces loss.

mod acquire;
mod cleanup;
mod core;
mod finished;
mod guard;
mod handle;
mod handoff;
mod handoff_budget;
mod in_flight;
mod keepalive;
mod lazy_locks;
mod lease;
mod local_queue;
mod locks;
mod options;
mod poll;
mod refusal;
mod rounds;
mod schedule;
mod scope;
mod signal;
mod streams;
mod taker;
mod ticket;
mod waiter;

pub use finished::{Compensated, Failure, Finished, Outlived};
pub use guard::{Guard, Released};
pub use handle::Lease;
pub use locks::{Locks, LocksOptions};

pub(crate) use acquire::{acquire, adopt, steal, try_acquire};
pub(crate) use lazy_locks::{LazyLocks, Opening};
pub use options::Renewal;
pub(crate) use options::{AcquireOptions, LeaseOptions};
pub use scope::ok;
pub use streams::{List, Watch};
pub use ticket::{InvalidTicket, Ticket};
