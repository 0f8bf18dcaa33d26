//! A journal that this user cannot read: it is ahead of the file, its shared memory is missing, and
//! this user may make nothing beside the file. It changes nothing but a message.

use std::fs;
use std::path::Path;

use rustix::fs::{Access, AtFlags, CWD};

use super::beside::path_of;
use super::error;
use super::leftover;
use crate::store::{StoreError, StoreErrorClass};

/// Explains the refusal of such a file; other errors stay as they are.
pub(super) fn explain(file: &Path, refusal: StoreError) -> StoreError {
    let is_refused = refusal.class == StoreErrorClass::Refused;
    let Some(directory) = file.parent().filter(|_| is_refused && is_ahead(file)) else {
        return refusal;
    };
    let wanted = Access::WRITE_OK | Access::EXEC_OK;
    if rustix::fs::accessat(CWD, directory, wanted, AtFlags::EACCESS).is_ok() {
        return refusal;
    }
    let (shown, directory) = (file.display(), directory.display());
    let remedy = if error::is_on_read_only_disk(file) {
        "its disk is mounted read-only: mount it with `mount -o remount,rw`".to_owned()
    } else {
        format!(
            "this user may make no file in {directory}. Type `tenure doctor --store-file {shown}` \
             as a user who may, or as root: it brings the changes into the file"
        )
    };
    let message = format!(
        "{shown}-wal has changes that are not in {shown} yet, and {shown}-shm, without which they \
         cannot be read, is missing (a process that used the file was killed, or the file was \
         copied): {remedy}"
    );
    StoreError { message, ..refusal }
}

/// Whether there is a journal that the file does not have, and no shared memory.
fn is_ahead(file: &Path) -> bool {
    let is_filled = fs::metadata(path_of(file, "-wal")).is_ok_and(|journal| journal.len() > 0);
    is_filled && !path_of(file, "-shm").exists() && !leftover::is_left(file).unwrap_or(false)
}
