//! Simulates the whole control plane on a fake AWS. A seed decides which call returns next and how, which process dies,
//! which message is lost, doubled or late, and when time passes.
//!
//! A seed gives one life of the system: some minutes with faults, then recovery. Invariants are checked after every write
//! and at the end. The same seed gives the same trace:
//!
//!     PULLYARD_SIM_FROM=17 PULLYARD_SIM_SEEDS=1 cargo test -p pullyard-simulation -- --nocapture
#![expect(
    clippy::unwrap_used,
    reason = "a test that can't go on has failed; allow-unwrap-in-tests does not see helpers"
)]

mod attempt;
mod cloud;
mod control_plane;
mod daemon;
mod faults;
mod final_state;
mod forge;
mod gate;
mod invariants;
mod prelude;
mod profile;
mod run_seed;
mod setup;
mod suspensions;
mod tally;
mod ticket_tool;
mod trace;
mod world;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;
use world::World;

/// Lives per run by default.
const SEEDS: u64 = 16;

/// Events that happen at least once in [`SEEDS`] lives.
const EVENTS: &str = "Completed, Failed, Cancelled, on Fargate, on runners, requeued, retries, pushed, \
    killed, refused, answers lost, errors after effect, stopped before, stopped after, no task, calls, came late, placed";

/// Events that happen at least once in [`MANY_SEEDS`] lives.
const RARE_EVENTS: &str = "continued, lease_lost, reviews, revisions, reviews found by looking, asked, paused, inputs";

/// Enough lives for rare events.
const MANY_SEEDS: u64 = 300;

fn env_number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

fn simulate_seed(seed: u64) -> World {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(run_seed::run_seed(seed))
}

fn print_trace(seed: u64, world: &World) {
    let lines = world.trace.lines();
    let from = if std::env::var("PULLYARD_SIM_TRACE").is_ok() { 0 } else { lines.len().saturating_sub(120) };
    for line in &lines[from..] {
        println!("{line}");
    }
    for broken in &world.violations {
        println!("BROKEN {broken}");
    }
    println!(
        "PULLYARD_SIM_FROM={seed} PULLYARD_SIM_SEEDS=1 cargo test -p pullyard-simulation every_law -- --nocapture"
    );
}

#[derive(Default)]
struct Totals {
    seed_count: u64,
    simulated_secs: u64,
    steps: usize,
    tally: tally::Tally,
}

impl Totals {
    fn add(&mut self, other: &Self) {
        self.seed_count += other.seed_count;
        self.simulated_secs += other.simulated_secs;
        self.steps += other.steps;
        self.tally.add_all(&other.tally);
    }
}

fn simulate_seeds(next: &AtomicU64, end: u64) -> Totals {
    let mut seen = Totals::default();
    loop {
        let seed = next.fetch_add(1, Relaxed);
        if seed >= end {
            return seen;
        }
        let world = simulate_seed(seed);
        if !world.violations.is_empty() {
            next.store(end, Relaxed);
            print_trace(seed, &world);
            panic!("seed {seed}: {}", world.violations[0]);
        }
        if std::env::var("PULLYARD_SIM_TRACE").is_ok() {
            print_trace(seed, &world);
        }
        seen.seed_count += 1;
        seen.simulated_secs += world.elapsed().as_secs();
        seen.steps += world.trace.lines().len();
        seen.tally.add_all(&world.tally);
    }
}

#[test]
fn every_law_holds_in_every_life() {
    let (from, seeds) = (env_number("PULLYARD_SIM_FROM", 1), env_number("PULLYARD_SIM_SEEDS", SEEDS));
    let (next, cores) = (AtomicU64::new(from), std::thread::available_parallelism().map_or(1, usize::from));
    let (began, mut totals) = (Instant::now(), Totals::default());
    std::thread::scope(|scope| {
        let each = (0..cores).map(|_| scope.spawn(|| simulate_seeds(&next, from + seeds))).collect::<Vec<_>>();
        for one in each {
            totals.add(&one.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
    });
    let Totals { seed_count, simulated_secs, steps, tally } = totals;
    assert_eq!(seed_count, seeds);
    let secs = began.elapsed().as_secs_f64();
    println!(
        "simulation: {seed_count} seeds from {from}, {steps} steps, {:.1} hours of life in {secs:.1} s: {:.0} seeds per minute on {cores} cores",
        simulated_secs as f64 / 3_600.0,
        seed_count as f64 * 60.0 / secs,
    );
    println!("simulation: {tally}");
    let expected = [(EVENTS, SEEDS), (RARE_EVENTS, MANY_SEEDS)].into_iter().filter(|(_, least)| seeds >= *least);
    let expected = expected.flat_map(|(events, _)| events.split(", "));
    for event in expected {
        assert!(tally.count(event) > 0, "never in {seed_count} lives: {event}");
    }
}

#[test]
fn same_seed_gives_the_same_trace() {
    for seed in [3, 12] {
        let (one, other) = (simulate_seed(seed), simulate_seed(seed));
        let pairs = one.trace.lines().iter().zip(other.trace.lines());
        for (at, (one, other)) in pairs.enumerate() {
            assert_eq!(one, other, "seed {seed}, line {at}");
        }
        assert_eq!(one.trace.lines().len(), other.trace.lines().len());
    }
}
