//! Distributed locks that tell you when they are lost.

mod doors;
mod engine;
mod kinds;
pub mod logic;
pub mod seam;
pub mod store;
mod words;

#[cfg(feature = "sqlite")]
pub use doors::embedded_file;
pub use doors::{StoreEntry, connect, connect_with, stores};
#[cfg(feature = "__mutants")]
#[doc(hidden)]
pub use engine::mutants;
pub use engine::{Guard, Locks, LocksOptions, LostReason, Released, Renewal};
pub use kinds::Mutex;
pub use words::*;
