//! The way from the given path to the one file behind it. All users of the file must use the same
//! files beside it, so a file with several names is never opened.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags};
use rustix::io::Errno;

use super::beside;
use super::error;
use super::mount;
use crate::store::{StoreError, StoreErrorClass, spelling};

fn config(message: String) -> StoreError {
    error::plain(StoreErrorClass::Config, message)
}

/// The beginning of a message about an error of the system at `path`.
pub(super) fn at(path: &Path) -> String {
    format!("cannot open {}", path.display())
}

/// The absolute path behind links, of a file that is read and written.
pub(super) fn locate(path: &Path) -> Result<PathBuf, StoreError> {
    locate_for(path, check_rights)
}

/// The same for a file that is only read.
pub(super) fn locate_to_read(path: &Path) -> Result<PathBuf, StoreError> {
    locate_for(path, check_right_to_read)
}

fn locate_for(
    path: &Path,
    check_rights: fn(&Path) -> Result<(), StoreError>,
) -> Result<PathBuf, StoreError> {
    let shown = path.display();
    if !path.as_os_str().is_empty() {
        spelling::file(path).map_err(config)?;
    }
    let Some(name) = path.file_name() else {
        return Err(config(format!("{shown:?} names no file: give the path of a file")));
    };
    match fs::metadata(path) {
        Ok(file) if file.is_dir() => {
            Err(config(format!("{shown} is a directory: name a file in it, {shown}/locks.db")))
        }
        Ok(file) if !file.is_file() => Err(config(format!("{shown} is not a regular file"))),
        Ok(file) => {
            let full = fs::canonicalize(path).map_err(|e| error::of_system(&at(path), e))?;
            check_names(&full, file.nlink())?;
            check_rights(&full)?;
            Ok(full)
        }
        Err(e) if error::is_loop(&e) => Err(config(format!(
            "{shown} leads to no file, but round and round by symbolic links: name another file, \
             or mend the links"
        ))),
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(error::of_system(&at(path), e)),
        // Another process may have made the file in the meantime.
        Err(_) if fs::symlink_metadata(path).is_ok_and(|file| file.is_symlink()) => {
            Err(config(format!("{shown} is a symbolic link that leads nowhere")))
        }
        Err(_) => {
            let parent = match path.parent() {
                Some(parent) if !parent.as_os_str().is_empty() => parent,
                _ => Path::new("."),
            };
            match fs::canonicalize(parent) {
                Ok(parent) => Ok(parent.join(name)),
                Err(e) if e.kind() == io::ErrorKind::NotFound => {
                    let parent = parent.display();
                    Err(config(format!(
                        "there is no directory {parent}: make it with `mkdir -p {parent}`"
                    )))
                }
                Err(e) => Err(error::of_system(&at(path), e)),
            }
        }
    }
}

/// Refuses a file that others can reach by another name. Each name would have a journal of its own
/// beside it, so users of two names would not exclude each other.
fn check_names(file: &Path, names: u64) -> Result<(), StoreError> {
    let shown = file.display();
    if names > 1 {
        return Err(config(format!(
            "{shown} has {names} names (hard links), and SQLite keeps a journal beside each, so \
             that those who use different names would not exclude each other: keep one name \
             (`find -samefile {shown}` shows the others), or copy the file and use the copy"
        )));
    }
    let all = ["", "-wal", "-shm"].map(|ending| beside::path_of(file, ending));
    let Some(path) = mount::mount_point_among(&all) else {
        return Ok(());
    };
    let directory = file.parent().unwrap_or(file).display();
    Err(config(format!(
        "{} is a mount point of its own, so that what SQLite keeps beside {shown} is not shared \
         with the other end: mount the directory in place of the file (docker: -v \
         {directory}:{directory})",
        path.display()
    )))
}

/// Refuses a file that this user may not read and write, before anything is put beside it.
fn check_rights(file: &Path) -> Result<(), StoreError> {
    check_right_to_read(file)?;
    if is_denied(file, Access::WRITE_OK) {
        return Err(error::plain(StoreErrorClass::Refused, error::read_only(file)));
    }
    Ok(())
}

fn check_right_to_read(file: &Path) -> Result<(), StoreError> {
    if is_denied(file, Access::READ_OK) {
        return Err(error::plain(StoreErrorClass::Refused, error::cannot_open(file)));
    }
    Ok(())
}

fn is_denied(file: &Path, access: Access) -> bool {
    let asked = rustix::fs::accessat(rustix::fs::CWD, file, access, AtFlags::EACCESS);
    matches!(asked, Err(Errno::ACCESS | Errno::PERM | Errno::ROFS))
}
