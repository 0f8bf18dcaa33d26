//! Distributed locks that tell you when they are lost.
//!
//! A lock is a *lease*: it is granted for a time and renewed while you work. When it can no longer
//! be guaranteed, the holder is told by its deadline, without waiting for any I/O. Every grant
//! carries a [`Fence`], a number that only grows. With it a resource can refuse a holder that comes
//! too late.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> tenure::Result<()> {
//! let locks = tenure::connect("memory:").await?; // or sqlite:PATH, redis://HOST
//! let guard = locks.mutex("nightly-report").acquire().await?;
//! println!("ours until it is released, with fence {}", guard.fence());
//! guard.check()?; // right before something that cannot be undone
//! guard.release().await?;
//! # Ok(()) }
//! ```
//!
//! Begin with [`connect`], [`Locks`], [`Mutex`], [`RwLock`], [`Semaphore`], [`Election`] and
//! [`Guard`]. Authors of stores of their own use [`store::Store`], [`protocol::KeyState`] and
//! [`runtime::Runtime`]. A minor version may change these three modules.
//!
//! # Features
//!
//! | feature | default | what it brings |
//! |---|---|---|
//! | `redis` | yes | Redis and Valkey: `redis://`, `redis+unix://`, `redis+sentinel://`, quorums |
//! | `sqlite` | yes | the embedded store: one SQLite file, shared by the processes of one host |
//! | `tls` | | `rediss://`, with rustls and ring |
//! | `blocking` | | `tenure::blocking`: the same locks for programs without `async` |
//! | `macros` | | the attribute `#[tenure::locked]` |
//! | `metrics` | | numbers for the `metrics` facade; [`observe`] names them |
//! | `testing` | | `tenure::testing`: a clock and faults for the tests of programs that use locks |
//!
//! The store `memory:` is always there.
//!
//! # Layers
//!
//! ```text
//! types     key owner claim fence label error      plain data: no I/O, no clock
//! runtime   clock timers tasks randomness          the edge to the machine
//! protocol  key_state request votes backoff        pure: `now` and randomness are arguments
//! store     Store: memory sqlite redis quorum      one atomic step per request; never waits
//! engine    acquire keepalive tables               the only code that waits and renews
//! guard     Guard, Lease, ticket, scope            what a program holds
//! kinds     mutex rwlock semaphore election ...    thin: a claim and its options
//! locks     Locks, list, watch                     the value that a program keeps
//! connect   connect(url), default, blocking        the ways in
//! ```
//!
//! # Fork
//!
//! When a process forks, its locks stay with it. The child holds none of them, though it has a copy
//! of the memory:
//!
//! - A value from before the fork ([`Locks`], [`Mutex`], guards, streams, futures under way)
//!   answers [`ErrorKind::Forked`] at once when the child uses it. [`Lease::check`] fails, and
//!   [`Lease::lost`] ends with [`LostReason::Forked`]. Nothing is sent.
//! - Dropping it in the child releases nothing and frees no memory. The parent is not disturbed.
//! - A new [`connect`] in the child starts threads of the child's own and works. So does the
//!   default store of [`mutex`], unless the parent has called [`set_default`].
//! - SQLite is the exception: a child whose parent had an SQLite store open at the fork cannot use
//!   one. Connect after the fork, or start a new program (exec).
//! - A future that nobody polls in the child is not woken there.
//!
//! To give a lock to a child, hand it over before the fork ([`Guard::hand_over`]) and adopt the
//! ticket over a connection of the child's own ([`Locks::adopt`]).
#![doc = include_str!("../docs/uses.md")]

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
compile_error!("Tenure is written for Linux; its library for servers also compiles for macOS");
#[cfg(all(feature = "sqlite", target_os = "macos"))]
compile_error!(
    "the embedded store (the feature `sqlite`), and with it the command, needs Linux: name the \
     library with `default-features = false, features = [\"redis\"]`"
);

#[cfg(feature = "blocking")]
pub mod blocking;
mod connect;
mod default;
mod engine;
pub mod fencing;
mod guard;
mod kinds;
mod locks;
#[doc(hidden)]
pub mod mutants;
pub mod observe;
mod process;
pub mod protocol;
pub mod runtime;
mod scope;
pub mod store;
#[cfg(feature = "testing")]
pub mod testing;
mod ticket;
mod types;

#[doc(hidden)]
pub use connect::{DefaultStore, variables};
pub use connect::{StoreEntry, connect, connect_with, stores};
#[cfg(feature = "sqlite")]
pub use connect::{embedded_file, embedded_place};
pub use default::{all, default_locks, election, mutex, once, rwlock, semaphore, set_default};
pub use engine::{LocksOptions, Renewal, RenewalFailure};
pub use guard::{Guard, Lease, Released};
pub use kinds::{Begun, Election, Leader, Leaders, Leadership, Once, OnceGuard, Ran};
pub use kinds::{MultiGuard, MultiLease, MultiLock, Mutex, RwLock, Semaphore};
pub use kinds::{ReentrantGuard, ReentrantMutex, ReentrantScope};
pub use locks::{List, Locks, Watch};
pub use protocol::{LastRun, Outcome, RunState};
pub use scope::{Compensated, Failure, Finished, Outlived, ok};
#[cfg(feature = "macros")]
pub use tenure_macros::locked;
pub use ticket::{InvalidTicket, Ticket};
pub use types::*;
