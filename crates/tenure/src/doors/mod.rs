//! How people come in.

mod connect;
#[cfg(feature = "sqlite")]
mod embedded;

pub use connect::{StoreEntry, connect, connect_with, stores};
#[cfg(feature = "sqlite")]
pub use embedded::embedded_file;
