//! The two files that SQLite keeps beside the file: its journal (`FILE-wal`) and the memory that
//! all processes share (`FILE-shm`). Both belong to the file as much as its own bytes. A link or a
//! file of another user in their place is never used.
//!
//! SQLite trusts their names. If one of them is removed while a process uses it, that process goes
//! on in a file that nobody else sees, and the next process begins another: two holders. So the
//! inodes are kept, and compared with those at the path after each transaction, and before each one
//! that does not follow another at once.

use std::ffi::OsString;
use std::fs::{self, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::error;
use crate::store::{StoreError, StoreErrorClass};

/// Device and inode number. They name a file as long as a process has it open.
pub(super) type Inode = (u64, u64);

/// The path beside `file` whose name is the file's with `ending` behind it.
pub(super) fn path_of(file: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(file);
    name.push(ending);
    name.into()
}

/// Whether the path still leads to the files that a connection has open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// The path leads to them.
    InPlace,
    /// The file was moved, deleted or replaced.
    Moved,
    /// The file is there, but not its journal or its shared memory.
    CutOff,
}

/// The inodes of a file, of its journal and of its shared memory, with their paths.
#[derive(Debug)]
pub(super) struct Inodes {
    paths: [PathBuf; 3],
    found: [Option<Inode>; 3],
}

impl Inodes {
    /// Reads the inodes at the paths now.
    pub(super) fn of(file: &Path) -> io::Result<Self> {
        let paths = ["", "-wal", "-shm"].map(|ending| path_of(file, ending));
        let found = [inode(&paths[0])?, inode(&paths[1])?, inode(&paths[2])?];
        Ok(Self { paths, found })
    }

    /// The inode of the file itself.
    pub(super) fn file(&self) -> Inode {
        self.found[0].unwrap_or_default()
    }

    /// Whether all three exist, as they do while a process uses the file.
    pub(super) fn are_complete(&self) -> bool {
        self.found.iter().all(Option::is_some)
    }

    /// Checks that the same inodes are at the paths, and that `asked` still leads to the file.
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

/// Refuses files that a user without the right to write `file` may have put beside it. SQLite would
/// read them, or as root follow a link and write to its target.
pub(super) fn check(file: &Path) -> Result<(), StoreError> {
    for ending in ["-wal", "-shm", "-journal"] {
        let path = path_of(file, ending);
        let shown = path.display();
        let Ok(found) = fs::symlink_metadata(&path) else {
            continue;
        };
        // Read only now: SQLite makes the file before these two, so if another process is just
        // making them, the file is there.
        let main = fs::metadata(file).ok();
        let owner = found.uid();
        let what = if !found.is_file() {
            format!("is no regular file (it belongs to user {owner})")
        } else if found.nlink() > 1 {
            format!("has another name (a hard link; it belongs to user {owner})")
        } else if !may_own(owner, main.as_ref()) {
            match &main {
                Some(main) => {
                    format!("belongs to user {owner}, {} to user {}", file.display(), main.uid())
                }
                None => {
                    let me = rustix::process::geteuid();
                    let file = file.display();
                    format!("belongs to user {owner}, this is user {me}, and {file} is not there")
                }
            }
        } else {
            continue;
        };
        let message = format!(
            "{shown} {what}: SQLite has not made it so, and nothing was touched; see who has, \
             and remove it while no process uses {file}, or name a file in a directory that \
             nobody else can write to",
            file = file.display()
        );
        return Err(error::plain(StoreErrorClass::Config, message));
    }
    Ok(())
}

/// Makes the journal and the shared memory if they are missing, and refuses those of others.
///
/// SQLite opens any files that are there, and as root gives them to the owner of the file. After
/// that nobody can tell which user made them. SQLite gives these two the file's mode and owner.
pub(super) fn make(file: &Path) -> Result<(), StoreError> {
    for ending in ["-wal", "-shm"] {
        // If a file cannot be made, SQLite reports why. Closing a new file ends no locks.
        let _ =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(path_of(file, ending));
    }
    check(file)
}

/// Whether a file of `user` may be beside `file`: the user is this one, root or the file's owner,
/// or the file is shared with others anyway.
pub(super) fn may_own(user: u32, file: Option<&Metadata>) -> bool {
    let me = rustix::process::geteuid().as_raw();
    user == 0
        || user == me
        || file.is_some_and(|file| file.uid() == user || file.mode() & 0o022 != 0)
}
