//! Checks of the project itself: its tests read the documents, the dependencies and the files of
//! the repository; the Rust blocks of the documents are compiled and run as its documentation
//! tests. `cargo xtask` runs its tasks. It is never published, and nothing depends on it.

mod blocks;
mod book;
mod callgrind;
mod counts;
mod path;
mod server;
mod signatures;
mod tree;

pub use blocks::{Block, blocks};
pub use book::{book, pages};
pub use counts::{Comparison, Counts, counts};
pub use path::{Path, path};
pub use tree::{File, documents, files, root};

/// The Rust blocks of the README.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
pub mod readme {}

/// The Rust blocks of the design.
#[cfg(doctest)]
#[doc = include_str!("../../../DESIGN.md")]
pub mod design {}

/// The Rust blocks of the page on mutexes.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/kinds/mutex.md")]
pub mod mutex {}

/// The Rust blocks of the tutorial.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/tutorial.md")]
pub mod tutorial {}

/// The Rust blocks of the page on read-write locks.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/kinds/rwlock.md")]
pub mod rwlock {}

/// The Rust blocks of the page on semaphores.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/kinds/semaphore.md")]
pub mod semaphore {}

/// The Rust blocks of the page on elections.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/kinds/election.md")]
pub mod election {}

/// The Rust blocks of the guide.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/guide.md")]
pub mod guide {}

/// The Rust blocks of the page on guarded writes.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/guarded-writes.md")]
pub mod guarded_writes {}

/// The Rust blocks of the page on multi-locks.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/kinds/multi-lock.md")]
pub mod multi_lock {}

/// The Rust blocks of the page on reentrant locks.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/kinds/reentrant.md")]
pub mod reentrant {}

/// The Rust blocks of the page on jobs that run once per tick.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/kinds/once.md")]
pub mod once {}
