//! Looks at every state that can be reached, nearest first, so that the first history that breaks
//! a promise is a shortest one.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::moves::{Event, Moves};
use super::state::{Packed, State};

/// The result of exploring.
#[derive(Debug)]
pub(crate) struct Explored {
    pub(crate) states: usize,
    /// A shortest history that breaks a promise, line by line.
    pub(crate) history: Option<Vec<String>>,
}

pub(crate) fn explore(moves: &Moves) -> Explored {
    let start = State::default().pack();
    let mut seen = Seen::default();
    seen.insert(start, u32::MAX);
    let mut states = vec![start];
    let mut index = 0;
    while index < states.len() {
        let state = State::unpack(&states[index]);
        let mut broken = false;
        moves.all(&state, &mut |event, after| {
            broken |= moves.broken(&state, event, &after).is_some();
            let form = after.pack();
            seen.entry(form).or_insert_with(|| {
                states.push(form);
                u32::try_from(index).expect("fewer states than that")
            });
        });
        if broken {
            let history = Some(history(moves, &seen, &states, index));
            return Explored { states: states.len(), history };
        }
        index += 1;
    }
    Explored { states: states.len(), history: None }
}

/// The way to a state and to the broken promise behind it, with one set of names throughout.
fn history(moves: &Moves, seen: &Seen, states: &[Packed], last: usize) -> Vec<String> {
    let mut way = vec![states[last]];
    while let Some(parent) = states.get(seen[&way[way.len() - 1]] as usize) {
        way.push(*parent);
    }
    let (mut state, mut lines) = (State::default(), Vec::new());
    for form in way.iter().rev().skip(1) {
        let (event, after) = find(moves, &state, |_, after| after.pack() == *form);
        lines.push(line(event, &after));
        state = after;
    }
    let (event, after) = find(moves, &state, |e, after| moves.broken(&state, e, after).is_some());
    lines.push(line(event, &after));
    lines.extend(moves.broken(&state, event, &after));
    lines
}

fn find(moves: &Moves, state: &State, is: impl Fn(Event, &State) -> bool) -> (Event, State) {
    let mut found = None;
    moves.all(state, &mut |event, after| {
        if found.is_none() && is(event, &after) {
            found = Some((event, after));
        }
    });
    found.expect("the explorer took this step")
}

fn line(event: Event, after: &State) -> String {
    format!("{:<52} fences stored {:?}", event.to_string(), after.nodes.map(|n| n.stored))
}

type Seen = HashMap<Packed, u32, BuildHasherDefault<Mixer>>;

/// Forms are numbers of our own making, so a hash that resists attacks would be wasted.
#[derive(Debug, Default)]
struct Mixer(u64);

impl Hasher for Mixer {
    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 32
    }

    fn write(&mut self, bytes: &[u8]) {
        for word in bytes.chunks(8) {
            let mut padded = [0; 8];
            padded[..word.len()].copy_from_slice(word);
            self.write_u64(u64::from_le_bytes(padded));
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}
