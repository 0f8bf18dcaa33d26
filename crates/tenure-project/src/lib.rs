//! Checks of the project itself: its tests read the documents, the dependencies and the files of
//! the repository. It is never published, and nothing depends on it.

mod blocks;
mod tree;

pub use blocks::{Block, blocks};
pub use tree::{File, files, root};
