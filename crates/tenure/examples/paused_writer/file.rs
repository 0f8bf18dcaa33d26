//! A file that refuses a smaller fence. The largest one seen stands in a file beside it, which is
//! also what writers of this host exclude each other by for the moment of comparing and writing.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::Path;

use tenure::Fence;

/// Whether the file took it.
pub(crate) fn write(path: &Path, fence: Fence, body: &str) -> io::Result<bool> {
    let beside = path.with_extension("fence");
    let mut seen =
        File::options().read(true).write(true).create(true).truncate(false).open(beside)?;
    seen.lock()?; // Until it is closed: the kernel's lock, which a dead process cannot keep.

    let mut largest = String::new();
    seen.read_to_string(&mut largest)?;
    let invalid = |e| io::Error::new(io::ErrorKind::InvalidData, e);
    let largest = if largest.is_empty() { 0 } else { largest.parse().map_err(invalid)? };
    if fence.get() < largest {
        return Ok(false);
    }

    // The fence first: after a crash in between, a smaller one is refused already. Numbers only
    // grow, so the new one covers the old one. Readers see the old body or the new, never half.
    seen.rewind()?;
    write!(seen, "{fence}")?;
    let draft = path.with_extension("draft");
    fs::write(&draft, body)?;
    fs::rename(draft, path)?;
    Ok(true)
}
