//! The exhaustive check of the corner where reviews wait: every interleaving of a few reviews of one pull
//! request, delivered and delivered again, with a running job, the settling of what waits, a pull request that
//! is closed and reopened, a project that is held and released, and the hour.
//!
//! The rules are the domain's own; this owns a small table whose writes have the conditions of
//! `crates/store/src/write/review.rs`, and the steps of `crates/control/src/review` over it, one write
//! each. A process may die after every write, and the answer of any write may be lost, so that it looks
//! refused. Revisions are not counted: a process knows for each item it read whether anybody wrote it since.
//! Left out: the write-back to the ticket tool, which only raises the ticket's revision, and the number of
//! rounds after which a caller is told to come again, which is the same as dying.

mod facts;
mod state;
mod steps;
mod table;
mod tests;

use state::{State, Step};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// What happens in one exploration, and which rule is left out of it.
#[derive(Clone, Copy, Debug)]
struct Setting {
    /// How many reviews there are; the higher the number, the newer.
    reviews: usize,
    /// Which of them are a person's requests.
    requests: u8,
    /// How often each is delivered again without need.
    redelivered: u8,
    /// A second process may deliver the first review at the same time.
    twice_at_once: bool,
    /// How many settlings run at once.
    settlers: usize,
    /// How many deaths and lost answers there are.
    faults: u8,
    /// How often the pull request is closed or reopened.
    closes: u8,
    /// How often the project is held or released.
    holds: u8,
    /// A job runs at the beginning.
    busy: bool,
    /// The hour passes this often.
    hours: u8,
    /// The rule left out, if one is.
    without: Option<Rule>,
}

/// The rules that make it hold. Each exploration without one of them fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// (a) Remembering a review raises the ticket's revision.
    RememberRaisesRev,
    /// (b) Older reviews are absorbed before the newest gets its job.
    Absorb,
    /// (c) Absorbing proves that the newest still waits.
    AbsorbChecksNewest,
    /// (d) A review that waits gets no job by being told again.
    WaitingStartsNothing,
    /// (e) The end of a job has what waits settled.
    EndSettles,
    /// (f) The ticket's mark is taken off over the revision that was read.
    ClearOverRev,
    /// What is remembered gets its ledger entry in the same write.
    EntryWithReview,
    /// A review that waits has its ticket know it again whenever it is told again.
    RepeatMarksAgain,
    /// What was absorbed shares the refusal of what absorbed it.
    RefuseTheAbsorbed,
    /// What is refused has absorbed nothing, and was not refused and told again, since it was read.
    RefuseAsRead,
    /// A request that was absorbed is still a request.
    RequestsStayRequests,
}

/// FNV: the default hasher is most of the time of a debug build.
#[derive(Default)]
struct Fnv(u64);

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

type Fast<K, V> = HashMap<K, V, BuildHasherDefault<Fnv>>;

/// Walks through every state that can be reached, breadth first. The number of states, or the shortest way
/// to one that must not be.
fn explore(setting: Setting) -> Result<usize, String> {
    let mut known: Fast<State, ()> = Fast::default();
    let mut found: Vec<(State, usize, Step)> = Vec::new();
    let mut world = steps::World::new(setting);
    let start = State::new(&setting);
    known.insert(start, ());
    found.push((start, 0, Step::of("start", 0)));
    let mut at = 0;
    while at < found.len() {
        let state = found[at].0;
        let wrong = world.wrong(&state).err();
        let next = match wrong {
            Some(wrong) => Err(wrong),
            None => world.next(&state),
        };
        match next {
            Ok(next) => {
                for (name, next) in next {
                    if known.insert(next, ()).is_none() {
                        found.push((next, at, name));
                    }
                }
            }
            Err(wrong) => return Err(format!("{wrong}\n{}", way(&found, at))),
        }
        at += 1;
    }
    Ok(found.len())
}

/// How a state was reached.
fn way(found: &[(State, usize, Step)], mut at: usize) -> String {
    let mut names = vec![format!("{:#?}", found[at].0)];
    while at != 0 {
        names.push(found[at].2.to_string());
        at = found[at].1;
    }
    names.reverse();
    names.join("\n")
}
