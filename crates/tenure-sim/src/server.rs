//! A simulated server: the machine of each key in memory, on a clock of its own. It can be
//! stopped, and can crash with and without its memory. Everything it does is told to the judge.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tenure::protocol::{
    Blocker, Grant, Group, Guarded, Inspection, KeyState, Op, Part, Reply, Request, State,
    StepContext,
};
use tenure::{Key, Label, StoreTime};

use crate::clock::Clock;
use crate::defect::Defect;
use crate::judge::{Change, Judge};
use crate::summary;
use crate::world::{Pid, World};

/// One server of a run.
pub(crate) struct Server {
    world: Arc<World>,
    judge: Arc<Judge>,
    /// Which of a quorum's nodes it is.
    pub(crate) node: usize,
    settings: ServerSettings,
    state: Mutex<ServerState>,
}

/// The settings of a server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ServerSettings {
    pub(crate) clock: Clock,
    pub(crate) retention: Duration,
    /// Once it has lost its memory, it grants nothing new for so long.
    pub(crate) guard: Duration,
    /// The same after any restart: it does not know what it has lost.
    pub(crate) guards_memory: bool,
    pub(crate) defect: Option<Defect>,
}

/// The memory of a server, which a crash may take away.
#[derive(Default)]
struct ServerState {
    keys: BTreeMap<Key, KeyState>,
    /// No fence is minted at or below it: the largest fence that was ever forgotten.
    floor: u64,
    down_until: u64,
    /// It grants nothing new until then.
    young_until: StoreTime,
    stalled_until: u64,
    /// So many crashes; a reply from before the last one never arrives.
    crashes: u64,
}

/// The sender of a request, and the time of sending.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sender {
    pub(crate) pid: Pid,
    pub(crate) sent: u64,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("node", &self.node).finish_non_exhaustive()
    }
}

impl Server {
    pub(crate) fn guard(&self) -> Duration {
        self.settings.guard
    }

    pub(crate) fn new(
        world: Arc<World>,
        judge: Arc<Judge>,
        node: usize,
        settings: ServerSettings,
    ) -> Arc<Self> {
        Arc::new(Self { world, judge, node, settings, state: Mutex::default() })
    }

    /// Carries the steps out, as any store would.
    pub(crate) fn serve(&self, steps: &[Request], from: Sender) -> (Vec<Reply>, Vec<(Key, Grant)>) {
        let mut state = self.state();
        let mut replies = Vec::with_capacity(steps.len());
        let mut pushes = Vec::new();
        for step in steps {
            if let Op::AcquireAll(group) = &step.op {
                replies.push(self.acquire_all(&mut state, group, from, &mut pushes));
                continue;
            }
            let (reply, grants) = self.apply(&mut state, step, Some(from));
            pushes.extend(grants.into_iter().map(|grant| (step.key.clone(), grant)));
            replies.push(reply);
        }
        (replies, pushes)
    }

    /// Several keys in one step. The judge is told of each key that is taken, as of an acquire.
    fn acquire_all(
        &self,
        state: &mut ServerState,
        group: &Group,
        from: Sender,
        pushes: &mut Vec<(Key, Grant)>,
    ) -> Reply {
        let Ok(reply) = group.carry_out(|key, part| {
            let op = Op::Acquire(part.acquire().clone());
            if let Part::Look(_) = part {
                // The changes of time alone show in the step that comes next.
                let mut copy = state.keys.get(key).cloned().unwrap_or_default();
                let at = self.context(state);
                return Ok::<_, Infallible>(
                    match self.refusal_while_young(state, &copy, &op, at.now) {
                        Some(refusal) => Err(refusal),
                        None => copy.apply_part(part, at).0,
                    },
                );
            }
            let (reply, grants) = self.apply(state, &Request { key: key.clone(), op }, Some(from));
            pushes.extend(grants.into_iter().map(|grant| (key.clone(), grant)));
            Ok(match reply {
                Reply::Granted { fence } => Ok(fence),
                other => Err(other),
            })
        });
        reply
    }

    /// An operator takes the key away from whom the last look has shown as its holder.
    pub(crate) fn force(&self, key: &Key) -> Vec<(Key, Grant)> {
        let mut state = self.state();
        let Some(up_to) = state.keys.get(key).map(KeyState::fence) else { return vec![] };
        let step = Request { key: key.clone(), op: Op::Force { up_to } };
        let (_, grants) = self.apply(&mut state, &step, None);
        grants.into_iter().map(|grant| (key.clone(), grant)).collect()
    }

    pub(crate) fn list(&self, prefix: &str, after: Option<&Key>) -> Vec<(Key, Inspection)> {
        let now = self.now();
        let state = self.state();
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        state
            .keys
            .range((from, Bound::Unbounded))
            .filter(|(key, _)| key.as_str().starts_with(prefix))
            .map(|(key, resource)| (key.clone(), resource.inspect(now)))
            .filter(|(_, seen)| seen.state != State::Free || !seen.waiters.is_empty())
            .collect()
    }

