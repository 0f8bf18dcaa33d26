//! A cluster: steps go to the nodes that serve the slots of their keys, and where a node sends them
//! elsewhere they follow.
//!
//! The map of slots is asked for when the store is opened, when a node says that it is not right,
//! and when a link to a node has ended. It may be wrong at any time, which costs a step another
//! way round and nothing else: a node refuses the keys that are not its own.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::watch;

use crate::protocol::{Reply, Request};
use crate::runtime::{Moment, Runtime, answer_by};
use crate::store::{Links, StoreError, StoreErrorClass};
use crate::types::Key;

use super::super::carrier::{self, Part};
use super::super::client::{
    Address, Command, Failure, Server, ServerUrl, Transport, Value, Wanted,
};
use super::super::defect;
use super::super::eviction;
use super::super::node::{Node, Settings};
use super::super::question;
use super::super::slots::Slot;
use super::any_node::AnyNode;
use super::course::{FIRST_PAUSE, LONGEST_PAUSE, may_settle};
use super::slot_map::SlotMap;

/// The map is asked for at most once in this time.
const REFRESH_EVERY: Duration = Duration::from_millis(100);

pub(in super::super) struct Cluster {
    pub(super) url: ServerUrl,
    transport: Transport,
    settings: Arc<Settings>,
    pub(super) runtime: Arc<dyn Runtime>,
    /// The addresses of the URL.
    seeds: Vec<Address>,
    map: Mutex<Arc<SlotMap>>,
    /// All that are used, by their addresses.
    nodes: Mutex<HashMap<Address, Arc<Node>>>,
    /// Held while the map is asked for.
    refresh: tokio::sync::Mutex<Refreshed>,
    /// Counts the connections to all nodes.
    links: watch::Sender<Links>,
    /// Whichever node is there: each has the messages of all.
    any: Arc<Server>,
    this: Weak<Self>,
}

/// The last time that the map was asked for.
#[derive(Debug, Default)]
struct Refreshed {
    begun: Option<Moment>,
    /// Which node is asked first the next time: one that tells an old map is not asked for ever.
    turn: usize,
}

