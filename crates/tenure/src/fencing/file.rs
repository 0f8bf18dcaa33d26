//! A file that refuses a smaller fence. The largest one that was seen stands in a file beside it.

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use crate::types::Fence;

/// Replaces a file as a whole, unless a holder with a larger fence has written it before.
///
/// Readers see the old body or the new one, never a part. Beside `report.txt` stand
/// `report.txt.fence`, with the largest fence that was seen, and for a moment `report.txt.draft`.
/// Writers exclude each other by the kernel's lock (`flock`) on the first, from the comparison to
/// the renaming. A process that dies gives it up; one that is stopped there holds up later writers
/// until it continues. Body and fence are on the disk when this answers.
///
/// It blocks its thread. In an async program, call it by `spawn_blocking`.
///
/// *Not promised:* anything about writers that change the file in another way, or that see it
/// through a network file system without such locks. A symbolic link at `path` is replaced, not
/// followed.
///
/// # Errors
/// An error of kind [`Other`](io::ErrorKind::Other) with a [`StaleFence`] inside if the fence is
/// smaller; nothing was changed then ([`StaleFence::of`] finds it). [`io::ErrorKind::InvalidData`]
/// if the file beside contains no fence. Errors of the file system: after these, the fence may be
/// noted, and the body is the old one or the new one.
///
/// ```
/// # fn f(guard: tenure::Guard) -> std::io::Result<()> {
/// use tenure::fencing::{StaleFence, write_file};
/// match write_file("report.txt", guard.fence(), b"all sold") {
///     Err(error) if StaleFence::of(&error).is_some() => eprintln!("stop: {error}"),
///     written => written?,
/// }
/// # Ok(()) }
/// ```
pub fn write_file(path: impl AsRef<Path>, fence: Fence, body: &[u8]) -> io::Result<()> {
    let path = path.as_ref();
    let mut seen = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(beside(path, ".fence"))?;
    // Until it is closed.
    seen.lock()?;
    let largest = largest(&mut seen)?;
    if fence < largest {
        return Err(io::Error::other(StaleFence { largest }));
    }
    // The fence first: after a crash in between, a smaller one is refused already.
    note(&mut seen, fence)?;
    let draft = beside(path, ".draft");
    let mut file = File::create(&draft)?;
    file.write_all(body)?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}

/// The largest fence that was seen, from the file beside; zero if it is empty.
fn largest(seen: &mut File) -> io::Result<Fence> {
    let mut text = String::new();
    seen.read_to_string(&mut text)?;
    if text.is_empty() {
        return Ok(Fence::new(0));
    }
    let number = text.trim_end().parse().map_err(|_| {
        let message = format!("{:?} beside the file is no fence", text.trim_end());
        io::Error::new(io::ErrorKind::InvalidData, message)
    })?;
    Ok(Fence::new(number))
}

/// Fences only grow, so the new digits cover the old ones.
fn note(seen: &mut File, fence: Fence) -> io::Result<()> {
    seen.rewind()?;
    writeln!(seen, "{fence}")?;
    seen.sync_all()
}

/// The path with something behind the file's name.
fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(end);
    name.into()
}

/// The refusal of a writer: a holder with a larger fence has written before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct StaleFence {
    /// The largest fence that was seen.
    pub largest: Fence,
}

impl StaleFence {
    /// The refusal inside an error of [`write_file`]; `None` if the error has another cause.
    #[must_use]
    pub fn of(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref::<Self>().copied()
    }
}

impl fmt::Display for StaleFence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a later holder has written already, with fence {}", self.largest)
    }
}

impl std::error::Error for StaleFence {}
