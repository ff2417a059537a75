//! A week of life in a few minutes: `pullyard up` and three runners do real work while everything of them is
//! killed, stopped and started again at random, and people change their minds. At the end everything must
//! add up.
//!
//! It takes its time, so it is run on demand:
//!
//! ```sh
//! PULLYARD_SOAK_SEED=7 PULLYARD_SOAK_TICKETS=40 PULLYARD_SOAK_MINUTES=4 \
//!     cargo test -p pullyard-cli --test system soak:: -- --ignored --nocapture
//! ```
//!
//! With `PULLYARD_SOAK_MINUTES=0` it is a load: all tickets enter at once, for the runners alone, nobody changes their
//! mind, what is lost goes back, and everything is killed until nearly all jobs have ended. Then each ticket has one
//! job, which completed, with one commit that was pushed. `PULLYARD_SOAK_SLOTS` says how many jobs each of the three
//! runners runs at once:
//!
//! ```sh
//! PULLYARD_SOAK_TICKETS=500 PULLYARD_SOAK_MINUTES=0 PULLYARD_SOAK_SLOTS=4 \
//!     cargo test --release -p pullyard-cli --test system soak:: -- --ignored --nocapture
//! ```
//!
//! The seed decides what is done when; how the system answers is not repeatable to the millisecond. A run
//! that failed keeps its folder, with all logs, and says where it is.

mod chaos;
mod hands;
mod verdict;

use chaos::Chaos;
use hands::{Kind, World};
use pullyard_testkit::Dice;
use std::time::{Duration, Instant};

/// How long what was begun may take once nothing is disturbed any more: a runner is silent for 90 s before
/// it is Offline, and may push for 120 s.
const QUIET_WITHIN: Duration = Duration::from_secs(420);

fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().map_or(otherwise, |value| value.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: run on demand, see CONTRIBUTING.md"]
async fn whatever_is_killed_every_ticket_job_slot_and_push_adds_up() {
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let seed = setting("PULLYARD_SOAK_SEED", clock.as_secs() % 100_000);
    let tickets = setting("PULLYARD_SOAK_TICKETS", 40);
    let length = Duration::from_secs(60 * setting("PULLYARD_SOAK_MINUTES", 4));
    // Kept unless all is well.
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