impl Cluster {
    /// Nothing is connected yet.
    pub(super) fn new(
        url: &ServerUrl,
        seeds: &[Address],
        settings: Arc<Settings>,
        runtime: &Arc<dyn Runtime>,
    ) -> Result<Arc<Self>, StoreError> {
        let transport = Transport::new(url.tls.as_ref(), url.limits)?;
        let mut url = url.clone();
        url.login.wanted = Wanted::ClusterPrimary;
        let cluster = Arc::new_cyclic(|this| {
            let (is_tls, turn) = (url.tls.is_some(), AtomicUsize::default());
            let dial = AnyNode { cluster: Weak::clone(this), is_tls, turn };
            let (login, limits) = (url.login.clone(), url.limits);
            let any = Server::new(url.name(), Arc::new(dial), login, limits, Arc::clone(runtime));
            Self {
                url: url.clone(),
                transport,
                settings,
                runtime: Arc::clone(runtime),
                seeds: seeds.to_vec(),
                map: Mutex::default(),
                nodes: Mutex::default(),
                refresh: tokio::sync::Mutex::default(),
                links: watch::Sender::default(),
                any,
                this: Weak::clone(this),
            }
        });
        let (this, links) = (Weak::clone(&cluster.this), cluster.links.subscribe());
        runtime.spawn(Box::pin(refresh_after_cuts(this, links)));
        Ok(cluster)
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The counts of the connections to all nodes.
    pub(super) fn links(&self) -> watch::Receiver<Links> {
        self.links.subscribe()
    }

    /// Whichever node is there, for messages.
    pub(super) fn any(&self) -> &Arc<Server> {
        &self.any
    }

    /// Asks for the map of slots for the first time. Nothing waits for what else is asked then.
    pub(super) async fn open(&self) -> Result<(), StoreError> {
        self.refresh().await?;
        if !self.settings.looks {
            self.runtime.spawn(Box::pin(warn_of_eviction(Weak::clone(&self.this))));
        }
        Ok(())
    }

    /// The nodes that serve slots.
    pub(super) async fn masters(&self) -> Result<Vec<Arc<Node>>, StoreError> {
        if self.map().masters().is_empty() {
            self.refresh().await?;
        }
        self.map().masters().iter().map(|master| self.node(master)).collect()
    }

    /// The nodes that serve slots now, each with the first of its slots.
    pub(super) async fn masters_now(&self) -> Result<Vec<(Arc<Node>, Option<Slot>)>, StoreError> {
        self.refresh().await?;
        let map = self.map();
        let of = |master: &Address| Ok((self.node(master)?, map.first_slot(master)));
        map.masters().iter().map(of).collect()
    }

    /// Runs the script for data beside the lock of `key`, once: a node that sends it elsewhere has
    /// carried out nothing.
    pub(super) async fn eval_data(
        &self,
        key: &Key,
        pack: impl Fn([&str; 2]) -> Command,
    ) -> Result<Value, StoreError> {
        let until = self.runtime.now() + self.url.limits.call;
        let mut pause = FIRST_PAUSE;
        loop {
            let node = self.master_of(key).await?;
            let answer = node.link.eval_data(&self.settings.data_script, &pack).await;
            match answer {
                Err(failure)
                    if failure.redirect().is_some()
                        && !failure.may_have_run
                        && self.runtime.now() < until => {}
                answer => return answer.map_err(Failure::unsettled),
            }
            self.runtime.sleep_until(self.runtime.now() + pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
            self.refresh().await?;
        }
    }

    /// The node that serves the slot of a key, as far as is known.
    async fn master_of(&self, key: &Key) -> Result<Arc<Node>, StoreError> {
        let slot = self.settings.template.slot(key);
        if self.map().master(slot).is_none() {
            self.refresh().await?;
        }
        self.node(self.map().master(slot).ok_or_else(unserved)?)
    }

    /// The number of the node that has a key, as far as is known.
    pub(super) fn part_of(&self, key: &Key) -> u32 {
        self.map().part(self.settings.template.slot(key))
    }

    /// Carries out steps, wherever their keys are.
    pub(super) async fn send(&self, steps: Vec<Request>) -> Result<Vec<Reply>, StoreError> {
        let map = self.map();
        let mut by_node: Vec<(Option<&Address>, Vec<usize>)> = Vec::new();
        for (place, step) in steps.iter().enumerate() {
            let master = map.master(self.slot(step));
            match by_node.iter_mut().find(|(known, _)| *known == master) {
                Some((_, places)) => places.push(place),
                None => by_node.push((master, vec![place])),
            }
        }
        let mut parts = by_node
            .into_iter()
            .map(|(master, places)| self.send_to(master.cloned(), &steps, places));
        let parts = if parts.len() == 1 {
            match parts.next() {
                Some(part) => vec![part.await],
                None => Vec::new(),
            }
        } else {
            carrier::all(parts.map(Box::pin).collect()).await
        };
        let (mut done, mut left) = (Vec::with_capacity(steps.len()), Vec::new());
        for (place, result) in parts.into_iter().flatten() {
            match result {
                Err(error) if may_settle(&error) => left.push((place, error)),
                Err(error) => done.push((place, Err(StoreError { source: None, ..error }))),
                result => done.push((place, result)),
            }
        }
        if !left.is_empty() {
            done.extend(self.settle_all(&steps, left).await);
        }
        carrier::in_order(steps.len(), vec![done]).of_one_call()
    }

    /// Steps to one node, without following where it sends them.
    async fn send_to(
        &self,
        master: Option<Address>,
        steps: &[Request],
        places: Vec<usize>,
    ) -> Part {
        let outcome = async {
            let node = self.node(&master.ok_or_else(unserved)?)?;
            node.send(carrier::of_these(steps, &places)).await
        };
        match outcome.await {
            Ok(outcome) => places.iter().copied().zip(outcome.each(places.len())).collect(),
            Err(error) => places.into_iter().map(|place| (place, Err(error.clone()))).collect(),
        }
    }

    /// A node says that a slot has another master.
    pub(super) fn moved(&self, slot: Slot, master: &Address) {
        let mut map = self.map.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::make_mut(&mut map).set(slot, master);
        drop(map);
        self.refresh_soon();
    }

    /// Asks for the map, unless that was done just now.
    pub(super) async fn refresh(&self) -> Result<(), StoreError> {
        let asked_at = self.runtime.now();
        let mut refreshed = self.refresh.lock().await;
        if let Some(begun) = refreshed.begun {
            if begun >= asked_at {
                return Ok(());
            }
            self.runtime.sleep_until(begun + REFRESH_EVERY).await;
        }
        refreshed.begun = Some(self.runtime.now());
        refreshed.turn += 1;
        let mut last = None;
        for address in self.informants(refreshed.turn) {
            match self.ask(&address).await {
                Ok(map) => {
                    self.keep_only(&map);
                    *self.map.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(map);
                    return Ok(());
                }
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(unserved))
    }

    /// The nodes that may know the map: first those that are connected, each in its turn.
    pub(super) fn informants(&self, turn: usize) -> Vec<Address> {
        let mut all = self.map().masters();
        let turn = turn % all.len().max(1);
        all.rotate_left(turn);
        let seeds = self.seeds.iter().filter(|seed| !all.contains(seed)).cloned();
        all.extend(seeds.collect::<Vec<_>>());
        let nodes = self.nodes();
        all.sort_by_key(|address| !nodes.get(address).is_some_and(|node| node.link.is_open()));
        all
    }

    /// The map, as the node at this address tells it. It leaves time for others.
    async fn ask(&self, address: &Address) -> Result<SlotMap, StoreError> {
        let node = self.node(address)?;
        let until = self.runtime.now() + self.url.limits.call / 2;
        let slots = Command::of(&["CLUSTER", "SLOTS"]);
        let answer = answer_by(&*self.runtime, until, node.link.command(&slots)).await;
        let answer = answer.ok_or_else(|| silent(address))??;
        SlotMap::read(answer, address)
            .ok_or_else(|| defect("CLUSTER SLOTS was answered with something else".into()))
    }

    /// Asks for the map, without waiting for it.
    fn refresh_soon(&self) {
        let this = Weak::clone(&self.this);
        self.runtime.spawn(Box::pin(async move {
            if let Some(cluster) = this.upgrade() {
                // A step that needs it says what is in the way.
                let _failed = cluster.refresh().await;
            }
        }));
    }

    /// Gives up nodes that serve nothing any more.
    fn keep_only(&self, map: &SlotMap) {
        let masters = map.masters();
        let is_used = |address: &Address| masters.contains(address) || self.seeds.contains(address);
        self.nodes().retain(|address, node| {
            node.link.leave_marker(|slot| map.master(slot) == Some(address));
            is_used(address)
        });
    }

    /// The node at this address.
    pub(super) fn node(&self, address: &Address) -> Result<Arc<Node>, StoreError> {
        let mut nodes = self.nodes();
        if let Some(node) = nodes.get(address) {
            return Ok(Arc::clone(node));
        }
        let (host, port) = address;
        let dial = Arc::new(self.transport.to(host, *port)?);
        let name = self.url.name_of(host, *port);
        let (login, limits) = (self.url.login.clone(), self.url.limits);
        let server = Server::new(name, dial, login, limits, Arc::clone(&self.runtime));
        let node = Arc::new(Node::new(server, &self.settings, self.links.clone()));
        nodes.insert(address.clone(), Arc::clone(&node));
        Ok(node)
    }

    pub(super) fn slot(&self, step: &Request) -> Slot {
        self.settings.template.slot(&step.key)
    }

    pub(in super::super) fn map(&self) -> Arc<SlotMap> {
        Arc::clone(&self.map.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn nodes(&self) -> MutexGuard<'_, HashMap<Address, Arc<Node>>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks for the map again whenever a link to a node has ended: another may have taken its place.
async fn refresh_after_cuts(cluster: Weak<Cluster>, mut links: watch::Receiver<Links>) {
    let mut seen = links.borrow_and_update().cut;
    while links.changed().await.is_ok() {
        let cut = links.borrow_and_update().cut;
        if std::mem::replace(&mut seen, cut) != cut {
            let Some(cluster) = cluster.upgrade() else { return };
            let _failed = cluster.refresh().await;
        }
    }
}

/// Asks one master after the other for its eviction policy, and warns of one that takes locks away.
/// One that does not answer is not blamed. No link is opened by it: a cut of a link to a
/// master that this program does not use would have it ask for the map.
async fn warn_of_eviction(cluster: Weak<Cluster>) {
    let masters = cluster.upgrade().map_or_else(Vec::new, |cluster| cluster.map().masters());
    for master in masters {
        let Some(node) = cluster.upgrade().and_then(|cluster| cluster.node(&master).ok()) else {
            return;
        };
        if let Ok(memory) = question::answer(&node.server, &eviction::QUESTION).await {
            node.warn_of_eviction(&memory);
        }
    }
}

fn silent((host, port): &Address) -> StoreError {
    let message = format!("the node {host}:{port} did not tell in time where the slots are");
    StoreError { class: StoreErrorClass::Transient, message, may_have_run: false, source: None }
}

pub(super) fn unserved() -> StoreError {
    StoreError {
        class: StoreErrorClass::Transient,
        message: "no node of the cluster serves the hash slot of this key: look at CLUSTER INFO"
            .into(),
        may_have_run: false,
        source: None,
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("masters", &self.map().masters()).finish_non_exhaustive()
    }
}
