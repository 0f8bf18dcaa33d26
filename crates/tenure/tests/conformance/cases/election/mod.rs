//! The promises of an election beyond those that a leader shares with the holder of a mutex, over
//! every store.

pub(crate) mod leading;
pub(crate) mod values;
