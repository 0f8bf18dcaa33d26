//! Distributed locks that tell you when they are lost.

mod doors;
mod engine;
mod kinds;
pub mod logic;
pub mod seam;
pub mod store;
mod words;

#[cfg(feature = "blocking")]
pub use doors::blocking;
#[cfg(feature = "sqlite")]
pub use doors::embedded_file;
#[cfg(feature = "testing")]
pub use doors::testing;
pub use doors::{StoreEntry, connect, connect_with, default_locks, lock, set_default, stores};
#[cfg(feature = "__mutants")]
#[doc(hidden)]
pub use engine::mutants;
pub use engine::observe;
pub use engine::{
    Compensated, Failure, Finished, Guard, InvalidTicket, Lease, List, Locks, LocksOptions,
    LostReason, Outlived, Released, Renewal, Ticket, Watch, ok,
};
pub use kinds::Mutex;
#[cfg(feature = "macros")]
pub use tenure_macros::locked;
pub use words::*;
