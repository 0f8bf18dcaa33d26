//! The link between a process and the server, as a store: calls are delayed, lost, doubled and
//! carried out late, replies and pushes are lost. It never retries; that is the engine's part.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tenure::protocol::{Grant, Inspection, Reply, Request};
use tenure::store::{
    Answer, Capabilities, DataServer, Examination, Forgets, Identity, Inbox, Links, Push, Reach,
    Store, StoreError, StoreErrorClass,
};
use tenure::{Key, TTL_MAX};
use tokio::sync::{mpsc, oneshot, watch};

use crate::judge::Judge;
use crate::network_faults::{Fate, NetworkFaults};
use crate::server::{Sender, Server};
use crate::summary;
use crate::world::{Pid, World};

type Replies = Result<Vec<Reply>, StoreError>;
type Opened = Result<Option<Inbox>, StoreError>;

/// All links to one server.
pub(crate) struct Network {
    world: Arc<World>,
    server: Arc<Server>,
    judge: Arc<Judge>,
    /// The server can push.
    pushes: bool,
    state: Mutex<NetworkState>,
}

struct NetworkState {
    network_faults: NetworkFaults,
    /// Cut off until then.
    cuts: BTreeMap<Pid, u64>,
    inboxes: BTreeMap<Arc<str>, (Pid, mpsc::UnboundedSender<Push>)>,
    last_call: u64,
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network").finish_non_exhaustive()
    }
}

impl Network {
    pub(crate) fn new(
        world: Arc<World>,
        server: Arc<Server>,
        judge: Arc<Judge>,
        network_faults: NetworkFaults,
        pushes: bool,
    ) -> Arc<Self> {
        let (cuts, inboxes) = (BTreeMap::new(), BTreeMap::new());
        let state = Mutex::new(NetworkState { network_faults, cuts, inboxes, last_call: 0 });
        Arc::new(Self { world, server, judge, pushes, state })
    }

    /// The sun comes out: no fault from now on, but those that are under way.
    pub(crate) fn calm(&self) {
        let mut state = self.state();
        state.network_faults = state.network_faults.calm();
        state.cuts.clear();
    }

    /// Cuts a process off until the true time `until`.
    pub(crate) fn cut(&self, pid: Pid, until: u64) {
        self.state().cuts.insert(pid, until);
        self.world.trouble(pid, until);
    }

    /// Sends the wakeups of a step on their way.
    pub(crate) fn push(self: &Arc<Self>, grants: Vec<(Key, Grant)>) {
        for (key, grant) in grants {
            let Grant { owner, fence, stamp, inbox } = grant;
            let copies = self.push_copies();
            for delay in copies {
                let push = Push { key: key.clone(), owner: owner.clone(), fence, stamp };
                let (network, inbox) = (Arc::clone(self), Arc::clone(&inbox));
                self.world.at(self.world.now() + delay, move |world| {
                    network.deliver(world, &inbox, push);
                });
            }
        }
    }

    fn push_copies(&self) -> Vec<u64> {
        let network_faults = self.state().network_faults.clone();
        self.world.rng(|rng| {
            if rng.per_mille(network_faults.push_lost_per_mille) {
                return Vec::new();
            }
            let late = rng.per_mille(network_faults.push_late_per_mille);
            let first = if late { rng.below(network_faults.late) } else { network_faults.way(rng) };
            let mut delays = vec![first];
            if rng.per_mille(network_faults.push_doubled_per_mille) {
                delays.push(first + rng.below(network_faults.late));
            }
            delays
        })
    }

    fn deliver(&self, world: &World, inbox: &Arc<str>, push: Push) {
        let state = self.state();
        let Some((pid, sender)) = state.inboxes.get(inbox) else { return };
        if state.cuts.get(pid).is_some_and(|until| *until > world.now()) {
            return;
        }
        world.note(|| format!("p{pid} gets a push: {} {}", push.key, summary::owner(&push.owner)));
        let _gone_with_its_process = sender.send(push);
    }

    fn send(self: &Arc<Self>, pid: Pid, steps: Vec<Request>) -> oneshot::Receiver<Replies> {
        let (answer, answered) = oneshot::channel();
        if self.world.is_crashed(pid) {
            return answered;
        }
        let (number, network_faults, cut) = self.next_call(pid);
        let (fate, out, back) = self.world.rng(|rng| {
            (network_faults.fate(rng), network_faults.way(rng), network_faults.way(rng))
        });
        let node = self.server.node;
        self.world.note(|| {
            format!("p{pid} calls s{node} #{number} ({fate:?}): {}", summary::steps(&steps))
        });
        let call = Call {
            network: Arc::clone(self),
            from: Sender { pid, sent: self.world.now() },
            number,
            single: fate == Fate::Answered && cut <= self.world.now(),
            refused: AtomicBool::new(false),
            steps,
            answer: Mutex::new(Some(answer)),
        };
        Arc::new(call).set_out(fate, [out, back], &network_faults, cut);
        answered
    }

