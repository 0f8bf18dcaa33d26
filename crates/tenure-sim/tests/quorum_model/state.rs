//! One state of three nodes and all rounds, and its canonical form: nodes are alike, and so are
//! clients, so states that differ in names alone are one.

pub(crate) const NODES: usize = 3;
/// The most rounds that a scope may have.
pub(crate) const ROUNDS: usize = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Phase {
    #[default]
    Unborn,
    /// Its acquires are under way.
    Asking,
    /// Its fence is being written to those who granted.
    Raising,
    /// Its guard is in the client's hand, and valid.
    Holding,
    /// Withdrawn, released, lost, past its deadline, or its client is dead.
    Over,
}

/// A request to one node that is answered by yes or by silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Word {
    #[default]
    None,
    Flying,
    Acked,
}

/// The acquire of one round at one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Asked {
    /// Never sent, refused, or of no interest any more.
    #[default]
    Nothing,
    Flying,
    Granted(u8),
}

/// The state between one round and one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Cell {
    pub(crate) asked: Asked,
    /// The node granted while its memory of fences was not whole.
    pub(crate) forgetful: bool,
    pub(crate) raise: Word,
    pub(crate) renew: Word,
    /// A top-up under way, and the renewal that it was sent with, plus one.
    pub(crate) topping: u8,
    /// The lease at the node: the renewal that it was last granted by, plus one.
    pub(crate) lease: u8,
    /// The node forgot: so many of this round's deadlines must pass before it counts.
    pub(crate) quarantine: u8,
    /// A withdrawal of an earlier round of the same name is under way.
    pub(crate) undo: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Round {
    pub(crate) phase: Phase,
    /// The fence that it proposes, and later has.
    pub(crate) value: u8,
    /// The last renewal that was sent, confirmed, and whose deadline has passed (plus one).
    pub(crate) sent: u8,
    pub(crate) confirmed: u8,
    pub(crate) passed: u8,
    pub(crate) cells: [Cell; NODES],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Memory {
    #[default]
    Whole,
    /// It forgot, and is not known for long enough.
    Young,
    /// Known for long enough, but without the fences from before.
    Forgetful,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Node {
    pub(crate) stored: u8,
    pub(crate) memory: Memory,
    /// The largest fence anywhere when it last forgot.
    pub(crate) mark: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct State {
    pub(crate) rounds: [Round; ROUNDS],
    pub(crate) nodes: [Node; NODES],
    /// The largest fence that a client was handed.
    pub(crate) top: u8,
    pub(crate) born: u8,
    pub(crate) crashes: u8,
}

/// A state in few bits, the same for all that differ in names alone.
pub(crate) type Packed = [u64; ROUNDS + 1];

const ORDERS: [[usize; NODES]; 6] =
    [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];

impl State {
    pub(crate) fn pack(&self) -> Packed {
        let heads = self.rounds.map(|r| r.head());
        let cells = self.rounds.map(|r| r.cells.map(Cell::pack));
        let nodes = self.nodes.map(Node::pack);
        let world = u64::from(self.top) | u64::from(self.born) << 4 | u64::from(self.crashes) << 8;
        let mut least = [u64::MAX; ROUNDS + 1];
        for [a, b, c] in ORDERS {
            let first = world << 30 | nodes[a] << 20 | nodes[b] << 10 | nodes[c];
            if first > least[0] {
                continue;
            }
            let mut form = [first; ROUNDS + 1];
            for r in 0..ROUNDS {
                let [x, y, z] = [cells[r][a], cells[r][b], cells[r][c]];
                form[r + 1] = heads[r] << 48 | x << 32 | y << 16 | z;
            }
            form[1..].sort_unstable();
            if form < least {
                least = form;
            }
        }
        least
    }

    /// A state of this form.
    pub(crate) fn unpack(form: &Packed) -> Self {
        let mut state = Self::default();
        let world = form[0] >> 30;
        state.top = low(world, 4);
        state.born = low(world >> 4, 4);
        state.crashes = low(world >> 8, 4);
        for (n, node) in state.nodes.iter_mut().enumerate() {
            *node = Node::unpack(form[0] >> (20 - 10 * n));
        }
        for (round, bits) in state.rounds.iter_mut().zip(&form[1..]) {
            *round = Round::unpack(*bits);
        }
        state
    }
}

impl Round {
    fn head(&self) -> u64 {
        let Self { phase, value, sent, confirmed, passed, .. } = *self;
        let times = u64::from(sent) | u64::from(confirmed) << 2 | u64::from(passed) << 4;
        phase as u64 | u64::from(value) << 3 | times << 7
    }

    fn unpack(bits: u64) -> Self {
        const PHASES: [Phase; 5] =
            [Phase::Unborn, Phase::Asking, Phase::Raising, Phase::Holding, Phase::Over];
        let head = bits >> 48;
        Self {
            phase: PHASES[usize::from(low(head, 3))],
            value: low(head >> 3, 4),
            sent: low(head >> 7, 2),
            confirmed: low(head >> 9, 2),
            passed: low(head >> 11, 2),
            cells: [bits >> 32, bits >> 16, bits].map(Cell::unpack),
        }
    }
}

impl Cell {
    fn pack(self) -> u64 {
        let asked = match self.asked {
            Asked::Nothing => 0,
            Asked::Flying => 1,
            Asked::Granted(fence) => u64::from(fence) + 1,
        };
        debug_assert!(asked < 16, "a fence beyond four bits");
        let words = self.raise as u64 | (self.renew as u64) << 2;
        let spans = self.topping | self.lease << 2 | self.quarantine << 4;
        let flags = u64::from(self.forgetful) | u64::from(self.undo) << 1;
        asked | words << 4 | u64::from(spans) << 8 | flags << 14
    }

    fn unpack(bits: u64) -> Self {
        const WORDS: [Word; 3] = [Word::None, Word::Flying, Word::Acked];
        Self {
            asked: match low(bits, 4) {
                0 => Asked::Nothing,
                1 => Asked::Flying,
                fence => Asked::Granted(fence - 1),
            },
            raise: WORDS[usize::from(low(bits >> 4, 2))],
            renew: WORDS[usize::from(low(bits >> 6, 2))],
            topping: low(bits >> 8, 2),
            lease: low(bits >> 10, 2),
            quarantine: low(bits >> 12, 2),
            forgetful: bits >> 14 & 1 == 1,
            undo: bits >> 15 & 1 == 1,
        }
    }
}

impl Node {
    fn pack(self) -> u64 {
        u64::from(self.stored) | (self.memory as u64) << 4 | u64::from(self.mark) << 6
    }

    fn unpack(bits: u64) -> Self {
        const MEMORIES: [Memory; 3] = [Memory::Whole, Memory::Young, Memory::Forgetful];
        Self {
            stored: low(bits, 4),
            memory: MEMORIES[usize::from(low(bits >> 4, 2))],
            mark: low(bits >> 6, 4),
        }
    }
}

fn low(bits: u64, width: u32) -> u8 {
    u8::try_from(bits & ((1 << width) - 1)).unwrap_or(0)
}
