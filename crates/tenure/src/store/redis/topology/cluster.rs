//! A cluster: steps go to the nodes that serve the slots of their keys, and where a node sends them
//! elsewhere they follow.
//!
//! The map of slots is asked for when the store is opened, when a node says that it is not right,
//! and when a link to a node has ended. It may be wrong at any time, which costs a step another
//! way round and nothing else: a node refuses the keys that are not its own.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::watch;

use crate::protocol::{Reply, Request};
use crate::runtime::{Moment, Runtime, timeout};
use crate::store::{Links, StoreError, StoreErrorClass};
use crate::types::Key;

use super::super::carrier::{self, Part};
use super::super::client::{
    Address, Cause, Command, Dial, Dialling, Failure, Redirect, Server, ServerUrl, Transport,
    Value, Wanted,
};
use super::super::defect;
use super::super::node::{Node, Settings};
use super::super::slots::Slot;
use super::slot_map::SlotMap;

/// The map is asked for at most once in this time.
const REFRESH_EVERY: Duration = Duration::from_millis(100);
/// The first and the longest pause before a step is sent again that no node takes now.
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);
/// So many times in a row a step follows at once where it is sent; then it pauses.
const HOPS_MAX: u32 = 4;

pub(in super::super) struct Cluster {
    url: ServerUrl,
    transport: Transport,
    settings: Arc<Settings>,
    runtime: Arc<dyn Runtime>,
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

/// A way to whichever node is there.
#[derive(Debug)]
struct AnyNode {
    cluster: Weak<Cluster>,
    is_tls: bool,
    /// Which node is dialled first: one that takes connections and does not answer is not dialled
    /// for ever.
    turn: AtomicUsize,
}

impl Dial for AnyNode {
    fn dial<'a>(&'a self, runtime: &'a dyn Runtime, until: Moment) -> Dialling<'a> {
        Box::pin(async move {
            let gone = || Failure::unsent(Cause::StillConnecting { last: None });
            let cluster = self.cluster.upgrade().ok_or_else(gone)?;
            let nodes = cluster.informants(self.turn.load(Ordering::Relaxed));
            let mut last = None;
            for (index, address) in nodes.iter().enumerate() {
                let Ok(node) = cluster.node(address) else { continue };
                // One that swallows packets must leave time for the next one.
                let share = until.since(runtime.now())
                    / u32::try_from(nodes.len() - index).unwrap_or(u32::MAX);
                match node.server.dial.dial(runtime, runtime.now() + share).await {
                    Ok(stream) => return Ok(stream),
                    Err(failure) => last = Some(failure),
                }
            }
            Err(last.unwrap_or_else(gone))
        })
    }

    fn is_tls(&self) -> bool {
        self.is_tls
    }

    fn misled(&self) {
        self.turn.fetch_add(1, Ordering::Relaxed);
    }
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

    /// Asks for the map of slots for the first time.
    pub(super) async fn open(&self) -> Result<(), StoreError> {
        self.refresh().await
    }

