//! One server as a URL names it, and how a connection to it is made. It keeps no connection; links
//! and inboxes do.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::observe::report;
use crate::runtime::{Runtime, answer_by};
use crate::store::StoreError;

use super::dial::{ByteStream, Dial, Unix};
use super::dial_backoff::DialBackoff;
use super::direct::Socket;
use super::failure::{Cause, Failure, Stage};
use super::login::{Greet, Greeting, Login, Talk};
use super::pipeline::{Driver, OnPush, Pipeline};
use super::place::Place;
use super::standing::Standing;
use super::transport::Transport;
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
    /// Ends the connection; cancelled when the server has moved.
    pub(crate) cut: CancellationToken,
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
    /// Whether it takes writes, as far as the logins have told.
    pub(crate) standing: Standing,
    /// Cancelled when the server moves: the parent of what cuts the connections of until then.
    here: Arc<Mutex<CancellationToken>>,
}

impl Server {
    /// The one server that a URL names. Nothing is connected yet.
    pub(crate) fn of_url(
        url: &ServerUrl,
        runtime: Arc<dyn Runtime>,
    ) -> Result<Arc<Self>, StoreError> {
        let transport = Transport::new(url.tls.as_ref(), url.limits)?;
        let dial: Arc<dyn Dial> = match &url.place {
            Place::Socket(path) => Arc::new(Unix { path: path.clone() }),
            Place::Host { host, port } => Arc::new(transport.to(host, *port)?),
            Place::Sentinels(_) | Place::Cluster { .. } => {
                return Err(StoreError::config("this URL names no single server".into()));
            }
        };
        Ok(Self::new(url.name(), dial, url.login.clone(), url.limits, runtime))
    }

    /// The same server for links of another purpose, whose failures must not keep those of this
    /// one from connecting. When it moves, they end as well.
    pub(crate) fn apart(&self) -> Arc<Self> {
        let runtime = Arc::clone(&self.runtime);
        Arc::new(Self {
            name: Arc::clone(&self.name),
            dial: Arc::clone(&self.dial),
            login: self.login.clone(),
            limits: self.limits,
            dial_backoff: DialBackoff::new(Arc::clone(&runtime)),
            runtime,
            standing: self.standing.clone(),
            here: Arc::clone(&self.here),
        })
    }

    pub(crate) fn new(
        name: Arc<str>,
        dial: Arc<dyn Dial>,
        login: Login,
        limits: Limits,
        runtime: Arc<dyn Runtime>,
    ) -> Arc<Self> {
        let dial_backoff = DialBackoff::new(Arc::clone(&runtime));
        let (standing, here) = (Standing::default(), Arc::default());
        Arc::new(Self { name, dial, login, limits, runtime, dial_backoff, standing, here })
    }

    /// The server is at another place from now on: all connections end, and the next attempt is
    /// made at once.
    pub(crate) fn moved(&self) {
        let former = {
            let mut here = self.here.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *here)
        };
        former.cancel();
        self.dial_backoff.renew();
    }

    fn here(&self) -> CancellationToken {
        self.here.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// One more connection, when the backoff lets it through. Call it on the runtime: the stream
    /// belongs to the runtime that makes it.
    pub(crate) async fn connect<G: Greet>(
        &self,
        name: &str,
        of_use: Use<'_, G::Session>,
        greet: &G,
    ) -> Result<Connected<G::Session>, Failure> {
        let attempt = async || loop {
            let here = self.here();
            tokio::select! {
                biased;
                opened = self.open(name, &of_use, greet, self.limits.connect, &here) => {
                    return opened;
                }
                () = here.cancelled() => {}
            }
        };
        let verdict = self.dial_backoff.attempt(attempt).await;
        self.tell(name, &verdict);
        Ok(verdict?.0)
    }

    /// As [`connect`](Self::connect) within this limit, if now is the time for an attempt.
    pub(crate) async fn connect_now<G: Greet>(
        &self,
        name: &str,
        greet: &G,
        limit: Duration,
    ) -> Option<Result<Connected<G::Session>, Failure>> {
        let here = self.here();
        let attempt = async || self.open(name, &Use::Shared, greet, limit, &here).await;
        let verdict = self.dial_backoff.attempt_now(attempt).await?;
        self.tell(name, &verdict);
        Some(verdict.map(|(connected, _)| connected))
    }

    /// One attempt. It ends with the limit, or a little later.
    async fn open<G: Greet>(
        &self,
        name: &str,
        of_use: &Use<'_, G::Session>,
        greet: &G,
        limit: Duration,
        here: &CancellationToken,
    ) -> Result<(Connected<G::Session>, Greeting), Failure> {
        let runtime = &*self.runtime;
        let until = runtime.now() + limit;
        let password = self.login.password(runtime, until).await?;
        let stream = self.dial.dial(runtime, until).await?;
        let peer = stream.peer();
        let mut beside = None;
        if let Use::Direct(address, session) = of_use {
            if peer != *address {
                return Err(other_server());
            }
            beside = Some(*session);
        }
        let mut talk = Talk::new(stream, self.dial.is_tls(), &self.login.secrets);
        let login = async {
            let greeting = self.login.enter(&mut talk, password.as_deref(), name).await?;
            self.standing.learn(&greeting);
            let session = greet.greet(&mut talk, beside).await.map_err(|failure| {
                if failure.is_demoted() { self.standing.explain(failure) } else { failure }
            })?;
            Ok((greeting, session))
        };
        let entered = answer_by(runtime, until, login).await.unwrap_or_else(|| {
            Err(Failure::unsent(Cause::NotInTime { stage: Stage::Login, limit }))
        });
        let (greeting, session) = entered.inspect_err(|_| self.dial.misled())?;
        let (stream, reader) = talk.end();
        let (pipe, driver) = match of_use {
            Use::Shared => Pipeline::new(stream, reader, None),
            Use::Pushes(on_push) => Pipeline::new(stream, reader, Some(Arc::clone(on_push))),
            Use::Direct(..) => {
                let runtime = Arc::clone(&self.runtime);
                Pipeline::direct(bare(stream)?, reader, runtime).map_err(|e| unusable(&e))?
            }
        };
        let cut = here.child_token();
        Ok((Connected { pipe, peer, driver, session, cut }, greeting))
    }

    /// Tells the log how an attempt ended.
    fn tell<S>(&self, name: &str, verdict: &Result<(Connected<S>, Greeting), Failure>) {
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
    }
}

fn bare(stream: Box<dyn ByteStream>) -> Result<Socket, Failure> {
    match stream.into_socket() {
        Some(socket) => socket.map_err(|error| unusable(&error)),
        None => Err(unusable(&"the stream has no socket of its own")),
    }
}

fn unusable(why: &dyn fmt::Display) -> Failure {
    Failure::unsent(Cause::GivenUp { text: why.to_string() })
}

/// The name of the server leads to another one by now.
pub(crate) fn other_server() -> Failure {
    Failure::unsent(Cause::GivenUp { text: "another server answers by this name".to_owned() })
}
