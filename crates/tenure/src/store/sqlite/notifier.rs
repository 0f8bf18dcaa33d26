//! Wake-ups between processes: a datagram per granted waiter, to a socket in the directory
//! `FILE.wake` beside the file. A wake-up is a hint: if it is lost, the waiter's next heartbeat
//! finds the grant. Nothing here ever blocks.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::unix::net::UnixDatagram;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::datagram;
use super::wake_dir::{WakeDir, is_dead};
use crate::observe::tell;
use crate::protocol::Grant;
use crate::runtime::{Runtime, random_u32, shielded};
use crate::store::{Inbox, Push};
use crate::types::Key;

/// Time for which a datagram is offered again if its receiver had no room. By then the waiter has
/// asked by itself.
const OFFERED_FOR: Duration = Duration::from_secs(2);
/// Maximum number of datagrams that wait to be offered again.
const UNSENT_MAX: usize = 64;

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
    pub(super) fn notifier(&self) -> io::Result<Notifier> {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        let (dir, neighbours) = (Arc::clone(&self.dir), Arc::clone(&self.neighbours));
        Ok(Notifier { dir, neighbours, socket, unsent: VecDeque::new() })
    }

    /// Opens an inbox; `None`, with one warning, where no socket can be made.
    pub(super) fn open(&self, runtime: &Arc<dyn Runtime>) -> Option<Inbox> {
        let name = format!("{:x}-{:08x}", std::process::id(), random_u32(&**runtime));
        let socket = match self.dir.bind(&name) {
            Ok(socket) => socket,
            Err(error) => {
                shielded(|| {
                    tracing::warn!(
                        directory = %self.dir.path().display(), %error,
                        "no socket for wake-ups: waiters look at intervals instead"
                    );
                });
                return None;
            }
        };
        let address: Arc<str> = name.into();
        let (sender, pushes) = mpsc::unbounded_channel();
        let entry = (Arc::clone(&address), sender.clone());
        self.neighbours.lock().unwrap_or_else(PoisonError::into_inner).insert(entry.0, entry.1);
        let listening = Listening {
            address: Arc::clone(&address),
            dir: Arc::clone(&self.dir),
            neighbours: Arc::clone(&self.neighbours),
            runtime: Arc::clone(runtime),
        };
        runtime.spawn(Box::pin(listen(listening, socket, sender)));
        Some(Inbox { address, pushes, missed: Arc::default() })
    }
}

/// An open inbox. Dropping it removes its socket and its entry.
#[derive(Debug)]
struct Listening {
    address: Arc<str>,
    dir: Arc<WakeDir>,
    neighbours: Arc<Neighbours>,
    runtime: Arc<dyn Runtime>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.neighbours.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.address);
        // A file system may be slow, and this thread also renews the leases of other stores.
        let (dir, address) = (Arc::clone(&self.dir), Arc::clone(&self.address));
        self.runtime.aside(Box::new(move || dir.remove(&address)));
    }
}

/// Passes pushes on until the receiver is gone.
async fn listen(inbox: Listening, socket: UnixDatagram, pushes: mpsc::UnboundedSender<Push>) {
    let socket = match tokio::net::UnixDatagram::from_std(socket) {
        Ok(socket) => socket,
        Err(error) => {
            let say = |error: &Arc<io::Error>| {
                tracing::warn!(%error, "the socket for wake-ups does not work");
            };
            tell!(inbox.runtime, say, &Arc::new(error));
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
                let say = |error: &Arc<io::Error>, inbox: &Arc<str>| {
                    tracing::warn!(%error, %inbox, "wake-ups cannot be received");
                };
                tell!(inbox.runtime, say, &Arc::new(error), &inbox.address);
                break;
            }
        }
    }
}

/// Tells waiters of their grants: the sending half.
#[derive(Debug)]
pub(super) struct Notifier {
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

impl Notifier {
    /// Tells every granted waiter. Grants of one inbox travel together, since a receiver has room
    /// for few datagrams (`net.unix.max_dgram_qlen`, often 10).
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

    /// Whether datagrams wait, since their receiver had no room.
    pub(super) fn has_unsent(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Offers the waiting datagrams again.
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
        // The address comes from the file, which others can write: it must not lead out of the
        // directory.
        if letter.inbox.contains('/') || letter.inbox.starts_with('.') {
            return;
        }
        let Some(path) = self.dir.address(&letter.inbox) else {
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
                self.dir.remove(&letter.inbox);
            }
            // The waiter is gone, or this user may not wake it: it asks by itself.
            Ok(_) | Err(_) => {}
        }
    }
}
