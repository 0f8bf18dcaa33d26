//! The store's connection for requests: it knows what a guarded server must show, and numbers the
//! calls in the order in which they leave.

mod acknowledged;

use std::sync::Arc;

use tokio::sync::watch;

use crate::protocol::Guarded;
use crate::runtime::Moment;
use crate::store::Links;

use super::client::{
    Command, Connection, Failure, Live, Readiness, Script, Server, Value, Way, other_server,
};
use super::decode::Told as ServerInfo;
use super::encode::{ScriptCall, Terms};
use super::greeter::{Greeter, Session};
use super::marker::Marker;
use super::sender;
use super::slots::Slot;
use tokio_util::sync::CancellationToken;

#[derive(Debug)]
pub(super) struct Link {
    connection: Connection<Greeter>,
}

/// The answer to a script call.
pub(super) struct Answer {
    pub(super) value: Value,
    /// The connection on which it ran.
    pub(super) live: Arc<Live<Session>>,
    /// Why its grants do not count; `None`: they do.
    pub(super) failure: Option<Failure>,
}

impl Link {
    /// A link that is opened when it is first used.
    pub(super) fn new(server: &Arc<Server>, greeter: Greeter, links: watch::Sender<Links>) -> Self {
        Self { connection: Connection::new(server, greeter.name(), greeter, links) }
    }

    /// A new name of a sender.
    pub(super) fn sender(&self) -> String {
        sender(&*self.connection.server().runtime)
    }

    /// The time, on this process's clock.
    pub(super) fn now(&self) -> Moment {
        self.connection.server().runtime.now()
    }

    /// Whether there is a connection, as far as is known.
    pub(super) fn is_open(&self) -> bool {
        self.connection.in_session(|_| ()).is_some()
    }

    /// Whether the server may grant, as far as is known.
    pub(super) fn is_awake(&self) -> bool {
        let is_awake = |session: &Session| {
            let guarding = session.guarding.as_ref();
            guarding.is_none_or(|guarding| guarding.watch.is_awake(self.now()))
        };
        self.connection.in_session(is_awake).unwrap_or(false)
    }

    /// The identity that a guarded server told when this link was made; `None`: it was not asked.
    pub(super) async fn told(&self) -> Result<Option<ServerInfo>, Failure> {
        let live = self.connection.live().await?;
        Ok(live.session().guarding.as_ref().map(|guarding| guarding.server.clone()))
    }

    /// A server answered that it grants nothing new, since this marker stands there. Answers what
    /// people are told of it.
    pub(super) fn guarded(&self, live: &Live<Session>, marker: &Marker) -> Option<Guarded> {
        let watch = &live.session().guarding.as_ref()?.watch;
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

    /// The facts that a look is told of the server itself: until when it grants nothing new, and
    /// the primary of a replica.
    pub(super) fn hindrances(&self) -> (Option<Guarded>, Option<Box<str>>) {
        let now = self.now();
        let told = |session: &Session| {
            let watch = session.guarding.as_ref().map(|guarding| &guarding.watch);
            let guarded = watch.filter(|watch| !watch.is_awake(now));
            (guarded.map(|watch| watch.guarded(now)), session.replica_of.clone())
        };
        self.connection.in_session(told).unwrap_or_default()
    }

    /// Runs the script. `pack` makes the command, for the session in which it is sent, from its
    /// first two words.
    pub(super) async fn eval(
        &self,
        way: Way,
        script: &Script,
        pack: impl Fn(&Session, [&str; 2]) -> Command,
    ) -> Result<Answer, Failure> {
        let (value, live) = self.connection.eval(way, script, pack).await?;
        Ok(Answer { value, live, failure: None })
    }

    /// Packs a call.
    pub(super) fn pack<'a>(
        &'a self,
        call: &'a ScriptCall,
        terms: &'a Terms,
    ) -> impl Fn(&Session, [&str; 2]) -> Command + 'a {
        |session, head| {
            let guard = self.guard_words(session, terms);
            call.command(head, &guard, call.has_number.then(|| terms.next_number()))
        }
    }

    /// Packs calls for several hash slots, each of which has one.
    pub(super) fn pack_slots<'a>(
        &'a self,
        way: Way,
        calls: &'a [ScriptCall],
        terms: &'a Terms,
    ) -> impl Fn(&Session, [&str; 2]) -> Command + 'a {
        move |session, head| {
            let guard = self.guard_words(session, terms);
            let head = (head, way == Way::Asking);
            ScriptCall::command_of_slots(calls, head, &guard, || terms.next_number())
        }
    }

    fn guard_words(&self, session: &Session, terms: &Terms) -> Vec<String> {
        let guarding = session.guarding.as_ref().filter(|_| terms.is_guarded());
        guarding.map_or_else(Vec::new, |guarding| guarding.words(self.now()))
    }

    /// Gives the connection up if its marker is of a slot that is not this server's any more, by
    /// `is_here`: the next one has another.
    pub(super) fn leave_marker(&self, is_here: impl Fn(Slot) -> bool) {
        let is_lost = |session: &Session| {
            let slot = session.guarding.as_ref().and_then(|guarding| guarding.slot);
            slot.is_some_and(|slot| !is_here(slot))
        };
        if self.connection.in_session(is_lost) == Some(true) {
            self.connection.retire(&other_server());
        }
    }

    /// An error that the server answered for a part of a call.
    pub(super) fn failed_in_part(&self, error: &str) -> Failure {
        let failure = Failure::answered("EVALSHA", error);
        // The script may have done other things before, which stand.
        let failure = Failure { may_have_run: true, ..failure };
        failure.without(&self.connection.server().login.secrets)
    }

    /// Makes a direct connection. Answers a token that is cancelled when it ends.
    pub(super) async fn open_direct(&self) -> Result<CancellationToken, Failure> {
        self.connection.open_direct().await
    }

    /// Whether a caller may send over the direct connection, and how many calls in a row were not
    /// answered in place.
    pub(super) fn direct_readiness(&self) -> (Readiness, u32) {
        self.connection.direct_readiness()
    }

    pub(super) fn close_direct(&self) {
        self.connection.close_direct();
    }

    /// Runs a script for data, which grants nothing.
    pub(super) async fn eval_data(
        &self,
        script: &Script,
        pack: impl Fn([&str; 2]) -> Command,
    ) -> Result<Value, Failure> {
        let (answer, _) = self.connection.eval(Way::Shared, script, |_, head| pack(head)).await?;
        Ok(answer)
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
