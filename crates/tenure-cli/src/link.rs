//! The messages between `tenure` and its sentry: lines of JSON over a pair of Unix sockets. When
//! one process dies, the other reads the end of the file.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::log::Format;
use crate::rest::OnRest;
use crate::watch::{Cause, Event, Lease};

/// The first message to the sentry. CMD's stdin comes with it, since the sentry's own is the
/// link; CMD itself stands in the sentry's arguments.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Start {
    pub(crate) lease: Lease,
    pub(crate) grace_us: u64,
    pub(crate) signal: i32,
    /// CMD's group gets the terminal.
    pub(crate) foreground: bool,
    pub(crate) on_rest: OnRest,
    /// The form of the sentry's messages.
    pub(crate) log: Format,
}

/// A later message to the sentry.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Order {
    /// The lease was renewed.
    Extend { deadline_us: u64 },
    /// Send a signal to CMD's group.
    Signal { signal: i32 },
    /// Send a signal that came to `tenure`, unless CMD has it already.
    PassOn { signal: i32 },
    /// End CMD and its descendants.
    End { cause: Cause },
    /// Do nothing but answer.
    Answer,
}

/// A message of the sentry.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Report {
    /// CMD runs, with this process and group number.
    Started { cmd: i32 },
    /// CMD could not be started; the number is the system's.
    NotStarted { errno: i32 },
    /// An order was followed. One for each order.
    Followed,
    /// News of CMD.
    Event(Event),
}

/// A message as a line.
pub(crate) fn line(message: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(message).expect("numbers and words are JSON");
    line.push(b'\n');
    line
}

/// Sends the first message, with CMD's stdin.
pub(crate) fn send_start(
    link: &UnixStream,
    start: &Start,
    stdin: BorrowedFd<'_>,
) -> io::Result<()> {
    let line = line(start);
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut rights = SendAncillaryBuffer::new(&mut space);
    let fits = rights.push(SendAncillaryMessage::ScmRights(std::slice::from_ref(&stdin)));
    debug_assert!(fits, "there is space for one descriptor");
    let sent =
        rustix::net::sendmsg(link, &[IoSlice::new(&line)], &mut rights, SendFlags::NOSIGNAL)?;
    debug_assert_eq!(sent, line.len(), "an empty socket takes a short line");
    Ok(())
}

/// Receives the first message, with CMD's stdin.
pub(crate) fn receive_start(link: impl AsFd) -> io::Result<(Start, OwnedFd)> {
    let mut bytes = [0; 1024];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut rights = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC;
    let mut parts = [IoSliceMut::new(&mut bytes)];
    let received = rustix::net::recvmsg(link, &mut parts, &mut rights, flags)?;
    let mut stdin = None;
    for message in rights.drain() {
        if let RecvAncillaryMessage::ScmRights(mut descriptors) = message {
            stdin = descriptors.next();
        }
    }
    let start = serde_json::from_slice(&bytes[..received.bytes])?;
    Ok((start, stdin.ok_or(io::ErrorKind::InvalidData)?))
}

/// Bytes that were received, and are not yet whole messages.
#[derive(Debug, Default)]
pub(crate) struct Inbox(Vec<u8>);

impl Inbox {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// The next whole message.
    pub(crate) fn pop<T: DeserializeOwned>(&mut self) -> Option<io::Result<T>> {
        let end = self.0.iter().position(|b| *b == b'\n')?;
        let line: Vec<u8> = self.0.drain(..=end).collect();
        Some(serde_json::from_slice(&line).map_err(io::Error::from))
    }
}
