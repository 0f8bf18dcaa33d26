//! A file that is no store yet: the first lock makes it one. It is neither made nor changed here.

use std::fs;
use std::io;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};
use rustix::fs::{Access, AtFlags, CWD};

use super::beside;
use super::file::Identity;
use super::reading::uri;

/// Whether there is no file at the path, an empty one, or a database without a table.
pub(super) fn is_unmade(path: &Path) -> bool {
    match fs::metadata(path) {
        Err(e) => e.kind() == io::ErrorKind::NotFound,
        Ok(found) => found.is_file() && (found.len() == 0 || is_without_table(path)),
    }
}

/// The same, if this user could make it a store as well.
pub(super) fn could_be_made(path: &Path) -> bool {
    if !is_unmade(path) {
        return false;
    }
    let real = fs::canonicalize(path);
    let may =
        |path: &Path, wanted| rustix::fs::accessat(CWD, path, wanted, AtFlags::EACCESS).is_ok();
    let may_fill = real.as_ref().map_or(true, |file| may(file, Access::READ_OK | Access::WRITE_OK));
    let full = real.or_else(|_| std::path::absolute(path));
    let directory = full.as_ref().ok().and_then(|file| file.parent());
    let may_make =
        |directory: &Path| directory.is_dir() && may(directory, Access::WRITE_OK | Access::EXEC_OK);
    may_fill && directory.is_some_and(may_make)
}

/// Whether a file with bytes in it is a database without a table. A file with a journal is
/// somebody's: the journal may add tables.
fn is_without_table(file: &Path) -> bool {
    let journal = fs::metadata(beside::path_of(file, "-wal"));
    if journal.is_ok_and(|journal| journal.len() > 0) {
        return false;
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_URI
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(uri(file, "?immutable=1"), flags);
    let identity = db.and_then(|db| Identity::read(&db));
    identity.is_ok_and(|identity| identity.check(file).is_ok_and(|is_laid_out| !is_laid_out))
}
