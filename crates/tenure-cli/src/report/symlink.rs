//! Following the symbolic link that a path ends in, if nobody else can have planted it there. It is
//! the kernel's rule of `fs.protected_symlinks`, which is switched off on some machines and covers
//! world-writable directories with the sticky bit alone; here it covers each directory that the
//! group or others can write to. Links among the directories of a path are the kernel's to follow.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, PROC_SUPER_MAGIC, Stat};
use rustix::io::Errno;

use crate::users;

/// How many links are followed, as by the kernel.
pub(super) const LINKS: usize = 40;

/// The write permission of the group and of others.
const WRITABLE: u32 = 0o022;

/// Where a path ends.
#[derive(Debug)]
pub(super) enum End {
    /// It is no link.
    Direct,
    /// Behind one link or more, at this path, which was no link when it was looked at.
    BehindLink(PathBuf),
    /// At this link that the kernel has made in /proc. Its target may have no other name.
    OfProcess(PathBuf),
}

/// Follows the link that a path ends in, and each further one. Each link is opened once, checked
/// and read: one that replaces it meanwhile is not followed.
pub(super) fn follow(path: &Path) -> io::Result<End> {
    let mut end = path.to_owned();
    for count in 0..=LINKS {
        let ends_here = |end| if count == 0 { End::Direct } else { End::BehindLink(end) };
        let Some(name) = end.file_name() else { return Ok(ends_here(end)) };
        let parent = end.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        let handle = OFlags::PATH | OFlags::CLOEXEC;
        let directory = rustix::fs::openat(CWD, parent, handle | OFlags::DIRECTORY, Mode::empty())?;
        let link = rustix::fs::openat(&directory, name, handle | OFlags::NOFOLLOW, Mode::empty());
        let link = match link {
            Err(Errno::NOENT) => None,
            link => Some(link?),
        };
        let stat = link.as_ref().map(rustix::fs::fstat).transpose()?;
        let stat = stat.filter(|stat| FileType::from_raw_mode(stat.st_mode).is_symlink());
        let (Some(link), Some(stat)) = (link, stat) else {
            return Ok(ends_here(end));
        };
        if rustix::fs::fstatfs(&directory)?.f_type == PROC_SUPER_MAGIC {
            return Ok(End::OfProcess(end));
        }
        check(&end, &stat, &rustix::fs::fstat(&directory)?)?;
        let target = rustix::fs::readlinkat(&link, "", vec![])?;
        end = parent.join(OsString::from_vec(target.into_bytes()));
    }
    Err(Errno::LOOP.into())
}

/// Refuses a link that somebody else may have planted.
fn check(path: &Path, link: &Stat, directory: &Stat) -> io::Result<()> {
    let own = rustix::process::geteuid().as_raw();
    if directory.st_mode & WRITABLE == 0 || [own, directory.st_uid].contains(&link.st_uid) {
        return Ok(());
    }
    let message = format!(
        "{} is a symbolic link of {} in a directory that others can write to, and is not \
         followed: remove it, or name the file that is meant",
        path.display(),
        users::name(link.st_uid)
    );
    Err(io::Error::new(io::ErrorKind::PermissionDenied, message))
}
