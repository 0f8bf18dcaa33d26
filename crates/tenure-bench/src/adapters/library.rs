//! Interfaces that a contender written in Rust fills in. It measures nothing.

use std::net::SocketAddr;

use crate::Failure;

/// The lease that every contender asks for. Nothing lasts as long.
pub(super) const TTL_MS: u32 = 30_000;

/// The thread on which the futures of a contender make progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Driven {
    /// The caller's: they block, and are done when they return.
    Blocking,
    /// A tokio runtime's.
    Tokio,
}

/// The threads of a tokio runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Threads {
    /// A current-thread runtime.
    One,
    /// One for each core, as `#[tokio::main]` makes it.
    All,
}

/// One contender, connected to a server.
pub(super) trait Library: Sized + Send + Sync + 'static {
    type Caller: Caller;
    const DRIVEN: Driven;

    fn version() -> Result<String, Failure>;

    fn open(address: SocketAddr) -> impl Future<Output = Result<Self, Failure>> + Send;

    /// A caller, with the key that it locks.
    fn caller(&self, key: String) -> impl Future<Output = Result<Self::Caller, Failure>> + Send;
}

/// One task's use of one lock.
pub(super) trait Caller: Send + 'static {
    type Held: Send;

    fn acquire(&mut self) -> impl Future<Output = Result<Self::Held, Failure>> + Send;

    fn release(&mut self, held: Self::Held) -> impl Future<Output = Result<(), Failure>> + Send;
}
