//! One running adapter. It is killed when it is dropped, and never waited for without a limit.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::Failure;

use super::contender::Contender;
use super::protocol::{self, Request, Started, Workload};

/// How long any reply may take: an adapter that is not done by then is stuck.
const LIMIT: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(crate) struct Adapter {
    child: Child,
    requests: ChildStdin,
    replies: Receiver<std::io::Result<String>>,
}

impl Adapter {
    /// Starts a contender's adapter and connects it. Answers as well what it is.
    pub(crate) fn start(
        contender: &Contender,
        address: SocketAddr,
        workload: Workload,
    ) -> Result<(Self, String), Failure> {
        let mut command = contender.toolchain.command()?;
        command.arg(contender.name).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let requests = child.stdin.take().ok_or("no standard input")?;
        let out = BufReader::new(child.stdout.take().ok_or("no standard output")?);
        let (line, replies) = channel();
        // It ends with the adapter, or when nobody reads its lines any more.
        std::thread::spawn(move || out.lines().try_for_each(|read| line.send(read)));
        let mut adapter = Self { child, requests, replies };
        let key = format!("{contender}-{workload}");
        let started: Started = adapter.ask(&Request::Start { address, key, workload })?;
        Ok((adapter, started.version))
    }

    /// The number of its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn ask<T: DeserializeOwned>(&mut self, request: &Request) -> Result<T, Failure> {
        self.send(request)?;
        self.reply()
    }

    /// Sends a request whose reply is taken later.
    pub(crate) fn send(&mut self, request: &Request) -> Result<(), Failure> {
        writeln!(self.requests, "{request}")?;
        Ok(self.requests.flush()?)
    }

    pub(crate) fn reply<T: DeserializeOwned>(&mut self) -> Result<T, Failure> {
        match self.replies.recv_timeout(LIMIT) {
            Ok(line) => protocol::reply(&line?),
            Err(RecvTimeoutError::Timeout) => Err(format!("no reply within {LIMIT:?}").into()),
            Err(RecvTimeoutError::Disconnected) => Err("its adapter has ended".into()),
        }
    }
}

impl Drop for Adapter {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
