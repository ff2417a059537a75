//! Fuzzes the parsers of untrusted input: gateway events, ticket events, review text. The tests of `forge` change the
//! payloads and signatures of webhooks.
//!
//! Each target mutates valid inputs and the files of `fuzz/corpus/TARGET`, and continues with inputs whose answer is
//! new. New answers replace line coverage, which would need another compiler. `targets` asserts the invariants; a
//! crash stores its input in the corpus.
//!
//! By default each target runs some hundreds of inputs with a fixed seed. `PULLYARD_FUZZ_SECS=60` fuzzes all targets
//! for a minute, `PULLYARD_FUZZ_INPUTS=10000000` with that many inputs, `PULLYARD_FUZZ_SEED=7` with another seed;
//! `PULLYARD_FUZZ_KEEP=1` stores inputs with new answers.

mod mutate;
mod targets;

use crate::prelude::*;
use mutate::Mutator;
use pullyard_testkit::SeededRng;
use sha2::Digest;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use targets::{TARGETS, Target};

const INPUTS: u64 = 400;
const INPUT_TIME_LIMIT: Duration = Duration::from_secs(20);
/// The longest input and the largest number of inputs to mutate further.
const MAX_INPUT_BYTES: usize = 64 * 1024;
const MAX_CORPUS: usize = 4_096;
/// Limits of the inputs to store in the corpus.
const MAX_STORED_BYTES: usize = 1_024;
const MAX_STORED: usize = 40;

fn folder(target: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus")).join(target)
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|number| number.parse().unwrap())
}

enum Until {
    Inputs(u64),
    Over(Instant),
}

struct Run<'a> {
    target: &'a Target,
    answers: BTreeSet<u64>,
    corpus: Vec<Vec<u8>>,
    tried: u64,
    slowest: Duration,
    stored: usize,
}

impl Run<'_> {
    fn run_input(&mut self, input: Vec<u8>, keep: bool) {
        let since = Instant::now();
        let Ok(answer) = catch_unwind(AssertUnwindSafe(|| (self.target.run)(&input))) else {
            let path = self.write(&input);
            panic!("{} fails for {}", self.target.name, path.display());
        };
        let took = since.elapsed();
        if took > INPUT_TIME_LIMIT {
            panic!("{} took {took:?} for {}", self.target.name, self.write(&input).display());
        }
        self.slowest = self.slowest.max(took);
        self.tried += 1;
        if self.answers.insert(answer) && self.corpus.len() < MAX_CORPUS && input.len() <= MAX_INPUT_BYTES {
            if keep && self.stored < MAX_STORED && input.len() <= MAX_STORED_BYTES {
                self.write(&input);
                self.stored += 1;
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
    let mut dice = SeededRng::new(number("PULLYARD_FUZZ_SEED").unwrap_or(1));
    let mut run =
        Run { target, answers: BTreeSet::new(), corpus: Vec::new(), tried: 0, slowest: Duration::ZERO, stored: 0 };
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder(name)).map_or_else(|_| Vec::new(), |all| all.map(|entry| entry.unwrap().path()).collect());
    paths.sort();
    let seeds = (target.seeds)().into_iter().chain(paths.iter().map(|path| fs::read(path).unwrap()));
    for seed in seeds {
        let known = run.corpus.len();
        run.run_input(seed.clone(), false);
        // Mutate every seed, even if its answer is known.
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
        let input = mutator.mutate(&run.corpus, &mut dice);
        run.run_input(input, keep);
    }
    println!(
        "{name}: {} inputs in {:.1} s, {} different answers, {} inputs gone on with, {} seeds and kept ones; the slowest took {:?}",
        run.tried,
        began.0.elapsed().as_secs_f64(),
        run.answers.len(),
        run.corpus.len() - began.1,
        began.1,
        run.slowest
    );
}

/// Runs one target at a time, so that the total time does not depend on the number of cores.
static TURN: std::sync::Mutex<()> = std::sync::Mutex::new(());

fn check(name: &str) {
    let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    fuzz(name);
}

#[test]
fn fuzzed_gateway_event_passes_on_the_signed_bytes() {
    check("envelope");
}

#[test]
fn fuzzed_ticket_event_is_parsed_or_refused_with_a_pointer() {
    check("ticket_event");
}

#[test]
fn fuzzed_review_text_stays_inside_its_fence() {
    check("review_text");
}
