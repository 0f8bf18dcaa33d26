//! Wake-ups between processes: a datagram per granted waiter, to a socket in the directory
//! `FILE.wake` beside the file. Always a hint: what is lost on the way is found by the waiter's
//! next heartbeat, and nothing here ever blocks.
//!
//! The directory also carries the lock under which the file is opened (see `file.rs`).

use std::collections::{HashMap, VecDeque};
use std::ffi::OsString;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use tokio::sync::mpsc;

use super::datagram;
use crate::logic::Grant;
use crate::seam::{Seam, random_u32};
use crate::store::{Inbox, Push};
use crate::words::Key;

/// The longest path of a socket, in bytes: `sun_path` less its end mark.
const SOCKET_PATH_MAX: usize = 107;
/// A datagram that its receiver had no room for is offered again for so long: by then a waiter
/// has looked by itself. Of those that wait for it no more than this many are kept.
const OFFERED_FOR: Duration = Duration::from_secs(2);
const UNSENT_MAX: usize = 64;
/// No more than so many sockets are looked at when the file is opened.
const SWEEP_MAX: usize = 1024;

/// The directory of the sockets.
#[derive(Debug)]
pub(super) struct WakeDir {
    path: PathBuf,
    fd: OwnedFd,
    /// `/proc/self/fd`, through which a long path has a short name.
    fd_names: PathBuf,
}

impl WakeDir {
    /// Where the directory of `file` lies.
    pub(super) fn path_of(file: &Path) -> PathBuf {
        let mut name = OsString::from(file);
        name.push(".wake");
        name.into()
    }

    /// Opens the directory of `file`, and makes it first if need be. Its mode follows the
    /// file's: whoever may write the file may wake and be woken.
    pub(super) fn open(file: &Path, fd_names: &Path) -> io::Result<Self> {
        let path = Self::path_of(file);
        match DirBuilder::new().mode(0o700).create(&path) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
            _ => {}
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(&path, flags, Mode::empty())?;
        Ok(Self { path, fd, fd_names: fd_names.into() })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the directory the mode that belongs to `file`. Only its owner can; for others it
    /// is as it is.
    pub(super) fn follow(&self, file: &Path) {
        let (Ok(file), Ok(dir)) = (fs::metadata(file), fs::metadata(&self.path)) else {
            return;
        };
        let may = |bits: u32| file.mode() & bits == bits;
        let group = if may(0o060) && file.gid() == dir.gid() { 0o070 } else { 0 };
        let others = if may(0o006) { 0o007 } else { 0 };
        let mode = 0o700 | group | others;
        if dir.mode() & 0o777 != mode {
            let _ = fs::set_permissions(&self.path, Permissions::from_mode(mode));
        }
    }

    /// Where a socket of this name is bound and reached; `None` if no path is short enough.
    fn socket(&self, name: &str) -> Option<PathBuf> {
        let direct = self.path.join(name);
        if direct.as_os_str().as_bytes().len() <= SOCKET_PATH_MAX {
            return Some(direct);
        }
        let short = self.fd_names.join(self.fd.as_raw_fd().to_string()).join(name);
        let fits = short.as_os_str().as_bytes().len() <= SOCKET_PATH_MAX;
        (fits && self.fd_names.is_dir()).then_some(short)
    }

    /// Removes the sockets of processes that are gone.
    pub(super) fn sweep(&self) {
        let (Ok(entries), Ok(probe)) = (fs::read_dir(&self.path), UnixDatagram::unbound()) else {
            return;
        };
        for entry in entries.flatten().take(SWEEP_MAX) {
            let is_socket = entry.file_type().is_ok_and(|kind| kind.is_socket());
            let Some(path) = entry.file_name().to_str().and_then(|name| self.socket(name)) else {
                continue;
            };
            if is_socket && probe.connect(&path).is_err_and(|e| is_dead(&e)) {
                let _ = fs::remove_file(&path);
            }
        }
    }
}

fn is_dead(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::ConnectionRefused
}

/// The inboxes of this process, reached without a socket.
type Neighbours = Mutex<HashMap<Arc<str>, mpsc::UnboundedSender<Push>>>;

/// Opens inboxes: the receiving half.
#[derive(Debug)]
pub(super) struct Inboxes {
    dir: Arc<WakeDir>,
    neighbours: Arc<Neighbours>,
}

impl Inboxes {
    pub(super) fn new(dir: Arc<WakeDir>) -> Self {
        Self { dir, neighbours: Arc::default() }
    }

    /// The sending half, for the worker.
    pub(super) fn postman(&self) -> io::Result<Postman> {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        let (dir, neighbours) = (Arc::clone(&self.dir), Arc::clone(&self.neighbours));
        Ok(Postman { dir, neighbours, socket, unsent: VecDeque::new() })
    }

    /// Opens an inbox; `None`, with one warning, where no socket can be made.
    pub(super) fn open(&self, seam: &dyn Seam) -> Option<Inbox> {
        let name = format!("{:x}-{:08x}", std::process::id(), random_u32(seam));
        let (socket, path) = match self.bind(&name) {
            Ok(bound) => bound,
            Err(error) => {
                tracing::warn!(
                    directory = %self.dir.path.display(), %error,
                    "no socket for wake-ups: waiters look at intervals instead"
                );
                return None;
            }
        };
        let address: Arc<str> = name.into();
        let (sender, pushes) = mpsc::unbounded_channel();
        let entry = (Arc::clone(&address), sender.clone());
        self.neighbours.lock().unwrap_or_else(PoisonError::into_inner).insert(entry.0, entry.1);
        let listening = Listening {
            address: Arc::clone(&address),
            path,
            dir: Arc::clone(&self.dir),
            neighbours: Arc::clone(&self.neighbours),
        };
        seam.spawn(Box::pin(listen(listening, socket, sender)));
        Some(Inbox { address, pushes, missed: Arc::default() })
    }

