//! All that can happen next. A message that is sent lies at its node's door from then on: it may
//! be carried out at any later moment, or never. So delay, loss and a node that is down for a
//! while with its memory need no moves of their own.
//!
//! Time is not counted. A lease at a node may end as soon as its client no longer relies on it:
//! by its own end, or by a withdrawal, which is the same to everybody else.

use std::fmt;

use super::rules::{Ballot, Clocks, Owners, Rejoin, Rules, Scope, TopUp};
use super::state::{Asked, Cell, Memory, NODES, Node, Phase, Round, State, Word};

const MAJORITY: usize = NODES / 2 + 1;

/// An event, with its round and its node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    Begins(usize, u8),
    BeginsAgain(usize, u8),
    AcquireArrives(usize, usize),
    Settles(usize, u8),
    RaiseArrives(usize, usize),
    HandsOut(usize, u8),
    Renews(usize),
    RenewalArrives(usize, usize),
    Renewed(usize),
    TopUpArrives(usize, usize),
    DeadlinePasses(usize),
    Ends(usize),
    LeaseEnds(usize, usize),
    WithdrawalArrives(usize, usize),
    Forgets(usize),
    IsOldEnough(usize),
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let node = |n: &usize| char::from(b'A' + u8::try_from(*n).unwrap_or(0));
        match self {
            Self::Begins(r, p) => write!(f, "r{r} begins, proposes {p}"),
            Self::BeginsAgain(r, p) => write!(f, "r{r} withdraws and tries again, proposes {p}"),
            Self::AcquireArrives(r, n) => write!(f, "the acquire of r{r} arrives at {}", node(n)),
            Self::Settles(r, v) => write!(f, "r{r} has a majority and settles on {v}"),
            Self::RaiseArrives(r, n) => write!(f, "the fence of r{r} is written at {}", node(n)),
            Self::HandsOut(r, v) => write!(f, "r{r} HOLDS with fence {v}"),
            Self::Renews(r) => write!(f, "r{r} sends renewals"),
            Self::RenewalArrives(r, n) => write!(f, "the renewal of r{r} arrives at {}", node(n)),
            Self::Renewed(r) => write!(f, "r{r} is renewed"),
            Self::TopUpArrives(r, n) => write!(f, "the top-up of r{r} arrives at {}", node(n)),
            Self::DeadlinePasses(r) => write!(f, "the oldest deadline of r{r} passes"),
            Self::Ends(r) => write!(f, "r{r} is over"),
            Self::LeaseEnds(r, n) => write!(f, "the lease of r{r} at {} ends", node(n)),
            Self::WithdrawalArrives(r, n) => {
                write!(f, "the late withdrawal of r{r} arrives at {}", node(n))
            }
            Self::Forgets(n) => write!(f, "{} FORGETS all", node(n)),
            Self::IsOldEnough(n) => write!(f, "{} has been known for longer than max_ttl", node(n)),
        }
    }
}

/// The moves of one set of rules in one scope.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moves {
    pub(crate) rules: Rules,
    pub(crate) scope: Scope,
}

type Next<'a> = &'a mut dyn FnMut(Event, State);

impl Moves {
    /// Tells every move that `state` allows, and what comes of it.
    pub(crate) fn all(&self, state: &State, next: Next<'_>) {
        self.births(state, next);
        for r in (0..state.rounds.len()).filter(|r| state.rounds[*r].phase != Phase::Unborn) {
            self.decisions(state, r, next);
            for n in 0..NODES {
                self.arrivals(state, r, n, next);
            }
        }
        for n in 0..NODES {
            self.forgets(state, n, next);
        }
    }

    /// Which promise a move broke.
    pub(crate) fn broken(&self, before: &State, event: Event, after: &State) -> Option<String> {
        let Event::HandsOut(r, fence) = event else { return None };
        let holders: Vec<_> =
            (0..after.rounds.len()).filter(|r| after.rounds[*r].phase == Phase::Holding).collect();
        if holders.len() > 1 {
            return Some(format!("rounds {holders:?} hold at the same time"));
        }
        (self.rules.fences && fence <= before.top)
            .then(|| format!("r{r} holds with fence {fence} after fence {}", before.top))
    }

