//! A socket to the server without any library, blocking or of tokio: writes one call, reads its
//! reply, in the caller's own thread or task. It is the least that a message there and back costs.

use std::io::{Read, Write};
use std::marker::PhantomData;
use std::net::{SocketAddr, TcpStream};

use tenure_testkit::Reply;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::Failure;

use super::library::{Caller, Driven, Library};

/// Bytes that are read at once: replies are short.
const CHUNK: usize = 1024;

pub(super) trait Wire: Sized + Send + 'static {
    const DRIVEN: Driven;
    const NAME: &str;

    fn connect(address: SocketAddr) -> impl Future<Output = Result<Self, Failure>> + Send;

    /// Sends a packed call and waits for its reply.
    fn call(&mut self, packed: &[u8]) -> impl Future<Output = Result<Reply, Failure>> + Send;
}

/// The two calls of a cycle.
pub(super) trait Calls: Sized + Send + 'static {
    const NAME: &str;

    /// Asks the server for all that has to be known before the first cycle.
    fn prepare(
        address: SocketAddr,
        key: String,
    ) -> impl Future<Output = Result<Self, Failure>> + Send;

    /// Appends the packed call that acquires.
    fn acquire(&mut self, packed: &mut Vec<u8>);

    /// Appends the packed call that releases.
    fn release(&mut self, packed: &mut Vec<u8>);

    fn is_acquired(reply: &Reply) -> bool;

    fn is_released(reply: &Reply) -> bool;
}

#[derive(Debug)]
pub(super) struct Blocking(TcpStream);

#[derive(Debug)]
pub(super) struct Tokio(tokio::net::TcpStream);

impl Wire for Blocking {
    const DRIVEN: Driven = Driven::Blocking;
    const NAME: &str = "blocking socket";

    async fn connect(address: SocketAddr) -> Result<Self, Failure> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self(stream))
    }

    async fn call(&mut self, packed: &[u8]) -> Result<Reply, Failure> {
        self.0.write_all(packed)?;
        let (mut bytes, mut length) = ([0; CHUNK], 0);
        loop {
            let read = self.0.read(&mut bytes[length..])?;
            length += read;
            if let Some(reply) = complete(&bytes[..length], read)? {
                return Ok(reply);
            }
        }
    }
}

impl Wire for Tokio {
    const DRIVEN: Driven = Driven::Tokio;
    const NAME: &str = "tokio socket";

    async fn connect(address: SocketAddr) -> Result<Self, Failure> {
        let stream = tokio::net::TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self(stream))
    }

    async fn call(&mut self, packed: &[u8]) -> Result<Reply, Failure> {
        self.0.write_all(packed).await?;
        let (mut bytes, mut length) = ([0; CHUNK], 0);
        loop {
            let read = self.0.read(&mut bytes[length..]).await?;
            length += read;
            if let Some(reply) = complete(&bytes[..length], read)? {
                return Ok(reply);
            }
        }
    }
}

/// The reply, once all of it is there; `read` is how much came last.
fn complete(bytes: &[u8], read: usize) -> Result<Option<Reply>, Failure> {
    if read == 0 {
        return Err("the server closed the connection, or its reply was too long".into());
    }
    Ok(Reply::parse(bytes)?.map(|(reply, _)| reply))
}

/// A contender that is only a socket and two calls: each caller has a socket of its own.
pub(super) struct Direct<W, C> {
    address: SocketAddr,
    of: PhantomData<fn() -> (W, C)>,
}

pub(super) struct DirectCaller<W, C> {
    wire: W,
    calls: C,
    packed: Vec<u8>,
}

impl<W: Wire, C: Calls> Library for Direct<W, C> {
    type Caller = DirectCaller<W, C>;
    const DRIVEN: Driven = W::DRIVEN;

    fn version() -> Result<String, Failure> {
        Ok(format!("{}, {}", C::NAME, W::NAME))
    }

    async fn open(address: SocketAddr) -> Result<Self, Failure> {
        Ok(Self { address, of: PhantomData })
    }

    async fn caller(&self, key: String) -> Result<DirectCaller<W, C>, Failure> {
        let calls = C::prepare(self.address, key).await?;
        let wire = W::connect(self.address).await?;
        Ok(DirectCaller { wire, calls, packed: Vec::new() })
    }
}

impl<W: Wire, C: Calls> Caller for DirectCaller<W, C> {
    type Held = ();

    async fn acquire(&mut self) -> Result<(), Failure> {
        self.packed.clear();
        self.calls.acquire(&mut self.packed);
        let reply = self.wire.call(&self.packed).await?;
        if C::is_acquired(&reply) { Ok(()) } else { Err(format!("not acquired: {reply}").into()) }
    }

    async fn release(&mut self, (): ()) -> Result<(), Failure> {
        self.packed.clear();
        self.calls.release(&mut self.packed);
        let reply = self.wire.call(&self.packed).await?;
        if C::is_released(&reply) { Ok(()) } else { Err(format!("not released: {reply}").into()) }
    }
}

/// Appends a call as it travels.
pub(super) fn pack<'a>(packed: &mut Vec<u8>, words: impl ExactSizeIterator<Item = &'a [u8]>) {
    // Writing to a vector does not fail.
    let _ = write!(packed, "*{}\r\n", words.len());
    for word in words {
        let _ = write!(packed, "${}\r\n", word.len());
        packed.extend_from_slice(word);
        packed.extend_from_slice(b"\r\n");
    }
}
