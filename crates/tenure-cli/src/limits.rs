//! The limit of open files. A limit that is too low would show later, and as something else: the
//! library of signals panics, and SQLite says that it cannot open its file.

use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};
use rustix::stdio::stderr;

use crate::exit::{Exit, Refusal};

/// Number of descriptors that `tenure run` opens at the same time (about 20 with the embedded
/// store), and some to spare.
const NEEDED: usize = 32;

/// Refuses to begin with fewer than are needed.
pub(crate) fn check_descriptors() -> Result<(), Refusal> {
    let mut opened = vec![];
    while opened.len() < NEEDED {
        match rustix::io::fcntl_dupfd_cloexec(stderr(), 0) {
            Ok(descriptor) => opened.push(descriptor),
            Err(Errno::MFILE) => return Err(too_few(opened.len())),
            // Stderr is closed: that is no question of limits.
            Err(_) => return Ok(()),
        }
    }
    Ok(())
}

fn too_few(free: usize) -> Refusal {
    let limit = getrlimit(Resource::Nofile).current;
    let limit = limit.map_or_else(|| "any number of".into(), |limit| limit.to_string());
    Refusal {
        exit: Exit::INTERNAL,
        message: format!(
            "this process may open {limit} files, of which {free} are left; tenure needs {NEEDED}: \
             raise the limit (ulimit -n, or LimitNOFILE= in a systemd unit)"
        ),
    }
}