    fn births(&self, state: &State, next: Next<'_>) {
        let live = |round: &Round| !matches!(round.phase, Phase::Unborn | Phase::Over);
        if state.born == self.scope.rounds {
            return;
        }
        let busy = state.rounds.iter().filter(|r| live(r)).count();
        let unborn = state.rounds.iter().position(|r| r.phase == Phase::Unborn);
        for value in 1..=self.scope.proposals {
            let mut state = *state;
            state.born += 1;
            if let (Some(r), true) = (unborn, busy < self.scope.clients) {
                let mut state = state;
                let asked = Cell { asked: Asked::Flying, ..Cell::default() };
                let cells = [asked; NODES];
                state.rounds[r] = Round { phase: Phase::Asking, value, cells, ..Round::default() };
                next(Event::Begins(r, value), state);
            }
            if self.rules.owners == Owners::PerClient {
                again(&state, value, next);
            }
        }
    }

    fn decisions(&self, state: &State, r: usize, next: Next<'_>) {
        let round = &state.rounds[r];
        match round.phase {
            Phase::Asking => self.settle(state, r, next),
            Phase::Raising => {
                let acked = |c: &&Cell| c.raise == Word::Acked && !c.forgetful;
                if round.cells.iter().filter(acked).count() >= MAJORITY {
                    hand_out(state, r, round.value, next);
                }
            }
            Phase::Holding => self.renew(state, r, next),
            Phase::Unborn | Phase::Over => return,
        }
        let mut state = *state;
        end(&mut state.rounds[r]);
        next(Event::Ends(r), state);
    }

    /// The client has read some of the answers: any of them that make a majority.
    fn settle(&self, state: &State, r: usize, next: Next<'_>) {
        let round = &state.rounds[r];
        let granted = |n: usize| match round.cells[n].asked {
            Asked::Granted(fence) => Some(fence),
            _ => None,
        };
        for read in 0_u8..1 << NODES {
            let is_read = |n: &usize| read >> n & 1 == 1;
            let nodes: Vec<_> = (0..NODES).filter(is_read).collect();
            let fences: Vec<_> = nodes.iter().filter_map(|n| granted(*n)).collect();
            let counted = nodes.iter().filter(|n| !round.cells[**n].forgetful).count();
            if fences.len() < nodes.len() || counted < MAJORITY {
                continue;
            }
            let largest = fences.iter().copied().max().unwrap_or(0);
            let same = fences.iter().filter(|f| **f == largest).count();
            let all_whole = counted == nodes.len();
            if self.rules.ballot != Ballot::WriteBack || same >= MAJORITY && all_whole {
                hand_out(state, r, largest, next);
                continue;
            }
            let mut state = *state;
            let round = &mut state.rounds[r];
            round.phase = Phase::Raising;
            round.value = largest;
            for n in 0..NODES {
                let cell = &mut round.cells[n];
                cell.raise = if nodes.contains(&n) { Word::Flying } else { Word::None };
                if cell.asked != Asked::Flying {
                    cell.asked = Asked::Nothing;
                }
            }
            next(Event::Settles(r, largest), state);
        }
    }

    fn renew(&self, state: &State, r: usize, next: Next<'_>) {
        let round = &state.rounds[r];
        if round.sent == round.confirmed && round.sent < self.scope.renewals {
            let mut state = *state;
            let round = &mut state.rounds[r];
            round.sent += 1;
            round.cells.iter_mut().for_each(|c| c.renew = Word::Flying);
            next(Event::Renews(r), state);
        }
        if round.cells.iter().filter(|c| c.renew == Word::Acked).count() >= MAJORITY {
            let mut state = *state;
            let round = &mut state.rounds[r];
            round.confirmed = round.sent;
            round.cells.iter_mut().for_each(|c| c.renew = Word::None);
            next(Event::Renewed(r), state);
        }
        // The last one that is confirmed makes it `Ends`.
        if round.passed < round.confirmed {
            let mut state = *state;
            state.rounds[r].passed += 1;
            next(Event::DeadlinePasses(r), state);
        }
    }

