//! Opening a file to write to it, also a FIFO. That is open once somebody reads it, for which the
//! system would wait without end.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use rustix::event::Timespec;
use rustix::fs::OFlags;
use rustix::io::Errno;

/// Pause between two looks for a reader.
const PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
/// The looks for a reader, of 10 s together.
const LOOKS: u32 = 200;

/// Opens the file, which must not block afterwards either. These flags are added.
pub(crate) fn open(options: &OpenOptions, flags: OFlags, path: &Path) -> io::Result<File> {
    let mut options = options.clone();
    options.custom_flags((flags | OFlags::NONBLOCK).bits().cast_signed());
    for _ in 0..LOOKS {
        match options.open(path) {
            Err(e) if is_without_reader(&e, path) => {
                let _ = rustix::event::poll(&mut [], Some(&PAUSE));
            }
            opened => return opened,
        }
    }
    let message = "it is a FIFO that nobody has begun to read within 10s";
    Err(io::Error::new(io::ErrorKind::TimedOut, message))
}

/// The same for a file that may block afterwards, as its writers expect.
pub(crate) fn open_to_block(options: &OpenOptions, path: &Path) -> io::Result<File> {
    let file = open(options, OFlags::empty(), path)?;
    let flags = rustix::fs::fcntl_getfl(&file)?;
    rustix::fs::fcntl_setfl(&file, flags.difference(OFlags::NONBLOCK))?;
    Ok(file)
}

/// A socket gives the same error.
fn is_without_reader(error: &io::Error, path: &Path) -> bool {
    let is_fifo = || fs::metadata(path).is_ok_and(|kind| kind.file_type().is_fifo());
    error.raw_os_error() == Some(Errno::NXIO.raw_os_error()) && is_fifo()
}