    /// Opens an inbox as the network permits: at once, late, or not.
    fn open_inbox(self: &Arc<Self>, pid: Pid, opened: oneshot::Sender<Opened>) {
        let (_, network_faults, cut) = self.next_call(pid);
        let (fate, way) = self.world.rng(|rng| (network_faults.fate(rng), network_faults.way(rng)));
        let now = self.world.now();
        let answered = matches!(fate, Fate::Answered | Fate::Doubled);
        if !answered || cut > now || self.server.is_down() || self.server.stalled_until() > now {
            self.world.trouble(pid, now + network_faults.call_timeout);
            self.world.at(now + network_faults.call_timeout, move |_| {
                let _gave_up = opened.send(Err(failure("no inbox in time", false)));
            });
            return;
        }
        let network = Arc::clone(self);
        self.world.at(now + 2 * way, move |_| {
            let _gave_up = opened.send(Ok(network.pushes.then(|| network.enter_inbox(pid))));
        });
    }

    fn enter_inbox(&self, pid: Pid) -> Inbox {
        let (sender, pushes) = mpsc::unbounded_channel();
        let mut state = self.state();
        let address: Arc<str> = format!("inbox-{pid}-{}", state.inboxes.len()).into();
        state.inboxes.insert(Arc::clone(&address), (pid, sender));
        Inbox { address, pushes, missed: Arc::default() }
    }

    fn next_call(&self, pid: Pid) -> (u64, NetworkFaults, u64) {
        let mut state = self.state();
        state.last_call += 1;
        let cut = state.cuts.get(&pid).copied().unwrap_or(0);
        (state.last_call, state.network_faults.clone(), cut)
    }

    fn cut_until(&self, pid: Pid) -> u64 {
        self.state().cuts.get(&pid).copied().unwrap_or(0)
    }

    fn state(&self) -> MutexGuard<'_, NetworkState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request under way.
struct Call {
    network: Arc<Network>,
    from: Sender,
    number: u64,
    /// No copy of it is under way.
    single: bool,
    /// It was carried out, and the refusal set out to a caller who then withdraws nothing. A server
    /// knows the copy of such a call by its number, and does not carry it out. Without an answer
    /// the caller withdraws, and a late copy must meet that.
    refused: AtomicBool,
    steps: Vec<Request>,
    /// Taken by whatever ends the call first.
    answer: Mutex<Option<oneshot::Sender<Replies>>>,
}

impl Call {
    fn set_out(
        self: Arc<Self>,
        fate: Fate,
        [out, back]: [u64; 2],
        network_faults: &NetworkFaults,
        cut: u64,
    ) {
        let world = Arc::clone(&self.network.world);
        let now = world.now();
        let answered = matches!(fate, Fate::Answered | Fate::Doubled);
        if !answered || out.max(back) > network_faults.delay {
            world.trouble(self.from.pid, now + (out + back).max(network_faults.call_timeout));
        }
        let fate = if cut <= now { fate } else { self.caught_in_cut(cut) };
        let caller = Arc::clone(&self);
        world.at(now + network_faults.call_timeout, move |_| {
            caller.answer(Err(failure("the server has not answered in time", true)));
        });
        match fate {
            Fate::Answered => self.travel(now + out, Some(back)),
            Fate::Doubled => {
                let again = now + out + world.rng(|rng| rng.below(back));
                Arc::clone(&self).travel(again, None);
                self.travel(now + out, Some(back));
            }
            Fate::Lost => {}
            Fate::Unanswered => self.travel(now + out, None),
            Fate::Late(after) => self.travel(now + after, None),
            Fate::UnansweredThenLate(after) => {
                Arc::clone(&self).travel(now + out, None);
                self.travel(now + after, None);
            }
        }
    }

    /// A link that is cut loses a request, or retransmits it when it is whole again.
    fn caught_in_cut(&self, until: u64) -> Fate {
        let world = &self.network.world;
        world.trouble(self.from.pid, until);
        world.rng(|rng| match rng.below(2) {
            0 => Fate::Lost,
            _ => Fate::Late(until - world.now() + rng.below(200_000)),
        })
    }

    /// Arrives at the true time `at`; an answer sets out if there is a way `back`.
    fn travel(self: Arc<Self>, at: u64, back: Option<u64>) {
        let world = Arc::clone(&self.network.world);
        world.at(at, move |world| self.arrive(world, back));
    }