    fn arrivals(&self, state: &State, r: usize, n: usize, next: Next<'_>) {
        let (round, cell) = (&state.rounds[r], &state.rounds[r].cells[n]);
        if cell.asked == Asked::Flying && self.may_come(state, r, n) {
            next(Event::AcquireArrives(r, n), self.acquire(*state, r, n));
        }
        if cell.raise == Word::Flying {
            next(Event::RaiseArrives(r, n), raise(*state, r, n));
        }
        if cell.renew == Word::Flying {
            next(Event::RenewalArrives(r, n), renewal(*state, r, n));
        }
        if cell.topping > 0 {
            next(Event::TopUpArrives(r, n), self.top_up(*state, r, n));
        }
        if cell.lease > 0 && (round.phase == Phase::Over || cell.lease <= round.passed) {
            let mut state = *state;
            state.rounds[r].cells[n].lease = 0;
            tidy(&mut state.rounds[r]);
            next(Event::LeaseEnds(r, n), state);
        }
        if cell.undo {
            let mut state = *state;
            let cell = &mut state.rounds[r].cells[n];
            (cell.undo, cell.lease) = (false, 0);
            next(Event::WithdrawalArrives(r, n), state);
        }
    }

    /// With clocks that agree, what a node grants so long after it forgot proposes more than
    /// any clock showed before.
    fn may_come(&self, state: &State, r: usize, n: usize) -> bool {
        let round = &state.rounds[r];
        self.rules.clocks == Clocks::Any
            || round.phase == Phase::Over
            || state.nodes[n].memory == Memory::Young
            || state.nodes[n].mark == 0
            || round.value > state.nodes[n].mark
    }

    fn acquire(&self, mut state: State, r: usize, n: usize) -> State {
        let taken = is_taken(&state, r, n);
        let round = &mut state.rounds[r];
        let cell = &mut round.cells[n];
        let node = &mut state.nodes[n];
        cell.asked = Asked::Nothing;
        if !taken && node.memory != Memory::Young {
            if cell.lease == 0 {
                let least = if self.rules.ballot == Ballot::PlainMaximum { 0 } else { round.value };
                node.stored = (node.stored + 1).max(least);
            }
            cell.lease = cell.lease.max(1);
            if round.phase == Phase::Asking {
                cell.asked = Asked::Granted(node.stored);
                cell.forgetful = node.memory == Memory::Forgetful;
            }
        }
        tidy(round);
        state
    }

    fn top_up(&self, mut state: State, r: usize, n: usize) -> State {
        let taken = is_taken(&state, r, n);
        let round = &mut state.rounds[r];
        let cell = &mut round.cells[n];
        let renewal = std::mem::take(&mut cell.topping);
        let node = &mut state.nodes[n];
        let refused = node.memory == Memory::Young && self.rules.top_up != TopUp::OfTheYoung;
        if !taken && !refused {
            cell.lease = cell.lease.max(renewal);
            node.stored = node.stored.max(round.value);
            if node.memory == Memory::Forgetful && self.rules.rejoin == Rejoin::KnownAndTopUp {
                node.memory = Memory::Whole;
            }
            if self.rules.top_up == TopUp::AtOnce && round.sent + 1 == renewal {
                cell.renew = Word::Acked;
            }
        }
        tidy(round);
        state
    }

    fn forgets(&self, state: &State, n: usize, next: Next<'_>) {
        let waits = |r: &Round| r.cells[n].quarantine > r.passed;
        if state.nodes[n].memory == Memory::Young && !state.rounds.iter().any(waits) {
            let mut state = *state;
            let enough = matches!(self.rules.rejoin, Rejoin::AtOnce | Rejoin::Known);
            state.nodes[n].memory = if enough { Memory::Whole } else { Memory::Forgetful };
            state.rounds.iter_mut().for_each(|r| r.cells[n].quarantine = 0);
            next(Event::IsOldEnough(n), state);
        }
        if state.crashes == self.scope.crashes || state.top == 0 {
            return;
        }
        let mut state = *state;
        state.crashes += 1;
        let mark = state.nodes.iter().map(|n| n.stored.max(n.mark)).max().unwrap_or(0);
        let memory = match self.rules.rejoin {
            Rejoin::AtOnce => Memory::Whole,
            _ => Memory::Young,
        };
        let mark = if self.rules.clocks == Clocks::Agree { mark } else { 0 };
        state.nodes[n] = Node { stored: 0, memory, mark };
        for round in &mut state.rounds {
            let live = matches!(round.phase, Phase::Asking | Phase::Raising | Phase::Holding);
            let cell = &mut round.cells[n];
            cell.lease = 0;
            cell.quarantine = if live && memory == Memory::Young { round.sent + 1 } else { 0 };
            tidy(round);
        }
        next(Event::Forgets(n), state);
    }
}

