//! What the proxy knows, under one lock: its faults, its counts, its links and what is on its way
//! on each. It decides what becomes of every frame; it reads and writes no byte.

use std::collections::{BTreeMap, VecDeque};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::fault::{Call, Fate, Which};
use super::wire::{Answers, is_push};
use super::{Direction, Flow, Pushes};
use crate::condition::LIMIT;
use crate::reply::Reply;

use Direction::{ToClient, ToServer};

/// How many calls are remembered word for word.
const REMEMBERED: usize = 10_000;

/// The state and its threads' meeting point.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) upstream: SocketAddr,
    pub(super) understands: bool,
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    pub(super) fn new(upstream: SocketAddr, understands: bool) -> Self {
        Self { upstream, understands, state: Mutex::default(), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the state or changes it; all threads look again.
    pub(super) fn change<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        let answer = act(&mut self.lock());
        self.changed.notify_all();
        answer
    }

    /// Waits until `look` finds something.
    #[track_caller]
    pub(super) fn wait<T>(&self, what: &str, look: impl Fn(&State) -> Option<T>) -> T {
        let end = Instant::now() + LIMIT;
        let mut state = self.lock();
        loop {
            if let Some(found) = look(&state) {
                return found;
            }
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "waited {LIMIT:?} in vain until {what}: {:#?}", state.plans);
            let woken = self.changed.wait_timeout(state, left);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// What to do next for one direction of a link; none if the link is gone. Waits until there is
    /// something to do.
    pub(super) fn next(&self, link: u64, way: Direction) -> Option<Step> {
        let mut state = self.lock();
        loop {
            state = match state.next(link, way) {
                Next::Step(step) => {
                    self.changed.notify_all();
                    return Some(step);
                }
                Next::Gone => return None,
                Next::News => {
                    self.changed.notify_all();
                    state
                }
                Next::Wait(Some(until)) => {
                    let left = until.saturating_duration_since(Instant::now());
                    let woken = self.changed.wait_timeout(state, left);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
                Next::Wait(None) => {
                    self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
                }
            };
        }
    }
}

/// What a link's thread is to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    Write(Vec<u8>),
    WriteAndCut(Vec<u8>),
    /// Tell the receiver that nothing more comes.
    End,
    /// Nothing more comes, and the receiver does not hear of it.
    EndUntold,
    /// It was lost.
    Nothing,
}

enum Next {
    Step(Step),
    /// There is something for others to see; ask again.
    News,
    /// Until something changes, or until a moment.
    Wait(Option<Instant>),
    Gone,
}

/// A fault and what became of it.
#[derive(Debug)]
pub(super) struct Plan {
    which: Which,
    pub(super) fate: Fate,
    /// How many calls have matched.
    matched: u64,
    pub(super) strikes: u64,
    pub(super) call: Option<Call>,
    pub(super) reply: Option<Reply>,
    pub(super) copy: Option<Copied>,
    pub(super) delivered: bool,
    pub(super) lifted: bool,
}

/// A call as it travelled, and what its link had said about itself before.
#[derive(Debug, Clone)]
pub(super) struct Copied {
    pub(super) greeting: Vec<Vec<u8>>,
    pub(super) call: Vec<u8>,
}

impl Plan {
    pub(super) fn new(which: Which, fate: Fate) -> Self {
        Self {
            which,
            fate,
            matched: 0,
            strikes: 0,
            call: None,
            reply: None,
            copy: None,
            delivered: false,
            lifted: false,
        }
    }

    fn means(&mut self, call: &Call) -> bool {
        if self.lifted || !(self.which.matches)(call) {
            return false;
        }
        self.matched += 1;
        self.which.nth.is_none_or(|nth| nth == self.matched)
    }
}

#[derive(Debug, Default)]
pub(super) struct State {
    flow: [Flow; 2],
    pub(super) delay: [Duration; 2],
    pub(super) budget: [Option<usize>; 2],
    pushes: Pushes,
    pub(super) refusing: bool,
    pub(super) closed: bool,
    pub(super) plans: Vec<Plan>,
    pub(super) counts: BTreeMap<String, u64>,
    pub(super) calls: VecDeque<Call>,
    pub(super) pushes_seen: u64,
    pub(super) links_seen: u64,
    pub(super) links: BTreeMap<u64, Link>,
}

/// One link: the client's connection and the one to the server.
#[derive(Debug)]
pub(super) struct Link {
    client: TcpStream,
    server: TcpStream,
    on_the_way: [VecDeque<Parcel>; 2],
    /// A fault has lost something in this direction.
    lost: [bool; 2],
    ended: [bool; 2],
    /// Calls that were sent to the server and are not answered yet.
    awaited: VecDeque<Awaited>,
    greeting: Vec<Vec<u8>>,
    resp3: bool,
    subscribed: bool,
    held_pushes: Vec<Vec<u8>>,
}

/// Bytes on their way, and what they are.
#[derive(Debug)]
struct Parcel {
    bytes: Vec<u8>,
    due: Instant,
    kind: Kind,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    /// Not understood, or in need of no understanding.
    Bytes,
    Call {
        plan: Option<usize>,
        answers: Answers,
    },
    Reply {
        plan: Option<usize>,
    },
    End,
}

#[derive(Debug)]
enum Awaited {
    Frames {
        plan: Option<usize>,
        answers: Answers,
    },
    /// The proxy answers this itself when its turn comes.
    Refusal(&'static str),
}

impl Link {
    fn new(client: TcpStream, server: TcpStream) -> Self {
        Self {
            client,
            server,
            on_the_way: Default::default(),
            lost: [false; 2],
            ended: [false; 2],
            awaited: VecDeque::new(),
            greeting: Vec::new(),
            resp3: false,
            subscribed: false,
            held_pushes: Vec::new(),
        }
    }

    /// Where the bytes of a direction go.
    pub(super) fn sink(&self, way: Direction) -> &TcpStream {
        match way {
            ToServer => &self.server,
            ToClient => &self.client,
        }
    }

    fn cut(&self) {
        // Ended by the other side before is as good.
        let _ = self.client.shutdown(Shutdown::Both);
        let _ = self.server.shutdown(Shutdown::Both);
    }
}

// Links come and go.
impl State {
    /// Takes a new link, unless the proxy is closed.
    pub(super) fn open(&mut self, number: u64, client: TcpStream, server: TcpStream) -> bool {
        if !self.closed {
            self.links.insert(number, Link::new(client, server));
        }
        !self.closed
    }

    pub(super) fn cut(&mut self, link: u64) {
        if let Some(link) = self.links.remove(&link) {
            link.cut();
        }
    }

    pub(super) fn cut_all(&mut self) {
        let numbers: Vec<_> = self.links.keys().copied().collect();
        for number in numbers {
            if !self.keep_held(number) {
                self.cut(number);
            }
        }
    }

    /// Cuts the client's side alone if a call is held that is to be delivered later.
    fn keep_held(&mut self, number: u64) -> bool {
        let Some(link) = self.links.get_mut(&number) else { return false };
        let waiting = &mut link.on_the_way[ToServer as usize];
        let held = waiting.front().is_some_and(|parcel| is_held(&self.plans, parcel));
        if held {
            waiting.truncate(1);
            let _ = link.client.shutdown(Shutdown::Both);
        }
        held
    }

    pub(super) fn close(&mut self) {
        self.closed = true;
        for link in std::mem::take(&mut self.links).into_values() {
            link.cut();
        }
    }
}

fn is_held(plans: &[Plan], parcel: &Parcel) -> bool {
    let Kind::Call { plan: Some(plan), .. } = parcel.kind else { return false };
    plans[plan].fate == Fate::Hold && !plans[plan].delivered
}

// Frames arrive.
impl State {
    fn put(&mut self, number: u64, way: Direction, kind: Kind, bytes: Vec<u8>) {
        let due = Instant::now() + self.delay[way as usize];
        if let Some(link) = self.links.get_mut(&number) {
            link.on_the_way[way as usize].push_back(Parcel { bytes, due, kind });
            // Now, not when it would go on: a test that has seen it arrive may go on before that.
            link.lost[way as usize] |= self.flow[way as usize] == Flow::Lost;
        }
    }

    pub(super) fn set_flow(&mut self, way: Direction, flow: Flow) {
        self.flow[way as usize] = flow;
        for link in self.links.values_mut() {
            let waits = !link.on_the_way[way as usize].is_empty();
            link.lost[way as usize] |= waits && flow == Flow::Lost;
        }
    }

    pub(super) fn bytes_arrived(&mut self, link: u64, way: Direction, bytes: Vec<u8>) {
        self.put(link, way, Kind::Bytes, bytes);
    }

    pub(super) fn end_arrived(&mut self, link: u64, way: Direction) {
        self.put(link, way, Kind::End, Vec::new());
    }

    pub(super) fn call_arrived(&mut self, number: u64, words: Vec<String>, bytes: Vec<u8>) {
        let answers = Answers::to(&words);
        let total: u64 = self.counts.values().sum();
        let call = Call { number: total + 1, link: number, words };
        *self.counts.entry(call.name()).or_default() += 1;
        // Every fault counts every call, whichever strikes.
        let mut struck = None;
        for (index, plan) in self.plans.iter_mut().enumerate() {
            if plan.means(&call) && struck.is_none() {
                struck = Some(index);
                plan.call = Some(call.clone());
            }
        }
        let Some(link) = self.links.get_mut(&number) else { return };
        if let Some(plan) = struck.map(|index| &mut self.plans[index])
            && plan.fate == Fate::Copy
        {
            plan.copy = Some(Copied { greeting: link.greeting.clone(), call: bytes.clone() });
        }
        if call.is_greeting() {
            link.greeting.push(bytes.clone());
            link.resp3 |= call.name() == "HELLO" && call.words.get(1).is_some_and(|v| v == "3");
        }
        link.subscribed |= answers != Answers::One;
        if self.calls.len() == REMEMBERED {
            self.calls.pop_front();
        }
        self.calls.push_back(call);
        self.put(number, ToServer, Kind::Call { plan: struck, answers }, bytes);
    }

    pub(super) fn reply_arrived(&mut self, number: u64, reply: &Reply, bytes: Vec<u8>) {
        let Some(link) = self.links.get_mut(&number) else { return };
        let awaited = match link.awaited.front() {
            Some(Awaited::Frames { plan, answers }) => Some((*plan, *answers)),
            _ => None,
        };
        let lists_answer = link.resp3 || !link.subscribed;
        if is_push(reply, awaited.map(|(_, answers)| answers), lists_answer) {
            self.pushes_seen += 1;
            match self.pushes {
                Pushes::Pass => self.put(number, ToClient, Kind::Bytes, bytes),
                Pushes::Hold => link.held_pushes.push(bytes),
                Pushes::Drop => {}
            }
            return;
        }
        // Without a call it is a word of the server's own, such as that it is full.
        let mut plan = None;
        if let Some((its_plan, answers)) = awaited {
            plan = its_plan;
            link.awaited.pop_front();
            if let Some(answers) = answers.after(reply) {
                link.awaited.push_front(Awaited::Frames { plan, answers });
            }
        }
        if let Some(plan) = plan {
            self.plans[plan].reply = Some(reply.clone());
        }
        self.put(number, ToClient, Kind::Reply { plan }, bytes);
        self.answer_refused(number);
    }

    /// Answers the calls that the proxy refuses and whose turn has come.
    fn answer_refused(&mut self, number: u64) {
        while let Some(link) = self.links.get_mut(&number)
            && let Some(Awaited::Refusal(text)) = link.awaited.front()
        {
            let bytes = refusal(text);
            link.awaited.pop_front();
            self.put(number, ToClient, Kind::Bytes, bytes);
        }
    }

    pub(super) fn set_pushes(&mut self, pushes: Pushes) {
        self.pushes = pushes;
        if pushes != Pushes::Pass {
            return;
        }
        let numbers: Vec<_> = self.links.keys().copied().collect();
        for number in numbers {
            let held =
                self.links.get_mut(&number).map(|link| std::mem::take(&mut link.held_pushes));
            for bytes in held.into_iter().flatten() {
                self.put(number, ToClient, Kind::Bytes, bytes);
            }
        }
    }
}

fn refusal(text: &str) -> Vec<u8> {
    format!("-{text}\r\n").into_bytes()
}

// Frames go on.
impl State {
    fn next(&mut self, number: u64, way: Direction) -> Next {
        let flow = self.flow[way as usize];
        let Some(link) = self.links.get_mut(&number) else { return Next::Gone };
        let lost = link.lost[way as usize];
        let Some(head) = link.on_the_way[way as usize].front() else { return Next::Wait(None) };
        if !lost && (flow == Flow::Stalled || head.due > Instant::now()) {
            return Next::Wait((flow != Flow::Stalled).then_some(head.due));
        }
        if !lost && is_held(&self.plans, head) {
            return match head.kind {
                Kind::Call { plan: Some(plan), .. } if self.plans[plan].strikes == 0 => {
                    self.plans[plan].strikes = 1;
                    Next::News
                }
                _ => Next::Wait(None),
            };
        }
        let parcel = link.on_the_way[way as usize].pop_front().expect("it was looked at");
        if lost {
            let ends = matches!(parcel.kind, Kind::End);
            return Next::Step(if ends { Step::EndUntold } else { Step::Nothing });
        }
        let step = self.step(number, parcel);
        Next::Step(self.spend(way, step))
    }

    fn step(&mut self, number: u64, parcel: Parcel) -> Step {
        let Parcel { bytes, kind, .. } = parcel;
        match kind {
            Kind::Bytes => Step::Write(bytes),
            Kind::Call { plan, answers } => self.step_of_call(number, plan, answers, bytes),
            Kind::Reply { plan: None } => Step::Write(bytes),
            Kind::Reply { plan: Some(plan) } => self.step_of_reply(number, plan, bytes),
            Kind::End => Step::End,
        }
    }

    fn step_of_call(
        &mut self,
        number: u64,
        plan: Option<usize>,
        answers: Answers,
        mut bytes: Vec<u8>,
    ) -> Step {
        let link = self.links.get_mut(&number).expect("its parcel was taken from it");
        let fate = plan.map(|plan| &mut self.plans[plan]).map(|plan| {
            // The others strike when the reply comes, or have struck.
            if matches!(
                plan.fate,
                Fate::LoseRequest | Fate::CutBefore | Fate::CutRequest(_) | Fate::Refuse(_)
            ) {
                plan.strikes += 1;
            }
            plan.fate.clone()
        });
        match fate {
            Some(Fate::LoseRequest) => {
                link.lost[ToServer as usize] = true;
                Step::Nothing
            }
            Some(Fate::CutBefore) => Step::WriteAndCut(Vec::new()),
            Some(Fate::CutRequest(length)) => {
                bytes.truncate(length);
                Step::WriteAndCut(bytes)
            }
            Some(Fate::Refuse(text)) => {
                link.awaited.push_back(Awaited::Refusal(text));
                self.answer_refused(number);
                Step::Nothing
            }
            _ => {
                link.awaited.push_back(Awaited::Frames { plan, answers });
                Step::Write(bytes)
            }
        }
    }

    fn step_of_reply(&mut self, number: u64, plan: usize, mut bytes: Vec<u8>) -> Step {
        let link = self.links.get_mut(&number).expect("its parcel was taken from it");
        let plan = &mut self.plans[plan];
        if plan.fate != Fate::Hold {
            plan.strikes += 1;
        }
        match plan.fate {
            Fate::EatReply => {
                link.lost[ToClient as usize] = true;
                Step::Nothing
            }
            Fate::CutAfter => Step::WriteAndCut(Vec::new()),
            Fate::CutReply(length) => {
                bytes.truncate(length);
                Step::WriteAndCut(bytes)
            }
            Fate::Replace(text) => Step::Write(refusal(text)),
            _ => Step::Write(bytes),
        }
    }

    /// Takes what is written from the bytes that may still pass.
    fn spend(&mut self, way: Direction, step: Step) -> Step {
        let budget = &mut self.budget[way as usize];
        match (step, *budget) {
            (Step::Write(mut bytes), Some(left)) if bytes.len() >= left.max(1) => {
                *budget = None;
                bytes.truncate(left);
                Step::WriteAndCut(bytes)
            }
            (Step::Write(bytes), Some(left)) => {
                *budget = Some(left - bytes.len());
                Step::Write(bytes)
            }
            (step, _) => step,
        }
    }

    /// A direction has come to its end; the link goes with the second one.
    pub(super) fn ended(&mut self, number: u64, way: Direction) {
        let Some(link) = self.links.get_mut(&number) else { return };
        link.ended[way as usize] = true;
        if link.ended == [true; 2] {
            self.links.remove(&number);
        }
    }
}
