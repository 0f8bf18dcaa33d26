//! The first words of the store on each new connection: those of the restart guard, and, where
//! grants are acknowledged, those that tell which server it is and how many replicas it has.

use crate::runtime::Moment;

use super::ack::Ack;
use super::client::{Cause, Command, Failure, Greet, Talk};
use super::decode;
use super::marker::{Guarding, RestartGuard, nonsense};

#[derive(Debug)]
pub(super) struct Greeter {
    pub(super) guard: RestartGuard,
    pub(super) role: Role,
    /// Whether the connection is for looks alone.
    pub(super) looks: bool,
}

/// The purpose of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// All calls.
    All,
    /// The calls beside those that are acknowledged.
    Others,
    /// Calls that are acknowledged.
    Acknowledged(Ack),
}

/// The beginning of a connection.
#[derive(Debug, Default)]
pub(super) struct Session {
    /// `None`: the restart guard is off.
    pub(super) guarding: Option<Guarding>,
    /// The primary of a replica, for those who look at keys.
    pub(super) replica_of: Option<Box<str>>,
    /// The run of the server; empty where it was not asked.
    pub(super) run_id: String,
    /// How many replicas must acknowledge a grant.
    pub(super) replicas: u32,
}

impl Greeter {
    /// The beginning of a connection for looks. Facts that its user may not ask for stay unknown.
    async fn look(&self, talk: &mut Talk<'_>) -> Result<Session, Failure> {
        let server = match talk.ask(&Command::of(&["INFO"])).await {
            Ok(info) => Some(decode::decode_info(&info).ok_or_else(|| nonsense("INFO"))?),
            Err(failure) if failure.is_forbidden() => None,
            Err(failure) => return Err(failure),
        };
        let of = server.as_ref().and_then(|server| server.replica_of.clone());
        let replica_of = of.map(Into::into).or_else(|| talk.replica_of.clone());
        let guarding = match server.filter(|_| replica_of.is_none()) {
            Some(server) => self.guard.look(talk, server).await?,
            None => None,
        };
        Ok(Session { guarding, replica_of, ..Session::default() })
    }

    /// The name of the connection at the server.
    pub(super) fn name(&self) -> &'static str {
        match self.role {
            Role::All | Role::Others => "tenure",
            Role::Acknowledged(_) => "tenure-ack",
        }
    }
}

impl Greet for Greeter {
    type Session = Session;

    async fn greet(
        &self,
        talk: &mut Talk<'_>,
        beside: Option<&Session>,
    ) -> Result<Session, Failure> {
        if self.looks {
            return self.look(talk).await;
        }
        let guarding = self.guard.greet(talk, beside.map(|session| &session.guarding)).await?;
        let replica_of = talk.replica_of.clone();
        let session = Session { guarding, replica_of, ..Session::default() };
        let ack = match self.role {
            Role::All => return Ok(session),
            Role::Others if beside.is_some() => return Ok(session),
            Role::Others => None,
            Role::Acknowledged(ack) => Some(ack),
        };
        if ack.is_some() {
            // Where it is not known, or not allowed, nothing may be granted.
            talk.ask(&Command::of(&["WAIT", "0", "1"])).await.map_err(|failure| {
                let is_unknown = failure.is_unknown_command();
                if is_unknown { Failure::unsent(Cause::NoWait) } else { failure }
            })?;
        }
        let info = talk.ask(&Command::of(&["INFO"])).await?;
        let server = decode::decode_info(&info).ok_or_else(|| nonsense("INFO"))?;
        let replicas = ack.map(|ack| ack.wanted_of(server.replicas)).transpose()?;
        Ok(Session { run_id: server.run_id, replicas: replicas.unwrap_or_default(), ..session })
    }

    fn ended(&self, session: &Session, now: Moment) {
        self.guard.ended(&session.guarding, now);
    }
}
