//! How people come in.

mod connect;

pub use connect::{StoreEntry, connect, connect_with, stores};
