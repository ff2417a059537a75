//! Explores every state of a small world breadth first, and reports a fault with the shortest path to it.
//!
//! Each state is stored once, with the index of its predecessor: large settings have hundreds of millions of states.

use indexmap::IndexSet;
use std::collections::HashMap;
use std::fmt::{Debug, Display};
use std::hash::{BuildHasherDefault, Hash, Hasher};

pub(crate) trait World {
    /// The table, the running processes, and the faults that may still happen.
    type State: Copy + Eq + Hash + Debug;

    fn start(&mut self) -> Self::State;

    /// `Err`: this state breaks an invariant.
    fn check_invariants(&mut self, state: &Self::State) -> Result<(), String>;

    /// Every possible next step. `Err`: a step breaks an invariant.
    fn next(&mut self, state: &Self::State) -> Result<Vec<(Step, Self::State)>, String>;
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    action: &'static str,
    actor: usize,
    suffix: &'static str,
}

impl Step {
    pub(crate) fn new(action: &'static str, actor: usize) -> Self {
        Self { action, actor, suffix: "" }
    }

    pub(crate) fn with_suffix(self, suffix: &'static str) -> Self {
        Self { suffix, ..self }
    }
}

impl Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}{}", self.action, self.actor, self.suffix)
    }
}

/// FNV. The default hasher takes most of the time of a debug build.
#[derive(Default)]
pub(crate) struct Fnv(u64);

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 29)
    }
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }
    fn write_u8(&mut self, byte: u8) {
        self.write_u64(u64::from(byte));
    }
    fn write_u16(&mut self, word: u16) {
        self.write_u64(u64::from(word));
    }
    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0 ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23);
    }
    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }
    fn write_isize(&mut self, word: isize) {
        self.write_u64(word.unsigned_abs() as u64);
    }
}

pub(crate) type Fast<K, V> = HashMap<K, V, BuildHasherDefault<Fnv>>;

type KnownStates<S> = IndexSet<S, BuildHasherDefault<Fnv>>;

/// Returns the number of states, or the shortest path to a state that breaks an invariant.
pub(crate) fn explore<W: World>(world: &mut W) -> Result<usize, String> {
    let mut known: KnownStates<W::State> = KnownStates::default();
    let start = world.start();
    known.insert(start);
    // The index of each state's predecessor.
    let mut from: Vec<u32> = vec![0];
    let mut at = 0;
    while let Some(state) = known.get_index(at).copied() {
        match world.check_invariants(&state).and_then(|()| world.next(&state)) {
            Ok(next) => {
                for (_, next) in next {
                    if known.insert(next) {
                        from.push(u32::try_from(at).expect("the state index fits into u32"));
                    }
                }
            }
            Err(wrong) => return Err(format!("{wrong}\n{}", path_to(world, &known, &from, at))),
        }
        at += 1;
    }
    Ok(known.len())
}

#[track_caller]
pub(crate) fn check<S: Copy + Debug>(name: &str, settings: &[S], explore: fn(S) -> Result<usize, String>) {
    for setting in settings {
        match explore(*setting) {
            Ok(states) => println!("{name}: {states} states"),
            Err(wrong) => panic!("{name}: {setting:?}: {wrong}"),
        }
    }
}

fn path_to<W: World>(world: &mut W, known: &KnownStates<W::State>, from: &[u32], mut at: usize) -> String {
    let mut names = vec![format!("{:#?}", known[at])];
    while at != 0 {
        let before = from[at] as usize;
        let next = world.next(&known[before]).expect("the predecessor has successors");
        let step =
            next.into_iter().find(|(_, next)| *next == known[at]).expect("the predecessor leads to this state").0;
        names.push(step.to_string());
        at = before;
    }
    names.reverse();
    names.join("\n")
}