    fn bind(&self, name: &str) -> io::Result<(UnixDatagram, PathBuf)> {
        let path = self.dir.socket(name).ok_or_else(|| {
            let length = self.dir.path.join(name).as_os_str().len();
            let text = format!("a path of {length} bytes is too long, {SOCKET_PATH_MAX} fit");
            io::Error::new(io::ErrorKind::InvalidFilename, text)
        })?;
        let socket = UnixDatagram::bind(&path)?;
        socket.set_nonblocking(true)?;
        // The directory decides who comes this far.
        fs::set_permissions(&path, Permissions::from_mode(0o666))?;
        Ok((socket, path))
    }
}

/// An inbox as long as it is open; it takes its socket and its entry with it.
#[derive(Debug)]
struct Listening {
    address: Arc<str>,
    path: PathBuf,
    /// Keeps a path through the directory's descriptor alive.
    #[expect(dead_code, reason = "held, not read")]
    dir: Arc<WakeDir>,
    neighbours: Arc<Neighbours>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.neighbours.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.address);
        let _ = fs::remove_file(&self.path);
    }
}

/// Hands pushes on until the receiver is gone.
async fn listen(inbox: Listening, socket: UnixDatagram, pushes: mpsc::UnboundedSender<Push>) {
    let socket = match tokio::net::UnixDatagram::from_std(socket) {
        Ok(socket) => socket,
        Err(error) => {
            tracing::warn!(%error, "the socket for wake-ups does not work");
            return;
        }
    };
    let mut buffer = vec![0; datagram::MAX_BYTES];
    loop {
        let received = tokio::select! {
            biased;
            () = pushes.closed() => break,
            received = socket.recv(&mut buffer) => received,
        };
        match received {
            Ok(length) => {
                for push in datagram::decode(&buffer[..length]) {
                    let _ = pushes.send(push);
                }
            }
            Err(error) => {
                tracing::warn!(%error, inbox = %inbox.address, "wake-ups cannot be received");
                break;
            }
        }
    }
}

/// Tells waiters of their grants: the sending half.
#[derive(Debug)]
pub(super) struct Postman {
    dir: Arc<WakeDir>,
    neighbours: Arc<Neighbours>,
    socket: UnixDatagram,
    unsent: VecDeque<Letter>,
}

#[derive(Debug)]
struct Letter {
    inbox: Arc<str>,
    bytes: Vec<u8>,
    refused_since: Option<Instant>,
}

impl Postman {
    /// Tells every granted waiter. Grants of one inbox travel together: a receiver has room for
    /// few datagrams (`net.unix.max_dgram_qlen`, often 10).
    pub(super) fn tell(&mut self, grants: Vec<(Key, Grant)>) {
        let mut letters: Vec<(Arc<str>, Vec<Push>)> = Vec::new();
        for (key, grant) in grants {
            let Grant { owner, fence, stamp, inbox } = grant;
            let push = Push { key, owner, fence, stamp };
            if let Some(sender) = self.neighbour(&inbox) {
                let _ = sender.send(push);
                continue;
            }
            match letters.iter_mut().find(|(to, _)| *to == inbox) {
                Some((_, pushes)) => pushes.push(push),
                None => letters.push((inbox, vec![push])),
            }
        }
        for (inbox, pushes) in letters {
            for bytes in datagram::encode(&pushes) {
                self.send(Letter { inbox: Arc::clone(&inbox), bytes, refused_since: None });
            }
        }
    }

    /// Whether a receiver had no room yet.
    pub(super) fn has_unsent(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Tries once more what found no room.
    pub(super) fn retry(&mut self) {
        for letter in std::mem::take(&mut self.unsent) {
            self.send(letter);
        }
    }

    fn neighbour(&self, inbox: &Arc<str>) -> Option<mpsc::UnboundedSender<Push>> {
        self.neighbours.lock().unwrap_or_else(PoisonError::into_inner).get(inbox).cloned()
    }

    #[allow(clippy::disallowed_methods, reason = "this is the edge to other processes")]
    fn send(&mut self, mut letter: Letter) {
        // The address comes out of the file: it must not lead out of the directory.
        if letter.inbox.contains('/') || letter.inbox.starts_with('.') {
            return;
        }
        let Some(path) = self.dir.socket(&letter.inbox) else {
            return;
        };
        match self.socket.send_to(&letter.bytes, &path) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                let since = *letter.refused_since.get_or_insert_with(Instant::now);
                if since.elapsed() < OFFERED_FOR && self.unsent.len() < UNSENT_MAX {
                    self.unsent.push_back(letter);
                }
            }
            Err(e) if is_dead(&e) => {
                let _ = fs::remove_file(&path);
            }
            // A waiter that is gone, or one that this user may not wake: it looks by itself.
            Ok(_) | Err(_) => {}
        }
    }
}
