//! Kinds of locks: each translates its options to a claim. A kind never knows a store and starts no
//! task.

mod control;
mod election;
mod lazy_locks;
mod looks;
mod multi_lock;
mod mutex;
mod once;
mod options;
mod reentrant;
mod rwlock;
mod scopes;
mod semaphore;

pub use election::{Election, Leader, Leaders, Leadership};
pub(crate) use lazy_locks::{LazyLocks, Opening};
pub(crate) use looks::Looks;
pub use multi_lock::{MultiGuard, MultiLease, MultiLock};
pub use mutex::Mutex;
pub use once::{Begun, Once, OnceGuard, Ran};
pub use reentrant::{ReentrantGuard, ReentrantMutex, ReentrantScope};
pub use rwlock::RwLock;
pub use semaphore::Semaphore;
