//! The state of the proxy, under one lock: its faults, its counts, its links and the frames that
//! are under way on each. It decides what happens to every frame; it reads and writes no byte.

use std::collections::{BTreeMap, VecDeque};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use super::fault::{Call, Fate};
use super::link::{Awaited, Kind, Link, Parcel};
use super::plan::{Copied, Plan};
use super::wire::{Answers, is_push};
use super::{Direction, Flow, Pushes};
use crate::reply::Reply;

use Direction::{ToClient, ToServer};

/// How many calls are remembered word for word.
const REMEMBERED: usize = 10_000;

/// The next step of a link's thread.
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

/// The answer to a link's thread that asks for its next step.
pub(super) enum Next {
    Step(Step),
    /// There is something for others to see; ask again.
    News,
    /// Until something changes, or until a moment.
    Wait(Option<Instant>),
    Gone,
}

/// Pairs are indexed by the direction.
#[derive(Debug, Default)]
pub(super) struct State {
    flow: [Flow; 2],
    pub(super) delay: [Duration; 2],
    /// How many bytes may pass before the link is cut on which they pass.
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

// Links come and go.
impl State {
    /// Takes a new link, unless the proxy is closed, or has begun to refuse links while this one
    /// was being made.
    pub(super) fn open(&mut self, number: u64, client: TcpStream, server: TcpStream) -> bool {
        let is_taken = !self.closed && !self.refusing;
        if is_taken {
            self.links.insert(number, Link::new(client, server));
        }
        is_taken
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
        let held = waiting.front().is_some_and(|parcel| parcel.is_held(&self.plans));
        if held {
            waiting.truncate(1);
            // It may have gone already.
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

// Frames go on.
impl State {
    pub(super) fn next(&mut self, number: u64, way: Direction) -> Next {
        let flow = self.flow[way as usize];
        let Some(link) = self.links.get_mut(&number) else { return Next::Gone };
        let lost = link.lost[way as usize];
        let Some(head) = link.on_the_way[way as usize].front() else { return Next::Wait(None) };
        if !lost && (flow == Flow::Stalled || head.due > Instant::now()) {
            return Next::Wait((flow != Flow::Stalled).then_some(head.due));
        }
        if !lost && head.is_held(&self.plans) {
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
        let step = self.spend(way, step);
        if let Step::WriteAndCut(_) = step
            && let Some(link) = self.links.get_mut(&number)
        {
            // From here on: a server may answer before the link is cut.
            link.lost = [true; 2];
        }
        Next::Step(step)
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

fn refusal(text: &str) -> Vec<u8> {
    format!("-{text}\r\n").into_bytes()
}
