//! Where the line of `--report` goes. Nothing of others is erased: a log that the line is added to,
//! a device, a link in the place of a file.

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::{PidfdFlags, PidfdGetfdFlags};

use super::symlink::{self, End, LINKS};
use super::{Report, ReportTo};
use crate::fifo;
use crate::signals::without_ttou;

/// Time for a full pipe or socket to have room.
const PATIENCE: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };

/// Where the line goes. It is opened before anything is locked: a run whose report cannot be
/// written does not begin.
#[derive(Debug)]
pub(crate) enum Destination {
    /// A descriptor that we were started with, a device or a FIFO: the line is added.
    Stream(File),
    /// A file that is replaced as a whole. Empty means: not over yet.
    Replaced(PathBuf),
    /// A file that cannot be replaced: one behind a link, or one in a directory that we may not
    /// change. It is written over; empty means: not over yet.
    InPlace(File),
}

/// The fate of the bytes that are in a file when it is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    Kept,
    Erased,
}

impl Destination {
    /// Opens what `--report` or `--report-append` names.
    pub(crate) fn open(ReportTo { path, is_added }: &ReportTo) -> io::Result<Self> {
        if *is_added {
            return Self::added_to(path);
        }
        if let Some(number) = descriptor_of(path) {
            return inherited(number).map(Self::Stream);
        }
        let (path, is_behind_link) = match symlink::follow(path)? {
            End::Direct => (path.to_owned(), false),
            End::BehindLink(path) => (path, true),
            // Of another process's descriptors nothing is erased.
            End::OfProcess(path) => {
                let mut options = OpenOptions::new();
                let file = fifo::open(options.append(true), OFlags::empty(), &path)?;
                return Self::opened(file, Content::Kept);
            }
        };
        let mut options = OpenOptions::new();
        options.write(true).custom_flags((OFlags::NOCTTY | OFlags::NOFOLLOW).bits().cast_signed());
        match fs::symlink_metadata(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                if is_behind_link {
                    return Self::opened(options.create(true).open(path)?, Content::Erased);
                }
                replace(&path, None, b"")?;
                Ok(Self::Replaced(path))
            }
            Err(e) => Err(e),
            Ok(kind) if kind.is_file() && !is_behind_link => Self::over_file(path, &kind, &options),
            Ok(kind) => match refusal(&kind) {
                Some(refused) => Err(refused),
                None => {
                    let flags = OFlags::NOCTTY | OFlags::NOFOLLOW;
                    Self::opened(fifo::open(&options, flags, &path)?, Content::Erased)
                }
            },
        }
    }

    /// Opens a file whose lines stay.
    fn added_to(path: &Path) -> io::Result<Self> {
        if let Some(number) = descriptor_of(path) {
            return inherited(number).map(Self::Stream);
        }
        let mut options = OpenOptions::new();
        options.append(true);
        // Another process's descriptor is a link that only the kernel can follow.
        let path = match symlink::follow(path)? {
            End::OfProcess(path) => {
                return Self::opened(fifo::open(&options, OFlags::NOCTTY, &path)?, Content::Kept);
            }
            End::Direct => path.to_owned(),
            End::BehindLink(path) => path,
        };
        options.create(true);
        let file = fifo::open(&options, OFlags::NOCTTY | OFlags::NOFOLLOW, &path)?;
        Self::opened(file, Content::Kept)
    }

    fn opened(file: File, content: Content) -> io::Result<Self> {
        let kind = file.metadata()?;
        if let Some(refused) = refusal(&kind) {
            return Err(refused);
        }
        if let Some(stream) = stream_to(&kind)? {
            return Ok(Self::Stream(stream));
        }
        if kind.is_file() && content == Content::Erased {
            file.set_len(0)?;
            return Ok(Self::InPlace(file));
        }
        Ok(Self::Stream(file))
    }

    fn over_file(path: PathBuf, kind: &Metadata, options: &OpenOptions) -> io::Result<Self> {
        if let Some(stream) = stream_to(kind)? {
            return Ok(Self::Stream(stream));
        }
        match replace(&path, Some(kind), b"") {
            Ok(()) => Ok(Self::Replaced(path)),
            Err(cannot_replace) => {
                let file = options.open(path).map_err(|_| cannot_replace)?;
                file.set_len(0)?;
                Ok(Self::InPlace(file))
            }
        }
    }

    /// Writes the line.
    pub(crate) fn write(&self, report: &Report) -> io::Result<()> {
        let mut line = serde_json::to_vec(report)?;
        line.push(b'\n');
        match self {
            Self::Stream(file) => without_ttou(|| write_all(file, &line)),
            Self::Replaced(path) => {
                let kind = fs::symlink_metadata(path).ok();
                if kind.as_ref().is_some_and(|kind| !kind.is_file()) {
                    let message = "it has become something else than a file meanwhile";
                    return Err(io::Error::new(io::ErrorKind::AlreadyExists, message));
                }
                replace(path, kind.as_ref(), &line)
            }
            Self::InPlace(file) => {
                file.set_len(0)?;
                file.write_all_at(&line, 0)?;
                file.sync_data()
            }
        }
    }
}