    /// The nodes that serve slots.
    pub(super) async fn masters(&self) -> Result<Vec<Arc<Node>>, StoreError> {
        if self.map().masters().is_empty() {
            self.refresh().await?;
        }
        self.map().masters().iter().map(|master| self.node(master)).collect()
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
                answer => return Ok(answer?),
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

    /// Steps whose node did not take them, key by key.
    async fn settle_all(&self, steps: &[Request], left: Vec<(usize, StoreError)>) -> Part {
        let mut errors: HashMap<usize, StoreError> = left.into_iter().collect();
        let mut places: Vec<usize> = errors.keys().copied().collect();
        places.sort_unstable();
        let again = carrier::of_these(steps, &places);
        // The others of the call must not wait with it.
        let may_wait = steps.iter().all(|step| step.key == steps[0].key);
        let parts = carrier::by_key(&again).into_iter().map(|of_key| {
            let places: Vec<_> = of_key.iter().map(|&index| places[index]).collect();
            let tried = places.iter().filter_map(|place| errors.remove(place)).collect();
            Box::pin(async move {
                let steps = carrier::of_these(steps, &places);
                let results = self.settle(&steps, tried, may_wait).await;
                places.into_iter().zip(results).collect::<Part>()
            })
        });
        carrier::all(parts.collect()).await.into_iter().flatten().collect()
    }

    /// Steps of one key that their node did not take: until one does, or the limit of a call has
    /// come, or they would have to wait and must not. `tried` says how they fared.
    async fn settle(
        &self,
        steps: &[Request],
        tried: Vec<StoreError>,
        may_wait: bool,
    ) -> Vec<Result<Reply, StoreError>> {
        let until = self.runtime.now() + self.url.limits.call;
        let mut may_have_run = tried.iter().any(|error| error.may_have_run);
        let Some(mut last) = tried.into_iter().next() else { return Vec::new() };
        let mut course = Course::new(self.slot(&steps[0]));
        while may_settle(&last) {
            if course.must_wait(&last) {
                let now = self.runtime.now();
                if !may_wait || now >= until {
                    break;
                }
                self.runtime.sleep_until(now + course.next_pause()).await;
            }
            let answered = async {
                let (address, is_asking) = self.follow(&mut course, &last).await?;
                course.asked = Some(address.clone());
                self.node(&address)?.send_alone(steps, is_asking).await
            };
            match answered.await {
                Ok(replies) => {
                    let told = |(reply, step): (Reply, &Request)| {
                        if may_have_run {
                            carrier::repeated(&step.op, reply, &last)
                        } else {
                            Ok(reply)
                        }
                    };
                    return replies.into_iter().zip(steps).map(told).collect();
                }
                Err(error) => {
                    may_have_run |= error.may_have_run;
                    last = error;
                }
            }
        }
        let error = StoreError { may_have_run, source: None, ..last };
        steps.iter().map(|_| Err(error.clone())).collect()
    }

    /// The node that a step goes to next, and whether behind `ASKING`.
    async fn follow(
        &self,
        course: &mut Course,
        last: &StoreError,
    ) -> Result<(Address, bool), StoreError> {
        let at = |host: Option<Arc<str>>, port| {
            let same_host = || course.asked.as_ref().map(|(host, _)| Arc::clone(host));
            host.or_else(same_host).map(|host| (host, port))
        };
        let (target, is_asking) = match redirect(last) {
            Some(Redirect::Moved { host, port }) => (at(host, port), false),
            Some(Redirect::Ask { host, port }) => (at(host, port), true),
            Some(Redirect::Again) | None => (None, false),
        };
        match target {
            Some(target) => {
                if !is_asking {
                    let mut map = self.map.lock().unwrap_or_else(PoisonError::into_inner);
                    Arc::make_mut(&mut map).set(course.slot, &target);
                    drop(map);
                    self.refresh_soon();
                }
                Ok((target, is_asking))
            }
            None => {
                // The node that was asked may know more when it is asked alone.
                if course.hops > 1 || redirect(last).is_none() {
                    self.refresh().await?;
                }
                let master = self.map().master(course.slot).cloned();
                Ok((master.ok_or_else(unserved)?, false))
            }
        }
    }

    /// Asks for the map, unless that was done just now.
    async fn refresh(&self) -> Result<(), StoreError> {
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
    fn informants(&self, turn: usize) -> Vec<Address> {
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
        let answer = timeout(&*self.runtime, until, node.link.command(&slots)).await;
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
    fn node(&self, address: &Address) -> Result<Arc<Node>, StoreError> {
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

    fn slot(&self, step: &Request) -> Slot {
        self.settings.template.slot(&step.key)
    }

    fn map(&self) -> Arc<SlotMap> {
        Arc::clone(&self.map.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn nodes(&self) -> MutexGuard<'_, HashMap<Address, Arc<Node>>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The way of a step through the cluster.
struct Course {
    slot: Slot,
    /// The node that was asked last.
    asked: Option<Address>,
    hops: u32,
    pause: Duration,
}

impl Course {
    fn new(slot: Slot) -> Self {
        Self { slot, asked: None, hops: 0, pause: FIRST_PAUSE }
    }

    /// One step further. Whether it is too early for the next try: nobody takes the step now.
    fn must_wait(&mut self, last: &StoreError) -> bool {
        self.hops += 1;
        let is_sent_on =
            matches!(redirect(last), Some(Redirect::Moved { .. } | Redirect::Ask { .. }));
        !is_sent_on && self.hops > 1 || self.hops > HOPS_MAX
    }

    fn next_pause(&mut self) -> Duration {
        let next = (self.pause * 2).min(LONGEST_PAUSE);
        std::mem::replace(&mut self.pause, next)
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

/// Whether another try may do better, at another node or later. A failure with a source is a
/// node's answer.
fn may_settle(error: &StoreError) -> bool {
    let is_unsent = error.class == StoreErrorClass::Transient && !error.may_have_run;
    is_unsent && error.source.is_none() || redirect(error).is_some()
}

fn redirect(error: &StoreError) -> Option<Redirect> {
    error.source.as_ref()?.downcast_ref::<Failure>()?.redirect()
}

fn silent((host, port): &Address) -> StoreError {
    let message = format!("the node {host}:{port} did not tell in time where the slots are");
    StoreError { class: StoreErrorClass::Transient, message, may_have_run: false, source: None }
}

fn unserved() -> StoreError {
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
