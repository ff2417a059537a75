//! Models the jobs of up to two tickets on up to two self-hosted runners.
//!
//! The model explores every interleaving of claims, phases, pushes, finishes and heartbeats with two sweepers, time,
//! and a user who cancels, pauses, resumes and answers. A process may stall forever, an answer may be lost after its
//! write, and a call may arrive twice. The process of a job may die during its call (`late`).
//!
//! Writes have the conditions of `crates/store/src/write`; steps are those of
//! `crates/control/src/{runner,attempt,sweep}`, merged where the code reads and writes in two. A process knows for each
//! item that it read whether it was written since, instead of its revision. The index is not modelled: a process may
//! find or miss any job.
//!
//! Invariants, in `World::check_invariants` and at the step that could break them:
//!
//! - A ticket names exactly its job that has not ended; a runner has exactly the slots of the jobs that it holds.
//! - A process that pushes or writes for an attempt holds the job at that moment. One claim gets one attempt.
//! - Only a pushed job is completed. A job that fails after a push without a finish shows that it may have pushed.
//! - A runner whose heartbeat arrived in time loses no job for silence.
//! - No runner holds a suspended job, and its ticket shows that it waits. A job is paused exactly while a user wants a
//!   pause. An answered question is not repeated, and an input counts once.
//! - A job that has not ended has a row in the index. In the end every job has ended and every ticket shows it.
//!
//! If the sweepers' clock differs from the API's, a pushing process may have lost its job, and a runner may lose its
//! jobs despite heartbeats. All other invariants hold. A read may return the previous version.
//!
//! Not modelled: Fargate, a second entry, heartbeats of attempts, and reviews (`reviews`).

mod late_calls;
mod rules;
mod runner;
mod state;
mod sweeper;
mod table;
mod tests;
mod user;
mod world;

use crate::moments::Moments;

/// The faults and events of one exploration.
#[derive(Clone, Copy, Debug)]
struct Setting {
    /// Tickets with a job, at most two.
    jobs: usize,
    runners: usize,
    sweepers: usize,
    faults: u8,
    /// Calls of runners that arrive twice, the second at any time.
    doubled_calls: u8,
    crashes: u8,
    cancels: u8,
    pauses: u8,
    inputs: u8,
    questions: u8,
    /// The moments at which jobs are claimed; 2, 30 and 60 hours follow. Units: seconds.
    moments: Moments,
    /// Runners still work on their jobs two hours later.
    works_for_hours: bool,
    clock_skew_secs: i64,
    /// A job whose runner was lost while the agent worked is requeued; otherwise it fails.
    requeues: bool,
}

fn explore(setting: Setting) -> Result<usize, String> {
    crate::explore::explore(&mut world::World::new(setting))
}
