//! The home of the processes of a test: a store and a directory that they share.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tenure_testkit::{Flavour, Running, Server};

/// The variables with the store and the directory of a process.
const STORE: &str = "TENURE_TEST_STORE";
const ROOM: &str = "TENURE_TEST_ROOM";
/// No step of a healthy machine takes so long, however busy it is.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The store and the directory. A server ends with this.
pub(crate) struct Home {
    store: String,
    pub(crate) room: PathBuf,
    _dir: TempDir,
    _server: Option<Server>,
}

impl Home {
    /// With a server, or a file.
    pub(crate) fn at(server: Option<Flavour>) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let server = server.map(|flavour| Server::of(flavour).start());
        let file = || format!("sqlite:{}", dir.path().join("locks.db").display());
        let store = server.as_ref().map_or_else(file, unhurried);
        let room = dir.path().join("room");
        std::fs::create_dir(&room).expect("a directory");
        Self { store, room, _dir: dir, _server: server }
    }

    /// Starts a process of this home. It is killed when the answer is dropped.
    pub(crate) fn start(&self, role: &mut Command) -> Running {
        role.env(STORE, &self.store).env(ROOM, &self.room).stdout(Stdio::null());
        Running::start(role)
    }
}

/// A server's URL, with limits that no pause of a busy machine reaches.
pub(crate) fn unhurried(server: &Server) -> String {
    format!("{}?call_timeout=60s&connect_timeout=60s", server.url())
}

/// The store's URL and the directory, in a process that was started in a home.
pub(crate) fn inherited() -> Option<(String, PathBuf)> {
    Some((std::env::var(STORE).ok()?, std::env::var_os(ROOM)?.into()))
}

/// Opens a file to add to it, and makes it first if there is none.
pub(crate) fn open(path: &Path) -> File {
    let file = OpenOptions::new().create(true).append(true).read(true).open(path);
    file.unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The lines of a file to which others add. The last one may be half written, and is left out.
pub(crate) fn whole_lines(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let whole = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
    whole.map(str::to_owned).collect()
}
