//! Bytes that nobody should send, at the parsers that strangers reach: signatures, payloads, the envelope that API
//! Gateway puts around them, ticket tools' events, and what reviewers write.
//!
//! Every target starts with true inputs and with what is kept in `fuzz/corpus/TARGET`, changes them, and goes on
//! with what got an answer that was never given before: coverage of answers instead of lines, which needs no
//! other compiler. What must hold is said in `targets`; a crash leaves its input in the corpus.
//!
//! By default some hundreds of inputs of the same seed. `PULLYARD_FUZZ_SECS=60` takes a minute for all targets,
//! `PULLYARD_FUZZ_INPUTS=10000000` so many inputs for all of them, `PULLYARD_FUZZ_SEED=7` another way through
//! them; `PULLYARD_FUZZ_KEEP=1` writes down what got a new answer.

mod mutate;
mod targets;

use mutate::Mutator;
use pullyard_testkit::Dice;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use targets::{TARGETS, Target};

/// What is fuzzed in a plain `cargo test`, in each target.
const INPUTS: u64 = 400;
/// No input may take longer: far beyond any of them on a loaded machine.
const HANGS: Duration = Duration::from_secs(20);
/// The longest input, and how many are gone on with.
const LONGEST: usize = 64 * 1024;
const MOST: usize = 4_096;
/// What is worth keeping.
const LONGEST_KEPT: usize = 1_024;
const MOST_KEPT: usize = 40;

fn folder(target: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus")).join(target)
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|number| number.parse().unwrap())
}

/// How much is tried.
enum Until {
    Inputs(u64),
    Over(Instant),
}

struct Run<'a> {
    target: &'a Target,
    said: BTreeSet<u64>,
    corpus: Vec<Vec<u8>>,
    tried: u64,
    slowest: Duration,
    kept: usize,
}

impl Run<'_> {
    /// One input; what gets a new answer is gone on with.
    fn one(&mut self, input: Vec<u8>, keep: bool) {
        let since = Instant::now();
        let Ok(answer) = catch_unwind(AssertUnwindSafe(|| (self.target.run)(&input))) else {
            let path = self.write(&input);
            panic!("{} does not hold for {}", self.target.name, path.display());
        };
        let took = since.elapsed();
        if took > HANGS {
            panic!("{} took {took:?} for {}", self.target.name, self.write(&input).display());
        }
        self.slowest = self.slowest.max(took);
        self.tried += 1;
        if self.said.insert(answer) && self.corpus.len() < MOST && input.len() <= LONGEST {
            if keep && self.kept < MOST_KEPT && input.len() <= LONGEST_KEPT {
                self.write(&input);
                self.kept += 1;
            }
            self.corpus.push(input);
        }
    }

    fn write(&self, input: &[u8]) -> PathBuf {
        let hash: String = Sha256::digest(input).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let folder = folder(self.target.name);
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join(hash);
        fs::write(&path, input).unwrap();
        path
    }
}

fn fuzz(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).unwrap();
    let share = TARGETS.len() as u64;
    let until = match (number("PULLYARD_FUZZ_SECS"), number("PULLYARD_FUZZ_INPUTS")) {
        (Some(secs), _) => Until::Over(Instant::now() + Duration::from_secs(secs) / TARGETS.len() as u32),
        (None, Some(inputs)) => Until::Inputs(inputs.div_ceil(share)),
        (None, None) => Until::Inputs(INPUTS),
    };
    let keep = number("PULLYARD_FUZZ_KEEP").is_some();
    let mut dice = Dice::new(number("PULLYARD_FUZZ_SEED").unwrap_or(1));
    let mut run = Run { target, said: BTreeSet::new(), corpus: Vec::new(), tried: 0, slowest: Duration::ZERO, kept: 0 };
    let mut kept: Vec<PathBuf> =
        fs::read_dir(folder(name)).map_or_else(|_| Vec::new(), |all| all.map(|one| one.unwrap().path()).collect());
    kept.sort();
    let seeds = (target.seeds)().into_iter().chain(kept.iter().map(|path| fs::read(path).unwrap()));
    for seed in seeds {
        let known = run.corpus.len();
        run.one(seed.clone(), false);
        // Also one whose answer another seed got: it is another way to the next.
        if run.corpus.len() == known {
            run.corpus.push(seed);
        }
    }
    let began = (Instant::now(), run.corpus.len());
    let mutator = Mutator { words: target.words };
    loop {
        match until {
            Until::Inputs(most) if run.tried >= most => break,
            Until::Over(end) if Instant::now() >= end => break,
            _ => {}
        }
        let input = mutator.changed(&run.corpus, &mut dice);
        run.one(input, keep);
    }
    println!(
        "{name}: {} inputs in {:.1} s, {} different answers, {} inputs gone on with, {} seeds and kept ones; the slowest took {:?}",
        run.tried,
        began.0.elapsed().as_secs_f64(),
        run.said.len(),
        run.corpus.len() - began.1,
        began.1,
        run.slowest
    );
}

/// By seconds the targets take turns, so that the time is what was asked for on any number of cores.
static TURN: std::sync::Mutex<()> = std::sync::Mutex::new(());

fn check(name: &str) {
    let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    fuzz(name);
}

#[test]
fn a_signature_counts_only_if_its_secret_made_it() {
    check("signature");
}

#[test]
fn any_payload_is_read_or_refused_with_a_place() {
    check("payload");
}

#[test]
fn any_payload_of_bitbucket_is_read_or_refused_with_a_place() {
    check("bitbucket_payload");
}

#[test]
fn an_envelope_hands_on_the_bytes_that_were_signed() {
    check("envelope");
}

#[test]
fn any_ticket_event_is_read_or_refused_with_a_place() {
    check("ticket_event");
}

#[test]
fn nothing_that_a_reviewer_writes_leaves_its_fence() {
    check("review_text");
}
