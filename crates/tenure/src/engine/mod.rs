//! The only code that waits, renews and announces loss.

mod acquire;
mod agenda;
mod core;
mod guard;
mod keeper;
mod lease;
mod locks;
#[cfg_attr(not(feature = "__mutants"), allow(unreachable_pub))]
pub mod mutants;
mod order;
mod undo;
mod validity;
mod waiter;

pub use guard::{Guard, Released};
pub use lease::LostReason;
pub use locks::{Locks, LocksOptions};

pub(crate) use acquire::{acquire, try_acquire};
pub(crate) use core::Engine;
pub use order::Renewal;
pub(crate) use order::{Order, Terms};
