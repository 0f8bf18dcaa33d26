//! One server and the ways to it: batches over the shared connection, the direct connection of a
//! caller who is alone, and the connection of grants that replicas acknowledge.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tokio::sync::watch;

use crate::process::of_process;
use crate::protocol::{Reply, Request};
use crate::runtime::Runtime;
use crate::store::{Access, Links, StoreError};

use super::ack::{self, Ack};
use super::batch::{self, Batches, Carrying, Outcome, Pace};
use super::carrier::Carrier;
use super::client::{Command, Failure, Script, Server, Value};
use super::encode::Terms;
use super::grants::Grants;
use super::greeter::{Greeter, Role};
use super::keys::{Scope, Template};
use super::link::Link;
use super::lone::{Direct, Lone};
use super::look::{self, Look};
use super::marker::RestartGuard;
use super::scripts::{self, with_clock};
use super::url::StoreUrl;
use super::{RedisOptions, decode, defect, eviction, inbox, sender};

/// The settings that all servers of a store share.
pub(super) struct Settings {
    pub(super) template: Template,
    pub(super) restart_guard: Duration,
    /// Whether lists have strings of other programs, too.
    pub(super) lists_all: bool,
    pub(super) looks: bool,
    ack: Option<Ack>,
    options: RedisOptions,
    mode: Direct,
    pub(super) runtime: Arc<dyn Runtime>,
    /// Carries out steps.
    script: Arc<Script>,
    /// Carries out commands on data.
    pub(super) data_script: Script,
}

impl Settings {
    pub(super) fn new(url: &StoreUrl, options: &RedisOptions, runtime: &Arc<dyn Runtime>) -> Self {
        let (template, restart_guard) = (url.key_template.clone(), url.restart_guard);
        let looks = options.access.only_looks();
        // A look is granted nothing, so it needs no guard in the script.
        let in_script = if looks { Duration::ZERO } else { restart_guard };
        let preface = scripts::preface(&template, options.fence_retention, in_script);
        let script = scripts::steps(&preface, template.scope());
        Self {
            template,
            restart_guard,
            lists_all: options.access == Access::LooksAtAll,
            looks,
            ack: url.ack.filter(|_| !looks),
            options: options.clone(),
            // Over TLS a caller's thread would also have to encrypt.
            mode: if url.server.tls.is_some() { Direct::Never } else { options.direct },
            runtime: Arc::clone(runtime),
            script: Arc::new(options.change(script)),
            data_script: options.change(scripts::write(&preface)),
        }
    }

    /// For one more connection.
    fn greeter(&self, role: Role) -> Greeter {
        let guard = RestartGuard {
            span: self.restart_guard,
            up_for: self.options.up_for,
            clock: self.options.clock.clone(),
            scope: self.template.scope(),
            runtime: Arc::clone(&self.runtime),
            last: Mutex::default(),
        };
        Greeter { guard, role, looks: self.looks }
    }

    /// Whether replicas must acknowledge grants.
    pub(super) fn is_acknowledged(&self) -> bool {
        self.ack.is_some()
    }

    /// Reads the pushes that arrive in an inbox.
    pub(super) fn decode_pushes(&self) -> inbox::Decode {
        if self.ack.is_some() { ack::decode_hints } else { decode::decode_pushes }
    }

    /// For one more sender.
    fn terms(&self) -> Terms {
        Terms {
            sender: sender(&*self.runtime),
            calls: AtomicU64::default(),
            template: self.template.clone(),
            restart_guard: if self.looks { Duration::ZERO } else { self.restart_guard },
        }
    }
}

impl RedisOptions {
    fn change(&self, mut script: Script) -> Script {
        if let Some(key) = &self.clock {
            script.source = with_clock(&script.source, key).into();
        }
        script
    }
}

/// A server, as the store uses it.
pub(super) struct Node {
    pub(super) server: Arc<Server>,
    pub(super) link: Arc<Link>,
    batches: Batches,
    carrier: Arc<Carrier>,
    /// Carries the calls of a lone caller.
    direct: Carrier,
    lone: Arc<Lone>,
    /// Carries calls that replicas must acknowledge, if any.
    grants: Option<Grants>,
    /// Carries looks, if the store was opened for nothing else.
    look: Option<Look>,
}

