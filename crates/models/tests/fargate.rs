//! Models the jobs of one ticket on Fargate.
//!
//! The model explores every interleaving of dispatchers, tasks, a sweeper, the ticket function and a second entry.
//! Tasks boot late, finish and die; ECS state changes are lost, doubled or reordered.
//!
//! Steps are those of `crates/control/src/{dispatch,task_stopped,attempt,sweep,move_ticket,settle_ticket}`, merged
//! where the code reads and writes in two. Writes have the conditions of `crates/store/src/write`. Messages arrive at
//! any time or never; in the end only the sweeper and its messages act. The clocks of the dispatcher, the sweeper and
//! the tasks function may differ from the API's.
//!
//! Invariants, in `World::check_invariants` and at the step that could break them:
//!
//! - The ticket names exactly its job that has not ended.
//! - A job is held by a task that was started for that attempt. A noted death survives a claim.
//! - A job that has not ended has a row in the index. In the end every job has ended, the ticket shows it, and every
//!   entry is answered.
//!
//! Not modelled: the expiry of a bootstrap token; phases, pushes and cancels (`runners`); reviews (`reviews`).

mod dispatcher;
mod rules;
mod state;
mod sweeper;
mod table;
mod task;
mod tests;
mod ticket_function;
mod world;

use crate::moments::Moments;

/// The faults and events of one exploration.
#[derive(Clone, Copy, Debug)]
struct Setting {
    /// Concurrent dispatchers, at most two.
    dispatchers: usize,
    /// Tasks, at most three; then ECS has no capacity.
    tasks: usize,
    /// Budget for missing capacity, dying functions and lost answers.
    faults: u8,
    deaths: u8,
    /// Deliveries of each of the user's two moves: out of the trigger status, and back into it.
    deliveries: u8,
    /// How far the other functions' clocks are ahead of the API's. Units: seconds.
    clock_skew_secs: i64,
    /// The moments at which jobs start and are claimed; 2, 30 and 60 hours follow. Units: seconds.
    moments: Moments,
}

fn explore(setting: Setting) -> Result<usize, String> {
    crate::explore::explore(&mut world::World::new(setting))
}
