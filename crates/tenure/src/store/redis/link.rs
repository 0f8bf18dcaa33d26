//! The store's connection for requests: it knows what a guarded server must show, and numbers the
//! calls in the order in which they leave.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

use crate::protocol::Guarded;
use crate::runtime::Moment;
use crate::store::Links;

use super::client::{Command, Connection, Failure, Live, Script, Server, Value};
use super::decode::Told as ServerInfo;
use super::encode::Words;
use super::marker::{Guarding, Marker, RestartGuard};

/// Which of a script's arguments are known only when they leave.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Late<'a> {
    /// The marker of a guarded server.
    pub(super) guard: Option<usize>,
    /// The call's number, and the last one that was given: numbers grow in order of sending.
    pub(super) number: Option<(usize, &'a AtomicU64)>,
}

#[derive(Debug)]
pub(super) struct Link {
    connection: Connection<RestartGuard>,
}

impl Link {
    /// A link that is opened when it is first used.
    pub(super) fn new(server: &Arc<Server>, guard: RestartGuard) -> Self {
        Self { connection: Connection::new(server, "tenure", guard) }
    }

    /// The time, on this process's clock.
    pub(super) fn now(&self) -> Moment {
        self.connection.server().runtime.now()
    }

    /// Whether the server may grant, as far as is known.
    pub(super) fn is_awake(&self) -> bool {
        let is_awake = |session: &Option<Guarding>| {
            session.as_ref().is_none_or(|guarding| guarding.watch.is_awake(self.now()))
        };
        self.connection.in_session(is_awake).unwrap_or(false)
    }

    /// The identity that a guarded server told when this link was made; `None`: it was not asked.
    pub(super) async fn told(&self) -> Result<Option<ServerInfo>, Failure> {
        let live = self.connection.live().await?;
        Ok(live.session().as_ref().map(|guarding| guarding.server.clone()))
    }

    /// A server answered that it grants nothing new, since this marker stands there. Answers what
    /// people are told of it.
    pub(super) fn guarded(
        &self,
        live: &Live<Option<Guarding>>,
        marker: &Marker,
    ) -> Option<Guarded> {
        let watch = &live.session().as_ref()?.watch;
        let now = self.now();
        if watch.found(marker, now) {
            tracing::warn!(
                store = %self.connection.server().name,
                "the server has lost its memory: nothing new is granted for the restart guard"
            );
            // All leases are verified.
            self.connection.count_another();
        }
        Some(watch.guarded(now))
    }

    /// Runs a script, with arguments that are known only when they leave. Answers as well which
    /// connection it ran on.
    pub(super) async fn eval_late(
        &self,
        script: &Script,
        keys: &Words,
        args: &Words,
        late: Late<'_>,
    ) -> Result<(Value, Arc<Live<Option<Guarding>>>), Failure> {
        let pack = |session: &Option<Guarding>, head: [&str; 2]| {
            let told = || Some(session.as_ref()?.watch.told(self.now()).word());
            let guard = late.guard.and_then(|at| Some((at, told()?)));
            let number = late.number.map(|(at, calls)| (at, calls.fetch_add(1, Ordering::Relaxed)));
            let count = 3 + keys.len() + args.len();
            let size = head[0].len() + head[1].len() + 24 + keys.bytes() + args.bytes();
            let mut packed = Command::with_capacity(count, size);
            head.iter().for_each(|word| packed.word(word.as_bytes()));
            packed.number(keys.len() as u64);
            keys.iter().for_each(|word| packed.word(word));
            for (at, word) in args.iter().enumerate() {
                match number {
                    Some((number_at, before)) if number_at == at => packed.number(before + 1),
                    _ => match &guard {
                        Some((guard_at, told)) if *guard_at == at => packed.word(told.as_bytes()),
                        _ => packed.word(word),
                    },
                }
            }
            packed
        };
        self.connection.eval(script, pack).await
    }

    /// Sends one command, once, and waits for its answer.
    pub(super) async fn command(&self, command: &Command) -> Result<Value, Failure> {
        self.connection.command(command).await
    }

    /// How many connections were made, and how many of them have ended.
    pub(super) fn links(&self) -> watch::Receiver<Links> {
        self.connection.links()
    }
}
