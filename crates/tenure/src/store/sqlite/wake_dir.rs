//! The directory `FILE.wake` beside the file: sockets for wake-ups, and the lock under which the
//! file is opened (see `file.rs`).
//!
//! Others may be able to write where it lies. So it is opened once, and never through a link.
//! Everything in it is reached through that descriptor. Rights are changed only of a directory that
//! is proved to be ours.

use std::fs::{self, DirBuilder, Metadata};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, RawMode, Stat, Uid};
use rustix::io::Errno;

use super::beside;
use super::error;
use crate::store::{StoreError, StoreErrorClass};

/// The longest path of a socket, in bytes: `sun_path` without the null byte at its end.
const SOCKET_PATH_MAX: usize = 107;
/// Maximum number of entries that are looked at when the file is opened.
const ENTRIES_MAX: usize = 1024;

/// The directory of the sockets.
#[derive(Debug)]
pub(super) struct WakeDir {
    path: PathBuf,
    fd: OwnedFd,
    /// `/proc/self/fd`, in which open descriptors have names.
    fd_names: PathBuf,
}

impl WakeDir {
    /// The path of the directory of `file`.
    pub(super) fn path_of(file: &Path) -> PathBuf {
        beside::path_of(file, ".wake")
    }

    /// Opens the directory of `file`, and makes it first if it is missing.
    pub(super) fn open(file: &Path, fd_names: &Path) -> Result<Self, StoreError> {
        let path = Self::path_of(file);
        match DirBuilder::new().mode(0o700).create(&path) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(unusable(file, e)),
            _ => {}
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = match rustix::fs::open(&path, flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::LOOP | Errno::NOTDIR) => {
                return Err(planted(file, &path, "is no directory, or a link to one"));
            }
            Err(Errno::ACCESS) => return Err(closed(file, &path)),
            Err(e) => return Err(unusable(file, e.into())),
        };
        let dir = rustix::fs::fstat(&fd).map_err(|e| unusable(file, e.into()))?;
        let main = fs::metadata(file).ok();
        if !beside::may_own(dir.st_uid, main.as_ref()) {
            let whose = match &main {
                Some(main) => format!("{} to user {}", file.display(), main.uid()),
                None => format!("this is user {}", rustix::process::geteuid()),
            };
            return Err(planted(file, &path, &format!("belongs to user {}, {whose}", dir.st_uid)));
        }
        Ok(Self { path, fd, fd_names: fd_names.into() })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the directory the owner, group and mode that belong to `file`, so that all users that
    /// may write the file can wake and be woken. It must be ours and contain nothing but sockets:
    /// another directory may have been moved here.
    pub(super) fn follow(&self, file: &Path) {
        let (Ok(file), Ok(dir)) = (fs::metadata(file), rustix::fs::fstat(&self.fd)) else {
            return;
        };
        let me = rustix::process::geteuid();
        if dir.st_uid != me.as_raw() || is_as(&dir, &file) || !self.has_only_sockets() {
            return;
        }
        // Only root can change the owner. Other users may change to another group of theirs.
        let owner = me.is_root().then(|| Uid::from_raw(file.uid()));
        let _ = rustix::fs::fchown(&self.fd, owner, Some(Gid::from_raw(file.gid())));
        let Ok(dir) = rustix::fs::fstat(&self.fd) else {
            return;
        };
        let _ = rustix::fs::fchmod(&self.fd, Mode::from_raw_mode(mode_beside(&file, dir.st_gid)));
    }

    /// Makes a socket. All users that can enter the directory may send to it.
    pub(super) fn bind(&self, name: &str) -> io::Result<UnixDatagram> {
        let socket = UnixDatagram::bind(self.through_fd(self.fd.as_fd())?.join(name))?;
        socket.set_nonblocking(true)?;
        self.open_to_all(name)?;
        Ok(socket)
    }

    /// Opens a socket's mode to all users: the directory decides who reaches it, not the process's
    /// umask.
    fn open_to_all(&self, name: &str) -> io::Result<()> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let place = rustix::fs::openat(&self.fd, name, flags, Mode::empty())?;
        let found = rustix::fs::fstat(&place)?;
        let is_ours = FileType::from_raw_mode(found.st_mode) == FileType::Socket
            && found.st_uid == rustix::process::geteuid().as_raw()
            && found.st_nlink == 1;
        if !is_ours {
            let text = format!("{} was replaced while it was made", self.path.join(name).display());
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
        }
        // A socket cannot be opened, and a path descriptor changes no mode by itself.
        rustix::fs::chmod(self.through_fd(place.as_fd())?, Mode::from_raw_mode(0o666))?;
        Ok(())
    }

    /// The path for sending to a socket; `None` if no path is short enough.
    pub(super) fn address(&self, name: &str) -> Option<PathBuf> {
        let direct = self.path.join(name);
        if direct.as_os_str().as_bytes().len() <= SOCKET_PATH_MAX {
            return Some(direct);
        }
        Some(self.through_fd(self.fd.as_fd()).ok()?.join(name))
    }

    /// Removes a socket of this directory, whatever is at the directory's path now.
    pub(super) fn remove(&self, name: &str) {
        let _ = rustix::fs::unlinkat(&self.fd, name, AtFlags::empty());
    }

    /// Removes the sockets of processes that are gone.
    pub(super) fn sweep(&self) {
        let Ok(probe) = UnixDatagram::unbound() else {
            return;
        };
        for (name, kind) in self.entries() {
            let Some(place) = self.address(&name) else {
                continue;
            };
            if kind == FileType::Socket && probe.connect(&place).is_err_and(|e| is_dead(&e)) {
                self.remove(&name);
            }
        }
    }

    /// The entries whose names are text, with their types.
    fn entries(&self) -> Vec<(String, FileType)> {
        let entries = Dir::read_from(&self.fd).into_iter().flatten().flatten();
        let named = entries.filter_map(|entry| {
            let name = entry.file_name().to_str().ok()?;
            (name != "." && name != "..").then(|| (name.to_owned(), entry.file_type()))
        });
        named.take(ENTRIES_MAX).collect()
    }

    fn has_only_sockets(&self) -> bool {
        self.entries().iter().all(|(_, kind)| *kind == FileType::Socket)
    }

    fn through_fd(&self, fd: BorrowedFd<'_>) -> io::Result<PathBuf> {
        if self.fd_names.is_dir() {
            return Ok(self.fd_names.join(fd.as_raw_fd().to_string()));
        }
        let text = format!("{} is not there: mount /proc", self.fd_names.display());
        Err(io::Error::new(io::ErrorKind::NotFound, text))
    }
}

