//! Distributed locks that tell you when they are lost.

pub mod logic;
pub mod seam;
pub mod store;
mod words;

pub use words::*;