/// A client whose round has failed tries again under the same name, while its withdrawals are
/// under way.
fn again(state: &State, value: u8, next: Next<'_>) {
    for r in 0..state.rounds.len() {
        if state.rounds[r].phase == Phase::Asking {
            let mut state = *state;
            state.rounds[r].value = value;
            for cell in &mut state.rounds[r].cells {
                (cell.undo, cell.asked) = (true, Asked::Flying);
            }
            next(Event::BeginsAgain(r, value), state);
        }
    }
}

fn hand_out(state: &State, r: usize, fence: u8, next: Next<'_>) {
    let mut state = *state;
    let round = &mut state.rounds[r];
    round.phase = Phase::Holding;
    round.value = fence;
    for cell in &mut round.cells {
        cell.forgetful = cell.forgetful && cell.raise == Word::Flying;
        if cell.asked != Asked::Flying {
            cell.asked = Asked::Nothing;
        }
        if cell.raise == Word::Acked {
            cell.raise = Word::None;
        }
    }
    state.top = state.top.max(fence);
    next(Event::HandsOut(r, fence), state);
}

/// Writes the fence, but only where the round still holds.
fn raise(mut state: State, r: usize, n: usize) -> State {
    let round = &mut state.rounds[r];
    let cell = &mut round.cells[n];
    let node = &mut state.nodes[n];
    cell.raise = Word::None;
    if cell.lease > 0 {
        node.stored = node.stored.max(round.value);
        if node.memory == Memory::Forgetful && cell.forgetful {
            node.memory = Memory::Whole;
        }
        if round.phase == Phase::Raising {
            cell.raise = Word::Acked;
        }
    }
    tidy(round);
    state
}

/// Extends a lease that is there. Where it is missing, the client learns so and sends a top-up.
fn renewal(mut state: State, r: usize, n: usize) -> State {
    let round = &mut state.rounds[r];
    let (sent, cell) = (round.sent, &mut round.cells[n]);
    if cell.lease > 0 {
        cell.lease = sent + 1;
        cell.renew = Word::Acked;
    } else {
        cell.renew = Word::None;
        cell.topping = sent + 1;
    }
    state
}

fn is_taken(state: &State, r: usize, n: usize) -> bool {
    (0..state.rounds.len()).any(|other| other != r && state.rounds[other].cells[n].lease > 0)
}

/// From here on nobody relies on it. Its messages may still arrive.
fn end(round: &mut Round) {
    round.phase = Phase::Over;
    (round.sent, round.confirmed, round.passed) = (0, 0, 0);
    for cell in &mut round.cells {
        if cell.asked != Asked::Flying {
            cell.asked = Asked::Nothing;
        }
        if cell.raise != Word::Flying {
            cell.raise = Word::None;
            cell.forgetful = false;
        }
        // A renewal creates nothing, and the lease may end at any time now.
        (cell.renew, cell.quarantine, cell.undo) = (Word::None, 0, false);
        (cell.lease, cell.topping) = (cell.lease.min(1), cell.topping.min(1));
    }
    tidy(round);
}

/// Forgets what makes no difference any more, so that fewer states are told apart.
fn tidy(round: &mut Round) {
    if round.phase != Phase::Over {
        return;
    }
    for cell in &mut round.cells {
        // Without a lease, and with no way to get one, there is nothing to write to.
        if cell.lease == 0 && cell.asked != Asked::Flying && cell.topping == 0 {
            (cell.raise, cell.forgetful) = (Word::None, false);
        }
    }
    if round.cells.iter().all(|c| *c == Cell::default()) {
        round.value = 0;
    }
}