impl AsFd for WakeDir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Whether the error says that no process listens on the socket.
pub(super) fn is_dead(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::ConnectionRefused
}

/// The mode of the directory beside `file`, if it belongs to `group`.
fn mode_beside(file: &Metadata, group: u32) -> RawMode {
    let may = |bits: u32| file.mode() & bits == bits;
    let group = if may(0o060) && file.gid() == group { 0o070 } else { 0 };
    let others = if may(0o006) { 0o007 } else { 0 };
    0o700 | group | others
}

fn is_as(dir: &Stat, file: &Metadata) -> bool {
    (dir.st_uid, dir.st_gid) == (file.uid(), file.gid())
        && dir.st_mode & 0o777 == mode_beside(file, dir.st_gid)
}

pub(super) fn unusable(file: &Path, error: io::Error) -> StoreError {
    let file = file.display();
    error::of_system(
        &format!(
            "cannot use {file}.wake: the directory of {file} must be writable, SQLite and Tenure \
             keep files beside it"
        ),
        error,
    )
}

fn planted(file: &Path, path: &Path, what: &str) -> StoreError {
    let (file, path) = (file.display(), path.display());
    let message = format!(
        "{path} {what}: Tenure has not made it so, and nothing was touched; see who has, and \
         remove it while no process uses {file}"
    );
    error::plain(StoreErrorClass::Config, message)
}

/// The error for a directory of another user whose mode fits another file, or this file as it was.
fn closed(file: &Path, path: &Path) -> StoreError {
    let shown = (file.display(), path.display());
    let (whose, mode) = match (fs::symlink_metadata(path), fs::metadata(file)) {
        (Ok(dir), Ok(file)) => (
            format!("user {}, group {}, mode {:o}", dir.uid(), dir.gid(), dir.mode() & 0o777),
            mode_beside(&file, file.gid()),
        ),
        _ => ("somebody else".to_owned(), 0o700),
    };
    let message = format!(
        "cannot enter {1} as user {me}: it belongs to {whose}, and should have owner and group \
         of {0}; as root: chown --reference={0} {1} && chmod {mode:o} {1}",
        shown.0,
        shown.1,
        me = rustix::process::geteuid(),
    );
    error::plain(StoreErrorClass::Refused, message)
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn opened(directory: &Path) -> WakeDir {
        let file = directory.join("locks.db");
        WakeDir::open(&file, Path::new("/proc/self/fd")).expect("it opens")
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("it is there").mode() & 0o777
    }

    #[test]
    fn a_socket_is_open_to_all_and_what_replaced_it_keeps_its_mode() {
        let directory = tempfile::tempdir().expect("a directory");
        let wake = opened(directory.path());
        let _socket = wake.bind("mine").expect("a socket");
        assert_eq!(mode(&wake.path.join("mine")), 0o666);

        let victim = directory.path().join("victim");
        fs::write(&victim, "precious").expect("a file");
        let other = directory.path().join("other");
        let _other = UnixDatagram::bind(&other).expect("a socket");
        let planted = wake.path.join("planted");
        for path in [victim.as_path(), &other] {
            fs::set_permissions(path, Permissions::from_mode(0o600)).expect("a mode");
            let link: fn(&Path, &Path) -> io::Result<()> = |to, at| symlink(to, at);
            for plant in [|to: &Path, at: &Path| fs::hard_link(to, at), link] {
                plant(path, &planted).expect("planted");
                wake.open_to_all("planted").expect_err("it is not what was made");
                assert_eq!(mode(path), 0o600, "{}", path.display());
                wake.remove("planted");
            }
        }
        assert!(wake.open_to_all("nothing").is_err());
    }

    #[test]
    fn what_lies_at_its_path_now_is_left_alone() {
        let directory = tempfile::tempdir().expect("a directory");
        let wake = opened(directory.path());
        let socket = wake.bind("mine").expect("a socket");
        let moved = directory.path().join("moved");
        fs::rename(&wake.path, &moved).expect("moved");
        let other = directory.path().join("other");
        fs::create_dir(&other).expect("a directory");
        symlink(&other, &wake.path).expect("a link");
        let alike = UnixDatagram::bind(other.join("mine")).expect("a socket");
        drop((socket, alike));
        wake.remove("mine");
        assert!(other.join("mine").exists() && !moved.join("mine").exists());
        wake.bind("new").expect("a socket");
        assert!(moved.join("new").exists() && !other.join("new").exists());
    }
}
