//! Redis and Valkey, one server: locks of all hosts that reach it.
//!
//! The transitions run in the server, as a script (`lua/*.lua`); this file only carries steps
//! there and replies back. Time is the server's. The server decides what the locks survive:
//! without persistence a restart forgets them all, and a failover forgets what was not yet
//! replicated.

mod ack;
mod batch;
mod by_slot;
mod carrier;
mod client;
mod data;
mod decode;
mod encode;
mod eviction;
mod examine;
mod gather;
mod grants;
mod greeter;
mod inbox;
mod keys;
mod link;
mod lone;
mod look;
mod marker;
mod node;
mod question;
mod rights;
mod scan;
mod scripts;
mod shell_line;
mod slots;
mod suspects;
mod topology;
mod url;
mod words;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::process::OfProcess;
use crate::protocol::{Inspection, Op, Reply, Request, State};
use crate::runtime::{Runtime, blocking};
use crate::types::{Key, TTL_MAX};

use super::{
    Access, Answer, Capabilities, DataServer, Examination, Forgets, Identity, Inbox, Links, Reach,
    Store, StoreError, StoreErrorClass,
};
use client::Command;
use keys::Scope;
pub use lone::Direct;
pub use rights::{Rights, sentinel_rule};
use scan::Hidden;
use shell_line::ShellLine;
use topology::Topology;
use url::StoreUrl;

#[cfg(test)]
mod tests;

/// How long a fence is remembered after its key was last used.
const RETENTION: Duration = Duration::from_secs(24 * 3600);
/// How many keys of a list are looked at in one call.
const LOOKS: usize = 100;

/// Settings for tests; everybody else has the defaults.
#[doc(hidden)]
#[derive(Debug, Clone)]
pub struct RedisOptions {
    /// How long a fence is remembered after its key was last used.
    pub fence_retention: Duration,
    /// For how long a server is known at once, in place of its clock.
    pub up_for: Option<Duration>,
    /// A key of the server whose value is the time, in microseconds, in place of its clock.
    pub clock: Option<String>,
    /// When callers wait for their answers in place.
    pub direct: Direct,
    /// The purpose for which the store is opened.
    pub access: Access,
}

impl Default for RedisOptions {
    fn default() -> Self {
        Self {
            fence_retention: RETENTION,
            up_for: None,
            clock: None,
            direct: Direct::default(),
            access: Access::default(),
        }
    }
}

/// Locks in a Redis or Valkey server.
///
/// Clones share one link for requests and one for pushes, whatever the number of locks. A program
/// that has one call under way at a time gets one more, at which its caller waits in place.
#[derive(Clone)]
pub struct Redis {
    shared: OfProcess<Arc<Shared>>,
}

struct Shared {
    name: Arc<str>,
    topology: Topology,
    capabilities: Capabilities,
    shell_line: ShellLine,
    hidden: Hidden,
}

impl Redis {
    /// The store behind a URL: `redis://`, `rediss://` or `redis+unix://`. The server is asked
    /// once, so that a wrong password or a port that is no Redis is found here.
    #[must_use]
    pub fn open(url: &str, runtime: Arc<dyn Runtime>) -> Answer<'static, Self> {
        Self::open_with(url, runtime, RedisOptions::default())
    }

    /// Like [`Redis::open`], for tests.
    #[doc(hidden)]
    #[must_use]
    pub fn open_with(
        url: &str,
        runtime: Arc<dyn Runtime>,
        options: RedisOptions,
    ) -> Answer<'static, Self> {
        let (url, its_runtime) = (url.to_owned(), Arc::clone(&runtime));
        Box::pin(async move {
            // Certificates are files, which may hang.
            let made =
                blocking(&*runtime, move || Self::unopened(&url, &its_runtime, &options)).await;
            let store = made.unwrap_or_else(|| Err(defect("opening it panicked".into())))?;
            store.shared.topology.open().await?;
            Ok(store)
        })
    }

    /// A store that connects when it is first asked: a quorum's node may be away for now.
    #[doc(hidden)]
    pub fn unopened(
        url: &str,
        runtime: &Arc<dyn Runtime>,
        options: &RedisOptions,
    ) -> Result<Self, StoreError> {
        let url = StoreUrl::parse(url)?;
        let topology = Topology::new(&url, options, runtime)?;
        let looks = options.access.only_looks();
        let mut capabilities = Capabilities {
            fifo: true,
            many_units: true,
            // The keys of a group may be of many slots.
            groups: url.key_template.scope() == Scope::Server,
            plain_values: true,
            composite: false,
            reach: Reach::Network,
            ttl_max: TTL_MAX,
            slow_grants: url.ack.is_some() && !looks,
        };
        if !url.restart_guard.is_zero() {
            // Leases that a server forgot must be over when it grants again.
            capabilities.ttl_max = url.restart_guard.min(TTL_MAX);
        }
        let shell_line = ShellLine::to(&url.server);
        let (name, hidden) = (url.server.name(), Hidden::default());
        let shared = Shared { name, topology, capabilities, shell_line, hidden };
        Ok(Self { shared: OfProcess::new(Arc::new(shared)) })
    }

    /// Asks a server that was not opened for its eviction policy, over the link of the locks, and
    /// warns of one that takes locks away. Nothing waits for it.
    pub(crate) fn warn_of_eviction(&self, runtime: &Arc<dyn Runtime>) {
        let Ok(shared) = self.shared.here() else { return };
        if let Topology::One { node, settings, .. } = &shared.topology
            && !settings.looks
        {
            let node = Arc::clone(node);
            runtime.spawn(Box::pin(async move {
                if let Ok(memory) = node.link.command(&Command::of(&eviction::QUESTION)).await {
                    node.warn_of_eviction(&memory);
                }
            }));
        }
    }

    /// One command over the link of the locks, by itself; what was answered, if it is one word.
    /// For measurements: it is what a lock is compared with.
    #[doc(hidden)]
    #[must_use]
    pub fn command(&self, words: &[&str]) -> Answer<'_, Option<String>> {
        let command = Command::of(words);
        Box::pin(async move {
            let masters = self.shared.here()?.topology.masters().await?;
            let Some(first) = masters.first() else { return Ok(None) };
            Ok(decode::decode_word(first.link.command(&command).await?))
        })
    }

    /// The name of the store that a URL leads to; without the URL's help if it cannot be read.
    pub(crate) fn name_in(url: &str) -> Arc<str> {
        StoreUrl::parse(url).map_or_else(|_| "redis".into(), |url| url.server.name())
    }

    async fn inspect(&self, key: &Key) -> Result<Inspection, StoreError> {
        let step = Request { key: key.clone(), op: Op::Inspect };
        match self.send(vec![step]).await?.pop().map(StoreError::unless_failed).transpose()? {
            Some(Reply::Inspected(seen)) => Ok(seen),
            _ => Err(defect("an inspection was answered with something else".into())),
        }
    }

    async fn send(&self, steps: Vec<Request>) -> Result<Vec<Reply>, StoreError> {
        let shared = self.shared.here()?;
        let looks = steps.iter().any(|step| matches!(step.op, Op::Inspect));
        let mut replies = shared.topology.send(steps).await?;
        if looks {
            for reply in &mut replies {
                if let Reply::Inspected(Inspection { foreign: Some(foreign), .. }) = reply {
                    foreign.delete = shared.shell_line.delete(foreign).into();
                }
            }
        }
        Ok(replies)
    }
}

