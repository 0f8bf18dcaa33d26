//! One server as a URL names it, and how a connection to it is made. It keeps no connection; links
//! and inboxes do.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::observe::report;
use crate::runtime::{Runtime, timeout};
use crate::store::StoreError;

use super::dial::{ByteStream, Dial, Tcp, Unix};
use super::dial_backoff::DialBackoff;
use super::direct::Socket;
use super::failure::{Cause, Failure, Stage};
use super::login::{Greet, Greeting, Login, Talk};
use super::pipeline::{Driver, OnPush, Pipeline};
use super::place::Place;
#[cfg(feature = "tls")]
use super::tls::Tls;
use super::url::ServerUrl;

/// How long to wait for a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// For a connection, from the name's look-up to the login.
    pub(crate) connect: Duration,
    /// For an answer.
    pub(crate) call: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connect: Duration::from_secs(2), call: Duration::from_secs(2) }
    }
}

/// The purpose of a connection.
pub(crate) enum Use<'a, S> {
    /// Requests of everybody.
    Shared,
    /// Requests of one caller at a time, who waits in place; beside the shared connection to this
    /// address, which has this session.
    Direct(Option<SocketAddr>, &'a S),
    /// Pushes.
    Pushes(OnPush),
}

/// A new connection, with the session that its owner began on it.
pub(crate) struct Connected<S> {
    pub(crate) pipe: Pipeline,
    /// The address at the other end, if it has one.
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) driver: Driver,
    pub(crate) session: S,
}

/// One server, and all that its links share.
#[derive(Debug)]
pub(crate) struct Server {
    /// For logs, without secrets.
    pub(crate) name: Arc<str>,
    pub(crate) dial: Arc<dyn Dial>,
    pub(crate) login: Login,
    pub(crate) limits: Limits,
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) dial_backoff: DialBackoff,
}

impl Server {
    /// The one server that a URL names. Nothing is connected yet.
    pub(crate) fn of_url(
        url: &ServerUrl,
        runtime: Arc<dyn Runtime>,
    ) -> Result<Arc<Self>, StoreError> {
        let dial: Arc<dyn Dial> = match &url.place {
            Place::Socket(path) => Arc::new(Unix { path: path.clone() }),
            Place::Host { host, port } => Arc::new(Tcp {
                host: Arc::clone(host),
                port: *port,
                unacknowledged: url.limits.call * 2,
                #[cfg(feature = "tls")]
                tls: url.tls.as_ref().map(|files| Tls::new(files, host)).transpose()?,
            }),
            Place::Sentinels(_) | Place::Cluster { .. } => {
                return Err(StoreError::config("this URL names no single server".into()));
            }
        };
        #[cfg(not(feature = "tls"))]
        if url.tls.is_some() {
            let text = "rediss:// needs this program to be built with the feature `tls` of tenure";
            return Err(StoreError::config(text.into()));
        }
        Ok(Self::new(url.name(), dial, url.login.clone(), url.limits, runtime))
    }

    pub(crate) fn new(
        name: Arc<str>,
        dial: Arc<dyn Dial>,
        login: Login,
        limits: Limits,
        runtime: Arc<dyn Runtime>,
    ) -> Arc<Self> {
        let dial_backoff = DialBackoff::new(Arc::clone(&runtime));
        Arc::new(Self { name, dial, login, limits, runtime, dial_backoff })
    }

    /// One more connection, when the backoff lets it through. Call it on the runtime: the stream
    /// belongs to the runtime that makes it.
    pub(crate) async fn connect<G: Greet>(
        &self,
        name: &str,
        of_use: Use<'_, G::Session>,
        greet: &G,
    ) -> Result<Connected<G::Session>, Failure> {
        let attempt = async || {
            let runtime = &*self.runtime;
            let until = runtime.now() + self.limits.connect;
            let password = self.login.password(runtime, until).await?;
            let stream = self.dial.dial(runtime, until).await?;
            let peer = stream.peer();
            let mut beside = None;
            if let Use::Direct(address, session) = &of_use {
                if peer != *address {
                    return Err(other_server());
                }
                beside = Some(*session);
            }
            let mut talk = Talk::new(stream, self.dial.is_tls(), &self.login.secrets);
            let login = async {
                let greeting = self.login.enter(&mut talk, password.as_deref(), name).await?;
                Ok((greeting, greet.greet(&mut talk, beside).await?))
            };
            let entered = timeout(runtime, until, login).await.unwrap_or_else(|| {
                let limit = self.limits.connect;
                Err(Failure::unsent(Cause::NotInTime { stage: Stage::Login, limit }))
            });
            let (greeting, session) = entered?;
            let (stream, reader) = talk.end();
            let (pipe, driver) = match of_use {
                Use::Shared => Pipeline::new(stream, reader, None),
                Use::Pushes(on_push) => Pipeline::new(stream, reader, Some(on_push)),
                Use::Direct(..) => {
                    let runtime = Arc::clone(&self.runtime);
                    Pipeline::direct(bare(stream)?, reader, runtime).map_err(|e| unusable(&e))?
                }
            };
            Ok((Connected { pipe, peer, driver, session }, greeting))
        };
        let verdict = self.dial_backoff.attempt(attempt).await;
        match &verdict {
            Ok((_, greeting)) => {
                let link = name.to_owned();
                let say = move |store: &Arc<str>, greeting: &Greeting| {
                    tracing::debug!(
                        %store, link, server = greeting.server, version = greeting.version,
                        "connected"
                    );
                };
                report!(self.runtime, say, &self.name, greeting);
            }
            Err(failure) => {
                let link = name.to_owned();
                let say = move |store: &Arc<str>, failure: &Failure| {
                    tracing::debug!(%store, link, %failure, "not connected");
                };
                report!(self.runtime, say, &self.name, failure);
            }
        }
        Ok(verdict?.0)
    }
}

fn bare(stream: Box<dyn ByteStream>) -> Result<Socket, Failure> {
    match stream.into_socket() {
        Some(socket) => socket.map_err(|error| unusable(&error)),
        None => Err(unusable(&"the stream has no socket of its own")),
    }
}

fn unusable(why: &dyn fmt::Display) -> Failure {
    Failure::unsent(Cause::Cut { text: why.to_string() })
}

/// The name of the server leads to another one by now.
pub(crate) fn other_server() -> Failure {
    Failure::unsent(Cause::Cut { text: "another server answers by this name".to_owned() })
}
