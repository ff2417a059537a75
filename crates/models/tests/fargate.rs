//! Jobs of one ticket on Fargate.
//!
//! The model takes every interleaving of dispatchers, tasks that boot late, work and die, ECS state changes that are
//! lost, doubled or out of order, a sweeper, the ticket function, and the settling of a second entry.
//!
//! Steps are those of `crates/control/src/{dispatch,task_stopped,attempt,sweep,move_ticket,settle_ticket}`, and read in
//! one step what they write in another; writes have the conditions of `crates/store/src/write`. A wake-up, state change
//! or message may arrive at any time or never, so none is counted. In the end only the sweeper and its messages are
//! waited for. The clocks of the dispatcher, the sweeper and the tasks function may differ from the API's.
//!
//! Invariants, in `World::wrong` and at the step that could break them:
//!
//! - The ticket names exactly its job that has not ended.
//! - A job is held by a task that was started for that attempt. A noted death survives a claim. One start number gets
//!   one task.
//! - A branch moves once. Only a pushed job is completed. A push without a finish is looked for.
//! - A process that pushes holds its job, and no job with a push reports that nothing was pushed, unless clocks differ.
//! - A job that has not ended has a row in the index. In the end every job has ended, the ticket shows it, and every
//!   entry has its answer.
//!
//! Not modelled here: the end of a bootstrap token, without which tasks may claim even later; cancels (`runners`);
//! reviews (`reviews`).

mod desk;
mod dispatcher;
mod rules;
mod state;
mod sweeper;
mod table;
mod task;
mod tests;
mod world;

use crate::moments::Moments;

/// What may happen in one exploration, and the rule that it leaves out.
#[derive(Clone, Copy, Debug)]
struct Setting {
    /// How many dispatchers are at work at once, at most two.
    dispatchers: usize,
    /// How many tasks there can be, at most three; then ECS has no capacity.
    tasks: usize,
    /// How often ECS has no capacity, a function dies, or an answer is lost.
    faults: u8,
    /// How many tasks die.
    deaths: u8,
    /// How often each event of a person's two moves arrives: out of the trigger status, and into it again.
    tellings: u8,
    /// How far the other functions' clocks are ahead of the API's. Units: seconds.
    ahead: i64,
    /// The moments in which jobs start and are claimed; two hours, 30 and 60 hours follow. Units: seconds.
    moments: Moments,
    /// A job whose task died while the agent worked is requeued; else it fails.
    goes_back: bool,
    /// The rule left out, if one is.
    without: Option<Rule>,
}

/// The conditions and decisions that the invariants depend on. A test for each explores without it, and must fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// A job is written over the revision that was read.
    JobOverRev,
    /// A ticket is written over the revision that was read.
    TicketOverRev,
    /// A task's call must name the attempt and the claim that hold the job.
    Fence,
    /// A task claims the attempt that it was started for, and no later one.
    ClaimAttempt,
    /// A task whose death was noted before its claim claims nothing.
    DeadTask,
    /// A repeated start finds its task by the client token.
    ClientToken,
    /// Only its runner ends a job that may be pushing.
    PushUntil,
    /// A push names the expected head, and an attempt adopts an earlier push of its job.
    ExpectedHead,
    /// An event that was no entry is stored only while the ticket still has its status.
    Unchanged,
    /// The end of a job preserves an entry that arrived during it.
    Again,
    /// A possible push of a lost attempt is looked for before its job fails.
    LostPush,
    /// Only an attempt that looked reports that nothing was pushed.
    WhoLooked,
}

/// The number of states, or the shortest way to one that breaks an invariant.
fn explore(setting: Setting) -> Result<usize, String> {
    crate::explore::explore(&mut world::World::new(setting))
}