/// The name of a sender: another one for each store that is opened.
fn sender(runtime: &dyn Runtime) -> String {
    let mut random = [0; 16];
    runtime.random(&mut random);
    u128::from_ne_bytes(random).to_string()
}

fn defect(message: String) -> StoreError {
    StoreError { class: StoreErrorClass::Internal, message, may_have_run: true, source: None }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis")
            .field("name", &self.shared.name)
            .field("links", &self.shared.here().map(|shared| *shared.topology.links().borrow()))
            .finish_non_exhaustive()
    }
}

impl Store for Redis {
    fn capabilities(&self) -> &Capabilities {
        &self.shared.capabilities
    }

    fn name(&self) -> Arc<str> {
        Arc::clone(&self.shared.name)
    }

    fn check_key(&self, key: &Key) -> Result<(), String> {
        self.shared.topology.settings().template.check(key)
    }

    fn part_of(&self, key: &Key) -> u32 {
        self.shared.topology.part_of(key)
    }

    fn call(&self, steps: Vec<Request>) -> Answer<'_, Vec<Reply>> {
        Box::pin(self.send(steps))
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a Key>,
        limit: usize,
    ) -> Answer<'a, Vec<(Key, Inspection)>> {
        Box::pin(async move {
            let shared = self.shared.here()?;
            let keys =
                scan::keys((&shared.topology, &shared.name), &shared.hidden, prefix, after).await?;
            let mut page = Vec::new();
            for some in keys.chunks(LOOKS) {
                let look = |key: &Key| Request { key: key.clone(), op: Op::Inspect };
                let replies = self.send(some.iter().map(look).collect()).await?;
                for (key, reply) in some.iter().zip(replies) {
                    let seen = match reply {
                        Reply::Inspected(seen) => seen,
                        // Its node did not answer: a list without it would be wrong.
                        Reply::Unknown(_) => self.inspect(key).await?,
                        _ => continue,
                    };
                    // One that stays, and that Tenure knows nothing of, is no lock.
                    let foreign = seen.foreign.as_deref().filter(|_| seen.fence.is_none());
                    if foreign.is_some_and(|foreign| foreign.remaining.is_none()) {
                        continue;
                    }
                    if seen.state != State::Free || !seen.waiters.is_empty() {
                        page.push((key.clone(), seen));
                    }
                    if page.len() == limit {
                        return Ok(page);
                    }
                }
            }
            Ok(page)
        })
    }

    fn inbox(&self) -> Answer<'_, Option<Inbox>> {
        Box::pin(async {
            let topology = &self.shared.here()?.topology;
            let decode = topology.settings().decode_pushes();
            Ok(inbox::open(topology.for_messages(), decode).await?)
        })
    }

    fn links(&self) -> Option<watch::Receiver<Links>> {
        Some(self.shared.here().ok()?.topology.links())
    }

    fn identity(&self) -> Answer<'_, Identity> {
        Box::pin(async move {
            let topology = &self.shared.here()?.topology;
            let masters = topology.masters().await?;
            let link = &masters.first().ok_or_else(|| defect("no server has keys".into()))?.link;
            // A guarded server has told when the link was made, and so whenever one is.
            let told = match link.told().await? {
                // A replica may have been promoted meanwhile.
                Some(told) if told.replica_of.is_none() => told,
                _ => decode::decode_info(&link.command(&Command::of(&["INFO"])).await?)
                    .ok_or_else(|| defect("an INFO was answered with something else".into()))?,
            };
            let forgets = Forgets::GuardedFor(topology.settings().restart_guard);
            let unique = format!("redis:{}", told.run_id).into();
            Ok(Identity { unique, replica_of: told.replica_of, forgets })
        })
    }

    fn data(&self) -> Option<&dyn DataServer> {
        Some(self)
    }

    fn examine(&self, ttl: Duration) -> Examination<'_> {
        Box::pin(async move {
            match self.shared.here() {
                Ok(shared) => examine::examine(&shared.topology, &shared.name, ttl).await,
                Err(_forked) => Vec::new(),
            }
        })
    }
}
