//! One server and the ways to it: batches over the shared connection, and the direct connection of
//! a caller who is alone.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tokio::sync::watch;

use crate::process::of_process;
use crate::protocol::{Reply, Request};
use crate::runtime::Runtime;
use crate::store::{Links, StoreError};

use super::batch::{self, Batches, Carrying, Outcome};
use super::carrier::Carrier;
use super::client::{Script, Server};
use super::defect;
use super::encode::Terms;
use super::keys::Template;
use super::link::Link;
use super::lone::{Direct, Lone};
use super::marker::RestartGuard;
use super::scripts::{self, with_clock};
use super::url::StoreUrl;
use super::{RedisOptions, sender};

/// The settings that all servers of a store share.
pub(super) struct Settings {
    pub(super) template: Template,
    pub(super) restart_guard: Duration,
    options: RedisOptions,
    mode: Direct,
    runtime: Arc<dyn Runtime>,
    /// Carries out steps.
    script: Arc<Script>,
    /// Carries out commands on data.
    pub(super) data_script: Script,
}

impl Settings {
    pub(super) fn new(url: &StoreUrl, options: &RedisOptions, runtime: &Arc<dyn Runtime>) -> Self {
        let (template, restart_guard) = (url.key_template.clone(), url.restart_guard);
        let preface = scripts::preface(&template, options.fence_retention, restart_guard);
        let script = scripts::steps(&preface, template.scope());
        Self {
            template,
            restart_guard,
            options: options.clone(),
            // Over TLS a caller's thread would also have to encrypt.
            mode: if url.server.tls.is_some() { Direct::Never } else { options.direct },
            runtime: Arc::clone(runtime),
            script: Arc::new(options.change(script)),
            data_script: options.change(scripts::write(&preface)),
        }
    }

    /// For one more sender.
    fn terms(&self) -> Terms {
        Terms {
            sender: sender(&*self.runtime),
            calls: AtomicU64::default(),
            template: self.template.clone(),
            restart_guard: self.restart_guard,
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
}

impl Node {
    /// Nothing is connected yet.
    pub(super) fn new(
        server: Arc<Server>,
        settings: &Settings,
        links: watch::Sender<Links>,
    ) -> Self {
        let runtime = &settings.runtime;
        let guard = RestartGuard {
            span: settings.restart_guard,
            up_for: settings.options.up_for,
            clock: settings.options.clock.clone(),
            scope: settings.template.scope(),
            runtime: Arc::clone(runtime),
            last: Mutex::default(),
        };
        let link = Arc::new(Link::new(&server, guard, links));
        let script = Arc::clone(&settings.script);
        let carrier = Arc::new(Carrier::new(Arc::clone(&link), script, settings.terms()));
        let direct = carrier.direct(settings.terms());
        let lone = Lone::new(settings.mode, &link, runtime);
        let carries = Arc::clone(&carrier);
        let carry = move |steps: Vec<Request>, room: Option<Carrying>| {
            let carrier = Arc::clone(&carries);
            batch::carrying(room, async move { carrier.carry(&steps).await })
        };
        let batches = Batches::start(&**runtime, Box::new(carry));
        Self { server, link, batches, carrier, direct, lone }
    }

    /// Carries steps there, once.
    pub(super) async fn send(&self, steps: Vec<Request>) -> Result<Outcome, StoreError> {
        let under_way = self.lone.enter();
        if let Some(call) = &under_way
            && call.is_direct().await
        {
            // Dropped half-way, it may not do in a fork's child what it does here.
            return Ok(of_process(self.direct.carry(&steps)).await?);
        }
        let outcome = self.batches.send(steps).await;
        outcome.ok_or_else(|| defect("the thread of the store has ended".into()))
    }

    /// Carries steps of one key there, by themselves: to a node of a cluster, which may answer that
    /// another one is to be asked. `is_asking`: the one before has sent us here this one time.
    pub(super) async fn send_alone(
        &self,
        steps: &[Request],
        is_asking: bool,
    ) -> Result<Vec<Reply>, StoreError> {
        of_process(self.carrier.carry_alone(steps, is_asking)).await?
    }
}
