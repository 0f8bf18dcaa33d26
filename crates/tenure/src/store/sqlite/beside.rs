//! What SQLite keeps beside the file: its journal (`FILE-wal`) and the memory that all processes
//! share (`FILE-shm`). Both belong to the file as much as its own bytes.
//!
//! SQLite trusts their names. If one of them is removed while a process uses it, that process
//! goes on in a file that nobody else sees, and the next one begins another: two holders. So the
//! inodes are kept, and compared with what stands at the path around each transaction.

use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::error;
use crate::store::{StoreError, StoreErrorClass};

/// Device and number, which name a file for as long as somebody has it open.
pub(super) type Inode = (u64, u64);

/// The path of what lies beside `file` with `ending` behind its name.
pub(super) fn path_of(file: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(file);
    name.push(ending);
    name.into()
}

/// Whether the path still leads to what a connection has open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It does.
    InPlace,
    /// The file was moved, deleted or replaced.
    Moved,
    /// The file is there, but not its journal or its shared memory.
    CutOff,
}

/// The inodes of a file and of its journal and shared memory, and where they lie.
#[derive(Debug)]
pub(super) struct Inodes {
    paths: [PathBuf; 3],
    found: [Option<Inode>; 3],
}

impl Inodes {
    /// As they stand now.
    pub(super) fn of(file: &Path) -> io::Result<Self> {
        let paths = ["", "-wal", "-shm"].map(|ending| path_of(file, ending));
        let found = [inode(&paths[0])?, inode(&paths[1])?, inode(&paths[2])?];
        Ok(Self { paths, found })
    }

    /// The file's own.
    pub(super) fn file(&self) -> Inode {
        self.found[0].unwrap_or_default()
    }

    /// Whether all three are there, as they are while somebody uses the file.
    pub(super) fn are_complete(&self) -> bool {
        self.found.iter().all(Option::is_some)
    }

    /// Looks whether they are still what stands there, and `asked` still leads to the file.
    pub(super) fn standing(&self, asked: &Path) -> Standing {
        let is_there = |path, at: usize| inode(path).is_ok_and(|now| now == self.found[at]);
        let in_place = |at: usize| is_there(&self.paths[at], at);
        match in_place(0) && (asked == self.paths[0] || is_there(asked, 0)) {
            true if in_place(1) && in_place(2) => Standing::InPlace,
            true => Standing::CutOff,
            false => Standing::Moved,
        }
    }
}

impl PartialEq for Inodes {
    fn eq(&self, others: &Self) -> bool {
        self.found == others.found
    }
}

fn inode(path: &Path) -> io::Result<Option<Inode>> {
    match fs::metadata(path) {
        Ok(file) => Ok(Some((file.dev(), file.ino()))),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// Refuses what somebody without the right to write `file` may have put beside it: SQLite would
/// read it, or as root write to wherever it leads.
pub(super) fn check(file: &Path) -> Result<(), StoreError> {
    let Ok(main) = fs::metadata(file) else {
        return Ok(());
    };
    for ending in ["-wal", "-shm", "-journal"] {
        let path = path_of(file, ending);
        let shown = path.display();
        let Ok(found) = fs::symlink_metadata(&path) else {
            continue;
        };
        let what = if !found.is_file() {
            "is no regular file".to_owned()
        } else if found.nlink() > 1 {
            "has another name (a hard link)".to_owned()
        } else if !may_own(found.uid(), Some(&main)) {
            format!("belongs to user {}, {} to user {}", found.uid(), file.display(), main.uid())
        } else {
            continue;
        };
        let message = format!(
            "{shown} {what}: SQLite has not made it so, and nothing was touched; see who has, \
             and remove it while no process uses {}",
            file.display()
        );
        return Err(error::plain(StoreErrorClass::Config, message));
    }
    Ok(())
}

/// Whether what belongs to `user` may lie beside `file`: it is ours, root's or the file's owner's,
/// or the file is shared with others anyway.
pub(super) fn may_own(user: u32, file: Option<&Metadata>) -> bool {
    let me = rustix::process::geteuid().as_raw();
    user == 0
        || user == me
        || file.is_some_and(|file| file.uid() == user || file.mode() & 0o022 != 0)
}
