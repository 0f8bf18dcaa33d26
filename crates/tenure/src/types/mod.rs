//! Plain data types of a lock. No I/O, no clock, no randomness.

mod claim;
mod data;
mod error;
mod time;
mod value;

pub use claim::{Claim, Fence, InvalidKey, InvalidOwner, Key, Label, Owner};
pub use data::{DataCommand, DataValue};
pub use error::{Error, ErrorKind, LostReason, Operation, Result};
pub use time::{StoreTime, TTL_MAX, TTL_MIN};
pub use value::{InvalidValue, Value};
