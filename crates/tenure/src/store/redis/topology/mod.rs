//! The servers behind one URL, where it names more than one: which of them is asked, and how the
//! store learns that another one is to be asked.

mod sentinel;
mod switches;

pub(super) use sentinel::behind_sentinels;
