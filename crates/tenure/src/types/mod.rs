//! Plain data types of a lock. No I/O, no clock, no randomness.

mod claim;
mod error;
mod fence;
mod key;
mod label;
mod lost_reason;
mod owner;
mod time;

pub use claim::Claim;
pub use error::{Error, ErrorKind, Operation, Result};
pub use fence::Fence;
pub use key::{InvalidKey, Key};
pub use label::Label;
pub use lost_reason::LostReason;
pub use owner::{InvalidOwner, Owner};
pub use time::{StoreTime, TTL_MAX, TTL_MIN};