    fn arrive(self: Arc<Self>, world: &Arc<World>, back: Option<u64>) {
        let network = Arc::clone(&self.network);
        let stalled = network.server.stalled_until();
        if stalled > world.now() {
            world.trouble(self.from.pid, stalled);
            return self.travel(stalled + world.rng(|rng| rng.below(1_000)), back);
        }
        if network.server.is_down() {
            world.trouble(self.from.pid, world.now());
            let refused = self.single && world.rng(|rng| rng.per_mille(500));
            if let (true, Some(back)) = (refused, back) {
                world.at(world.now() + back, move |_| {
                    self.answer(Err(failure("the server refused the connection", false)));
                });
            }
            return;
        }
        if back.is_none() && self.refused.load(Ordering::Relaxed) {
            return;
        }
        let crashes = network.server.crashes();
        let (replies, grants) = network.server.serve(&self.steps, self.from);
        network.push(grants);
        let Some(back) = back else { return };
        let is_refused = |reply: &Reply| matches!(reply, Reply::Busy { .. });
        self.refused.store(replies.iter().all(is_refused), Ordering::Relaxed);
        world.at(world.now() + back, move |_| self.come_back(replies, crashes));
    }

    fn come_back(&self, replies: Vec<Reply>, crashes: u64) {
        let network = &self.network;
        let now = network.world.now();
        if network.cut_until(self.from.pid) > now {
            return;
        }
        if network.server.crashes() != crashes {
            network.world.trouble(self.from.pid, now);
            return self.answer(Err(failure("the server closed the connection", true)));
        }
        self.answer(Ok(replies));
    }

    fn answer(&self, with: Replies) {
        let Some(answer) = self.answer.lock().unwrap_or_else(PoisonError::into_inner).take() else {
            return;
        };
        let (pid, node, number) = (self.from.pid, self.network.server.node, self.number);
        self.network.world.note(|| match (&with, answer.is_closed()) {
            (_, true) => format!("p{pid} does not wait for the answer s{node} #{number} any more"),
            (Ok(_), _) => format!("p{pid} gets the answer s{node} #{number}"),
            (Err(e), _) => format!("p{pid} gets no answer s{node} #{number}: {e}"),
        });
        if let (Ok(replies), false) = (&with, answer.is_closed()) {
            self.network.judge.answered(node, pid, &self.steps, replies);
        }
        let _gave_up = answer.send(with);
    }
}

fn failure(message: &str, may_have_run: bool) -> StoreError {
    StoreError {
        class: StoreErrorClass::Transient,
        message: message.into(),
        may_have_run,
        source: None,
    }
}

/// A simulated server as one process sees it.
#[derive(Debug)]
pub(crate) struct SimStore {
    network: Arc<Network>,
    pid: Pid,
}

impl SimStore {
    pub(crate) fn new(network: Arc<Network>, pid: Pid) -> Arc<Self> {
        Arc::new(Self { network, pid })
    }
}

impl Store for SimStore {
    fn capabilities(&self) -> &Capabilities {
        &Capabilities {
            fifo: true,
            many_units: true,
            groups: true,
            plain_values: false,
            composite: false,
            reach: Reach::Network,
            ttl_max: TTL_MAX,
            slow_grants: false,
        }
    }

    fn name(&self) -> Arc<str> {
        format!("sim:{}", self.network.server.node).into()
    }

    fn check_key(&self, _key: &Key) -> Result<(), String> {
        Ok(())
    }

    fn part_of(&self, _key: &Key) -> u32 {
        0
    }

    fn call(&self, steps: Vec<Request>) -> Answer<'_, Vec<Reply>> {
        Box::pin(async move {
            // Between the engine's reading of the clock and the sending.
            self.network.world.may_stumble(self.pid);
            match self.network.send(self.pid, steps).await {
                Ok(replies) => replies,
                Err(_) => std::future::pending().await,
            }
        })
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a Key>,
        limit: usize,
    ) -> Answer<'a, Vec<(Key, Inspection)>> {
        let mut page = self.network.server.list(prefix, after);
        page.truncate(limit);
        Box::pin(std::future::ready(Ok(page)))
    }

    fn inbox(&self) -> Answer<'_, Option<Inbox>> {
        Box::pin(async move {
            let (opened, answered) = oneshot::channel();
            self.network.open_inbox(self.pid, opened);
            match answered.await {
                Ok(inbox) => inbox,
                Err(_) => std::future::pending().await,
            }
        })
    }

    fn links(&self) -> Option<watch::Receiver<Links>> {
        None
    }

    fn identity(&self) -> Answer<'_, Identity> {
        let server = &self.network.server;
        let unique = format!("sim:{}", server.node).into();
        let forgets = Forgets::GuardedFor(server.guard());
        Box::pin(std::future::ready(Ok(Identity { unique, replica_of: None, forgets })))
    }

    fn data(&self) -> Option<&dyn DataServer> {
        None
    }

    fn examine(&self, _ttl: Duration) -> Examination<'_> {
        Box::pin(std::future::ready(Vec::new()))
    }
}