    /// Answers nothing until the true time `until`; what arrives meanwhile is carried out then.
    pub(crate) fn stall(&self, until: u64) {
        self.state().stalled_until = until;
    }

    /// Goes down until the true time `until`, and comes back with or without its memory.
    pub(crate) fn crash(&self, until: u64, forget: bool) {
        let mut state = self.state();
        state.down_until = until;
        state.crashes += 1;
        let ServerSettings { clock, guard, guards_memory, defect, .. } = self.settings;
        let is_guarded = !guard.is_zero() && (forget || guards_memory);
        if is_guarded && defect != Some(Defect::CountsAtOnce) {
            state.young_until = StoreTime::from_micros(clock.read(until)) + guard;
        }
        if forget {
            state.keys.clear();
            state.floor = 0;
            self.judge.forgotten(self.node);
        }
    }

    /// Loses its memory, and nothing else: whatever is under way arrives, and its answers too.
    pub(crate) fn flush(&self) {
        let mut state = self.state();
        let ServerSettings { guard, defect, .. } = self.settings;
        let is_guarded = !guard.is_zero();
        if is_guarded && !matches!(defect, Some(Defect::CountsAtOnce | Defect::TrustsUptime)) {
            state.young_until = state.young_until.max(self.now() + guard);
        }
        state.keys.clear();
        state.floor = 0;
        self.judge.forgotten(self.node);
    }

    pub(crate) fn is_down(&self) -> bool {
        self.state().down_until > self.world.now()
    }

    pub(crate) fn stalled_until(&self) -> u64 {
        self.state().stalled_until
    }

    pub(crate) fn crashes(&self) -> u64 {
        self.state().crashes
    }

    /// Keys that are still remembered once every promise about them has run out.
    pub(crate) fn keys_kept_for_ever(&self) -> usize {
        let far = self.now() + self.settings.retention + Duration::from_secs(3_600);
        self.state().keys.values().filter(|r| !r.is_forgettable(far)).count()
    }

    fn apply(
        &self,
        state: &mut ServerState,
        step: &Request,
        from: Option<Sender>,
    ) -> (Reply, Vec<Grant>) {
        let ServerSettings { clock, defect, .. } = self.settings;
        let at = self.context(state);
        let before = state.keys.remove(&step.key).unwrap_or_default();
        let refusal = self.refusal_while_young(state, &before, &step.op, at.now);
        let (after, (reply, grants)) = match (refusal, defect) {
            (Some(refusal), _) => (before, (refusal, vec![])),
            (None, None) => {
                let mut after = before.clone();
                let answer = after.apply(&step.op, at);
                (after, answer)
            }
            (None, Some(defect)) => defect.apply(&before, &step.op, at),
        };
        self.world.note(|| {
            let who = from.map_or("operator".into(), |f| format!("p{}", f.pid));
            let (op, reply) = (summary::op(&step.op), summary::reply(&reply));
            format!("s{} {} from {who}: {op} -> {reply}", self.node, step.key)
        });
        self.judge.changed(&Change {
            node: self.node,
            key: &step.key,
            op: &step.op,
            from,
            after: &after,
            clock,
        });
        if after.is_forgettable(at.now) {
            state.floor = state.floor.max(after.fence().get());
        } else {
            state.keys.insert(step.key.clone(), after);
        }
        (reply, grants)
    }

    fn context(&self, state: &ServerState) -> StepContext {
        let ServerSettings { clock, retention, .. } = self.settings;
        let wall = clock.wall(self.world.now());
        let fence_seed = wall.max(state.floor + 1);
        StepContext { now: self.now(), fence_seed, wall, retention }
    }

    /// The answer of a server that may have forgotten leases to an operation that would grant anew.
    fn refusal_while_young(
        &self,
        state: &ServerState,
        before: &KeyState,
        op: &Op,
        now: StoreTime,
    ) -> Option<Reply> {
        if now >= state.young_until || !grants_anew(before, op, now) {
            return None;
        }
        let left = state.young_until.since(now);
        let known_for = self.settings.guard.saturating_sub(left);
        let blocker = Blocker {
            label: Label::new(""),
            held_for: known_for,
            report: None,
            guarded: Some(Guarded { known_for, left }),
        };
        Some(Reply::Busy { look_in: left, blocker: Some(blocker) })
    }

    fn now(&self) -> StoreTime {
        StoreTime::from_micros(self.settings.clock.read(self.world.now()))
    }

    fn state(&self) -> MutexGuard<'_, ServerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether an operation would give a lease to an owner who has none.
fn grants_anew(resource: &KeyState, op: &Op, now: StoreTime) -> bool {
    let (Op::Acquire(acquire) | Op::Steal(acquire)) = op else { return false };
    !resource.holders().iter().any(|h| h.owner == acquire.owner && h.expires > now)
}
