//! Reading a file that a URL names. A FIFO is read if somebody writes to it; the system would wait
//! for a writer without end.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;

/// The first bytes that are taken from a FIFO.
const BEGIN: usize = 4096;

/// Reads the whole file. It blocks while a writer of a FIFO is slow.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    if fs::metadata(path)?.file_type().is_fifo() { read_fifo(path) } else { fs::read(path) }
}

fn read_fifo(path: &Path) -> io::Result<Vec<u8>> {
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let mut fifo = File::options().read(true).custom_flags(flags).open(path)?;
    let mut text = vec![0; BEGIN];
    match fifo.read(&mut text) {
        Ok(0) => return Err(io::Error::other("it is a FIFO to which nobody writes")),
        Ok(count) => text.truncate(count),
        // There is a writer, which has not written yet.
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => text.clear(),
        Err(e) => return Err(e),
    }
    let flags = rustix::fs::fcntl_getfl(&fifo)?;
    rustix::fs::fcntl_setfl(&fifo, flags.difference(OFlags::NONBLOCK))?;
    fifo.read_to_end(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    #[allow(clippy::disallowed_methods, reason = "a writer beside the reader")]
    fn a_fifo_is_read_from_its_writer_and_refused_without_one() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("fifo");
        assert!(Command::new("mkfifo").arg(&path).status().expect("mkfifo").success());
        let error = read(&path).expect_err("nobody writes");
        assert!(error.to_string().contains("FIFO to which nobody writes"), "{error}");
        let long = "x".repeat(3 * BEGIN);
        // The writer has opened it before it is read, and may not have written yet.
        let keep = File::options().read(true).write(true).open(&path).expect("it opens");
        let mut writer = File::options().write(true).open(&path).expect("it opens");
        let sent = long.clone();
        let writing = std::thread::spawn(move || {
            io::Write::write_all(&mut writer, sent.as_bytes()).expect("it is read");
            drop(keep);
        });
        assert_eq!(read(&path).expect("somebody writes"), long.as_bytes());
        writing.join().expect("it has written");
    }
}
