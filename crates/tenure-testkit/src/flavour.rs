//! The kinds of server there are, and where their programs lie. It never looks at what else is
//! installed on the machine.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Flavour {
    /// Redis as Debian packages it: 7.0, with TLS.
    Redis,
    /// Valkey 9, without TLS.
    Valkey,
}

impl Flavour {
    /// All of them, for tests that run on each.
    pub const ALL: [Self; 2] = [Self::Redis, Self::Valkey];

    /// The server's program, fetched by `tools/servers` if it is not there yet.
    ///
    /// # Panics
    /// If it cannot be fetched.
    #[must_use]
    pub fn program(self) -> PathBuf {
        let name = match self {
            Self::Redis => "redis/bin/redis-server",
            Self::Valkey => "valkey/bin/valkey-server",
        };
        fetched(name)
    }

    /// Where the shared libraries lie that the program needs and the machine may not have.
    #[must_use]
    pub(crate) fn libraries(self) -> Option<PathBuf> {
        (self == Self::Redis).then(|| fetched("redis/lib"))
    }
}

impl fmt::Display for Flavour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Redis => "redis",
            Self::Valkey => "valkey",
        })
    }
}

/// The command line client of Redis, made to find its libraries.
///
/// # Panics
/// If it cannot be fetched.
#[must_use]
pub fn redis_cli() -> Command {
    let mut command = Command::new(fetched("redis/bin/redis-cli"));
    command.env("LD_LIBRARY_PATH", fetched("redis/lib"));
    command
}

/// The directory with redis-py, for `PYTHONPATH`.
///
/// # Panics
/// If it cannot be fetched.
#[must_use]
pub fn redis_py() -> PathBuf {
    fetched("python")
}

/// The library that lets a test set a program's wall clock, for `LD_PRELOAD`.
pub(crate) fn faketime() -> PathBuf {
    fetched("faketime/libfaketime.so.1")
}

/// A path below the directory that `tools/servers` fills.
fn fetched(name: &str) -> PathBuf {
    static FETCH: Once = Once::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("a workspace");
    FETCH.call_once(|| {
        let output = Command::new(root.join("tools/servers")).output().expect("tools/servers runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "tools/servers could not fetch the servers:\n{said}");
    });
    let path = root.join(".cache/servers").join(name);
    assert!(path.exists(), "tools/servers left no {}", path.display());
    path
}
