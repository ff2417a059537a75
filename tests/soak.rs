//! Runs `pullyard up` and three runners under random kills, stops and user actions, then verifies a consistent end.
//!
//! The run takes minutes, so it is run on demand:
//!
//! ```sh
//! PULLYARD_SOAK_SEED=7 PULLYARD_SOAK_TICKETS=40 PULLYARD_SOAK_MINUTES=4 \
//!     cargo test -p pullyard-cli --test system soak:: -- --ignored --nocapture
//! ```
//!
//! `PULLYARD_SOAK_MINUTES=0` is a load test: all tickets enter at once for the runners, and only processes are killed.
//! Each ticket must end with one completed job and one pushed commit. `PULLYARD_SOAK_SLOTS` sets the slots of each
//! runner:
//!
//! ```sh
//! PULLYARD_SOAK_TICKETS=500 PULLYARD_SOAK_MINUTES=0 PULLYARD_SOAK_SLOTS=4 \
//!     cargo test --release -p pullyard-cli --test system soak:: -- --ignored --nocapture
//! ```
//!
//! The seed fixes the actions, not the timing of the answers. A failed run keeps its folder with all logs and prints
//! its path.

mod chaos;
mod hands;
mod verdict;

use chaos::Chaos;
use hands::{Kind, World};
use pullyard_testkit::Dice;
use std::time::{Duration, Instant};

/// Time limit for open work once the chaos ends: 90 s until a runner is Offline, and 120 s of push window.
const QUIET_WITHIN: Duration = Duration::from_secs(420);

fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().map_or(otherwise, |value| value.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: run on demand, see CONTRIBUTING.md"]
async fn tickets_jobs_slots_and_pushes_are_consistent_after_chaos() {
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let seed = setting("PULLYARD_SOAK_SEED", clock.as_secs() % 100_000);
    let tickets = setting("PULLYARD_SOAK_TICKETS", 40);
    let length = Duration::from_secs(60 * setting("PULLYARD_SOAK_MINUTES", 4));
    // The folder is deleted only after success.
    let folder = tempfile::TempDir::new().unwrap().keep();
    let slots = setting("PULLYARD_SOAK_SLOTS", 2);
    println!("soak: seed {seed}, {tickets} tickets in {} min, in {}", length.as_secs() / 60, folder.display());

    let kind = if length.is_zero() { Kind::Load } else { Kind::Life };
    let world = World::begin(&folder, kind, seed, slots).await;
    let begun = Instant::now();
    let mut chaos = Chaos::new(&world, Dice::new(seed));
    let moves = async {
        if kind == Kind::Load {
            return world.enter_at_once(tickets).await;
        }
        let mut dice = Dice::new(seed ^ 0xF00D);
        for number in 0..tickets {
            world.enter(number).await;
            let due = length.as_secs_f64() * (number + 1) as f64 / tickets as f64;
            let pause = Duration::from_secs_f64(due).saturating_sub(begun.elapsed());
            tokio::time::sleep(pause.mul_f64(0.5 + dice.part())).await;
        }
    };
    tokio::select! {
        () = moves => {}
        () = chaos.reign() => {}
    }
    let done = chaos.end().await;
    println!("soak: {} s of chaos: {done:?}", begun.elapsed().as_secs());
    let calm = Instant::now();
    let mut faults = world.quiet(QUIET_WITHIN).await;
    println!("soak: quiet after {} s", calm.elapsed().as_secs());
    faults.extend(verdict::faults(&world).await);
    faults.extend(world.end().await);
    assert!(faults.is_empty(), "seed {seed}, kept in {}:\n{}", folder.display(), faults.join("\n"));
    std::fs::remove_dir_all(&folder).unwrap();
}