impl Node {
    /// Nothing is connected yet.
    pub(super) fn new(
        server: Arc<Server>,
        settings: &Settings,
        links: watch::Sender<Links>,
    ) -> Self {
        let runtime = &settings.runtime;
        let role = if settings.ack.is_some() { Role::Others } else { Role::All };
        let link = Arc::new(Link::new(&server, settings.greeter(role), links));
        let script = Arc::clone(&settings.script);
        let carrier = Arc::new(Carrier::new(Arc::clone(&link), script, settings.terms()));
        let direct = carrier.direct(settings.terms());
        let lone = Lone::new(settings.mode, &link, runtime);
        let grants = settings.ack.map(|ack| {
            let greeter = settings.greeter(Role::Acknowledged(ack));
            let link = Link::new(&server.apart(), greeter, watch::Sender::default());
            Grants::start(runtime, link, ack, &carrier, settings.terms())
        });
        let carries = Arc::clone(&carrier);
        let carry = move |steps: Vec<Request>, room: Option<Carrying>| {
            let carrier = Arc::clone(&carries);
            batch::carrying(room, async move { carrier.carry(&steps).await })
        };
        let pace = match settings.template.scope() {
            Scope::Server => Pace::Pipelined,
            Scope::Slot => Pace::Gathered,
        };
        let batches = Batches::start(runtime, pace, Box::new(carry));
        let look = settings.looks.then(Look::default);
        Self { server, link, batches, carrier, direct, lone, grants, look }
    }

    /// Connects, so that a wrong password, a missing right or a port that is no Redis is found.
    pub(super) async fn open(&self) -> Result<(), Failure> {
        // Both travel together. A server that does not answer the second one is not blamed.
        let (ping, question) = (Command::of(&["PING"]), Command::of(&eviction::QUESTION));
        let (pong, memory) = tokio::join!(self.link.command(&ping), self.link.command(&question));
        // The right to it is not needed for a look.
        if !pong.as_ref().is_err_and(|failure| self.look.is_some() && failure.is_forbidden()) {
            pong?;
        }
        if let Ok(memory) = memory {
            self.warn_of_eviction(&memory);
        }
        match &self.grants {
            Some(grants) => grants.open().await,
            None => Ok(()),
        }
    }

    /// Warns of a policy that takes locks away, by the answer to [`eviction::QUESTION`].
    pub(super) fn warn_of_eviction(&self, answer: &Value) {
        eviction::warn(&self.server.runtime, &self.server.name, answer);
    }

    /// Carries steps there, once.
    pub(super) async fn send(&self, steps: Vec<Request>) -> Result<Outcome, StoreError> {
        if let Some(look) = &self.look {
            return Ok(of_process(look.carry(&self.carrier, &steps)).await?);
        }
        let ended = || defect("the thread of the store has ended".into());
        if let Some(grants) = &self.grants
            && ack::is_for(&steps)
        {
            return grants.send(steps).await.ok_or_else(ended);
        }
        let under_way = self.lone.enter();
        if let Some(call) = &under_way
            && call.is_direct().await
        {
            // Dropped half-way, it may not do in a fork's child what it does here.
            return Ok(of_process(self.direct.carry(&steps)).await?);
        }
        self.batches.send(steps).await.ok_or_else(ended)
    }

    /// Carries steps of one key there, by themselves: to a node of a cluster, which may answer that
    /// another one is to be asked. `is_asking`: the one before has sent us here this one time.
    pub(super) async fn send_alone(
        &self,
        steps: &[Request],
        is_asking: bool,
    ) -> Result<Vec<Reply>, StoreError> {
        if self.look.is_some() && !look::are_looks(steps) {
            return Err(StoreError::only_looks());
        }
        let carrier = match &self.grants {
            Some(grants) if ack::is_for(steps) => grants.carrier(),
            _ => &self.carrier,
        };
        of_process(carrier.carry_alone(steps, is_asking)).await?
    }
}
