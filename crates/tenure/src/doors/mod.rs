//! How people come in.

#[cfg(feature = "blocking")]
pub mod blocking;
mod connect;
mod default;
#[cfg(feature = "sqlite")]
mod embedded;
mod environment;
mod quorum;
mod schemes;

#[cfg(feature = "testing")]
pub mod testing;

pub use connect::{StoreEntry, connect, connect_with, stores};
pub use default::{default_locks, lock, set_default};
#[cfg(feature = "sqlite")]
pub use embedded::embedded_file;
pub use environment::DefaultStore;