/// The number of the descriptor that a path stands for, also by way of links: `-`, `/dev/stderr`,
/// `/dev/fd/7`. Such a path is not opened: a file would be opened once more, without the O_APPEND
/// of a log, and a socket cannot be opened at all.
fn descriptor_of(path: &Path) -> Option<RawFd> {
    if path == Path::new("-") {
        return Some(1);
    }
    let mut path = path.to_owned();
    for _ in 0..LINKS {
        let number = match path.to_str()? {
            "/dev/stdin" => Some(0),
            "/dev/stdout" => Some(1),
            "/dev/stderr" => Some(2),
            _ => path.file_name()?.to_str()?.parse().ok().filter(|_| is_of_descriptors(&path)),
        };
        if number.is_some() {
            return number;
        }
        let next = fs::read_link(&path).ok()?;
        path = path.parent()?.join(next);
    }
    None
}

/// Whether a path lies in the directory of our descriptors.
fn is_of_descriptors(path: &Path) -> bool {
    let Some(directory) = path.parent() else { return false };
    let real = directory.canonicalize().ok();
    let ours = ["/proc/self/fd", "/proc/thread-self/fd"].map(|ours| fs::canonicalize(ours).ok());
    directory == Path::new("/dev/fd") || (real.is_some() && ours.contains(&real))
}

/// A descriptor that we were started with.
fn inherited(number: RawFd) -> io::Result<File> {
    let descriptor = match number {
        0 => rustix::stdio::stdin().try_clone_to_owned()?,
        1 => rustix::stdio::stdout().try_clone_to_owned()?,
        2 => rustix::stdio::stderr().try_clone_to_owned()?,
        _ => by_number(number)?,
    };
    let mode = rustix::fs::fcntl_getfl(&descriptor)?.intersection(OFlags::ACCMODE);
    if mode == OFlags::RDONLY {
        let message = format!("descriptor {number} is not open for writing");
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
    }
    Ok(descriptor.into())
}

/// A copy of a descriptor of which only the number is known.
fn by_number(number: RawFd) -> io::Result<OwnedFd> {
    let ours = rustix::process::pidfd_open(rustix::process::getpid(), PidfdFlags::empty())?;
    if ours.as_raw_fd() == number {
        return Err(Errno::BADF.into());
    }
    match rustix::process::pidfd_getfd(&ours, number, PidfdGetfdFlags::empty()) {
        // Where a sandbox forbids that, files, pipes and terminals can be opened once more.
        Err(Errno::PERM | Errno::NOSYS) => {
            let path = format!("/proc/self/fd/{number}");
            let mut options = OpenOptions::new();
            Ok(fifo::open(options.append(true), OFlags::empty(), Path::new(&path))?.into())
        }
        copy => Ok(copy?),
    }
}

/// Stdout or stderr, if it is that very file: replacing or erasing it would lose its lines.
fn stream_to(kind: &Metadata) -> io::Result<Option<File>> {
    if !kind.is_file() {
        return Ok(None);
    }
    let is_it = |descriptor: BorrowedFd<'_>| {
        let stat = rustix::fs::fstat(descriptor);
        stat.is_ok_and(|stat| (stat.st_dev, stat.st_ino) == (kind.dev(), kind.ino()))
    };
    let all = [(1, rustix::stdio::stdout()), (2, rustix::stdio::stderr())];
    let number = all.into_iter().find(|(_, descriptor)| is_it(*descriptor));
    number.map(|(number, _)| inherited(number)).transpose()
}

/// Puts a new file in the place of `old`, or of nothing: at any time there is the old or the new.
fn replace(path: &Path, old: Option<&Metadata>, bytes: &[u8]) -> io::Result<()> {
    let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty());
    let mut new = tempfile::Builder::new()
        .prefix(".tenure-report-")
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(directory.unwrap_or(Path::new(".")))?;
    if let Some(old) = old {
        let made = new.as_file().metadata()?;
        if (old.uid(), old.gid()) != (made.uid(), made.gid()) {
            std::os::unix::fs::fchown(new.as_file(), Some(old.uid()), Some(old.gid()))?;
        }
        new.as_file().set_permissions(Permissions::from_mode(old.mode() & 0o777))?;
    }
    new.write_all(bytes)?;
    new.as_file().sync_data()?;
    let placed = if old.is_some() { new.persist(path) } else { new.persist_noclobber(path) };
    placed.map(drop).map_err(|e| e.error)
}

/// Writes to a descriptor that others share and may have made non-blocking.
fn write_all(mut file: &File, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = &bytes[count..],
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                let mut ready = [PollFd::new(file, PollFlags::OUT)];
                if rustix::event::poll(&mut ready, Some(&PATIENCE)) == Ok(0) {
                    return Err(e);
                }
            }
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Why nothing can be written there; `None` if it can.
fn refusal(kind: &Metadata) -> Option<io::Error> {
    let message = if kind.is_dir() {
        "it is a directory"
    } else if kind.file_type().is_socket() {
        "it is a socket, which cannot be opened; connect it and name the descriptor, /dev/fd/N"
    } else if kind.file_type().is_block_device() {
        "it is a block device"
    } else {
        return None;
    };
    Some(io::Error::new(io::ErrorKind::InvalidInput, message))
}
