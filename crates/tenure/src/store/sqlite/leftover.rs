//! A journal that a file does not need any more. The last user of a file brings its journal into
//! the file, removes `-shm`, and then `-wal`; one that ends in between leaves the journal. SQLite
//! would make the shared memory anew to read it, which a look must not do. And a process that ends
//! at its first write to a journal may leave one without a frame: if nobody uses the file, a look
//! by SQLite itself tries for 10 s to read it, and fails (SQLite 3.54: the salts of such a journal
//! count as changed, each time).
//!
//! The layout of the journal is that of <https://www.sqlite.org/fileformat2.html#walformat>.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::Path;

use super::beside::path_of;

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;

/// Whether the file has all of its journal in it, and nobody uses it: who does has shared memory.
/// A journal without a frame says nothing, and who has written that much is about to write more.
pub(super) fn is_left(file: &Path) -> io::Result<bool> {
    let journal = path_of(file, "-wal");
    if fs::metadata(&journal)?.len() == HEADER as u64 {
        return Ok(true);
    }
    if path_of(file, "-shm").exists() {
        return Ok(false);
    }
    Ok(has_all_of(&fs::read(file)?, &fs::read(journal)?))
}

/// Whether the last frame of each page says what the file says.
fn has_all_of(file: &[u8], journal: &[u8]) -> bool {
    if journal.is_empty() {
        return true;
    }
    let Some((header, frames)) = journal.split_at_checked(HEADER) else { return false };
    let size = number(&header[8..12]);
    if size < 512 {
        return false;
    }
    let mut pages = HashMap::new();
    for frame in frames.chunks_exact(FRAME_HEADER + size) {
        // Frames of an earlier use of the journal have other salts.
        if frame[8..16] != header[16..24] {
            break;
        }
        pages.insert(number(&frame[..4]), &frame[FRAME_HEADER..]);
    }
    let in_file = |page: usize| file.get(page.checked_sub(1)? * size..)?.get(..size);
    pages.into_iter().all(|(page, said)| in_file(page) == Some(said))
}

fn number(four: &[u8]) -> usize {
    four.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte))
}
