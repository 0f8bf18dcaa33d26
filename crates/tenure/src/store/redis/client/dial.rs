//! Opens a byte stream to a server. The protocol above it does not know whether it is TCP, a Unix
//! socket, TLS or a simulated network.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use crate::runtime::{Moment, Runtime, answer_by};

use super::direct::Socket;
use super::failure::{Cause, Failure, Stage};
#[cfg(feature = "tls")]
use super::tls::Tls;

/// Bytes in both directions.
pub(crate) trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin + 'static {
    /// The bare socket, off the event loop; `None` where something runs over it, such as TLS.
    fn into_socket(self: Box<Self>) -> Option<io::Result<Socket>> {
        None
    }

    /// The address at the other end, if it has one.
    fn peer(&self) -> Option<SocketAddr> {
        None
    }

    /// Puts a socket that is off the event loop on it, or takes it off again. Call it on the
    /// runtime.
    fn watch(&mut self, is_wanted: bool) -> io::Result<()> {
        let _always = is_wanted;
        Ok(())
    }
}

impl ByteStream for TcpStream {
    fn into_socket(self: Box<Self>) -> Option<io::Result<Socket>> {
        Some((*self).into_std().map(Socket::Tcp))
    }

    fn peer(&self) -> Option<SocketAddr> {
        self.peer_addr().ok()
    }
}

impl ByteStream for UnixStream {
    fn into_socket(self: Box<Self>) -> Option<io::Result<Socket>> {
        Some((*self).into_std().map(Socket::Unix))
    }
}

/// A stream, still to come.
pub(crate) type Dialling<'a> =
    Pin<Box<dyn Future<Output = Result<Box<dyn ByteStream>, Failure>> + Send + 'a>>;

/// A way to a server.
pub(crate) trait Dial: fmt::Debug + Send + Sync + 'static {
    /// Opens a stream; ends at `until`, or a little later. It may go elsewhere each time: names
    /// are resolved anew.
    fn dial<'a>(&'a self, runtime: &'a dyn Runtime, until: Moment) -> Dialling<'a>;

    /// Whether TLS runs over it, for the messages.
    fn is_tls(&self) -> bool;

    /// The last stream led to a server that is not the one that is wanted.
    fn misled(&self) {}
}

/// A host and a port, with TLS or without.
#[derive(Debug)]
pub(crate) struct Tcp {
    pub(crate) host: Arc<str>,
    pub(crate) port: u16,
    /// For how long sent bytes may stay unacknowledged before the system gives the link up.
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "Linux has this limit"))]
    pub(crate) unacknowledged: Duration,
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<Tls>,
}

impl Dial for Tcp {
    fn dial<'a>(&'a self, runtime: &'a dyn Runtime, until: Moment) -> Dialling<'a> {
        Box::pin(async move {
            let stream = self.connect(runtime, until).await?;
            #[cfg(feature = "tls")]
            if let Some(tls) = &self.tls {
                return tls.secure(stream, runtime, until).await;
            }
            Ok(Box::new(stream) as Box<dyn ByteStream>)
        })
    }

    fn is_tls(&self) -> bool {
        #[cfg(feature = "tls")]
        return self.tls.is_some();
        #[cfg(not(feature = "tls"))]
        return false;
    }
}

impl Tcp {
    async fn connect(&self, runtime: &dyn Runtime, until: Moment) -> Result<TcpStream, Failure> {
        let addresses = self.resolve(runtime, until).await?;
        let mut last = None;
        for (index, address) in addresses.iter().enumerate() {
            // An address that swallows packets must leave time for the next one.
            let left = until.since(runtime.now());
            let share = left / u32::try_from(addresses.len() - index).unwrap_or(u32::MAX);
            let limit = runtime.now() + share;
            let place: Arc<str> = address.to_string().into();
            last = Some(match answer_by(runtime, limit, TcpStream::connect(address)).await {
                Some(Ok(stream)) => {
                    self.tune(&stream).map_err(|e| Failure::of_connecting(&place, &e))?;
                    return Ok(stream);
                }
                Some(Err(error)) => Failure::of_connecting(&place, &error),
                None => too_slow(Stage::Connect, share),
            });
        }
        Err(last.unwrap_or_else(|| self.no_address("no address")))
    }

    async fn resolve(
        &self,
        runtime: &dyn Runtime,
        until: Moment,
    ) -> Result<Vec<SocketAddr>, Failure> {
        let limit = until.since(runtime.now());
        let found = tokio::net::lookup_host((&*self.host, self.port));
        match answer_by(runtime, until, found).await {
            Some(Ok(addresses)) => Ok(addresses.collect()),
            Some(Err(error)) => Err(self.no_address(&error.to_string())),
            None => Err(too_slow(Stage::Resolve, limit)),
        }
    }

    /// Small requests leave at once; a link that is dead for the network is given up.
    fn tune(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let socket = SockRef::from(stream);
        let keepalive = TcpKeepalive::new()
            .with_time(Duration::from_secs(15))
            .with_interval(Duration::from_secs(5))
            .with_retries(3);
        socket.set_tcp_keepalive(&keepalive)?;
        #[cfg(target_os = "linux")]
        socket.set_tcp_user_timeout(Some(self.unacknowledged))?;
        Ok(())
    }

    fn no_address(&self, text: &str) -> Failure {
        let text = text.to_owned();
        Failure::unsent(Cause::NoAddress { host: Arc::clone(&self.host), text })
    }
}

/// A socket in the file system.
#[derive(Debug)]
pub(crate) struct Unix {
    pub(crate) path: PathBuf,
}

impl Dial for Unix {
    fn dial<'a>(&'a self, runtime: &'a dyn Runtime, until: Moment) -> Dialling<'a> {
        Box::pin(async move {
            let limit = until.since(runtime.now());
            let place: Arc<str> = self.path.display().to_string().into();
            match answer_by(runtime, until, UnixStream::connect(&self.path)).await {
                Some(Ok(stream)) => Ok(Box::new(stream) as Box<dyn ByteStream>),
                Some(Err(error)) => Err(Failure::of_connecting(&place, &error)),
                None => Err(too_slow(Stage::Connect, limit)),
            }
        })
    }

    fn is_tls(&self) -> bool {
        false
    }
}

fn too_slow(stage: Stage, limit: Duration) -> Failure {
    // Shown to people: whole milliseconds are enough.
    let limit = Duration::from_millis(u64::try_from(limit.as_millis()).unwrap_or(u64::MAX));
    Failure::unsent(Cause::NotInTime { stage, limit })
}

impl Failure {
    fn of_connecting(place: &Arc<str>, error: &io::Error) -> Self {
        let place = Arc::clone(place);
        let cause = match error.kind() {
            io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => {
                Cause::NobodyListens { place }
            }
            _ if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => {
                Cause::LinksInCircle { place }
            }
            kind => Cause::CannotConnect {
                place,
                text: error.to_string(),
                forbidden: kind == io::ErrorKind::PermissionDenied,
            },
        };
        Self::unsent(cause)
    }
}
