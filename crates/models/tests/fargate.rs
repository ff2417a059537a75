//! The exhaustive check of what the jobs of one ticket can go through on Fargate: every interleaving of
//! dispatchers, tasks that boot late, work and die, state changes of ECS that are lost, doubled or come in any order,
//! a sweeper, the ticket function and the settling of a ticket that enters the trigger status a second time.
//!
//! The rules are the domain's own; the steps are those of `crates/control/src/{dispatch,task_stopped,attempt,sweep,
//! move_ticket,settle_ticket}`, the conditions those of `crates/store/src/write`. What is read in one step is written
//! in another. Any wake-up, state change or message may come at any time, so none of them is counted: one that never
//! comes is a way that the walk takes, too, and at the end only the sweeper and the messages it sends are waited for.
//! Time has a few moments; in the first ones jobs are claimed. The clocks of the dispatcher, the sweeper and whoever
//! hears of state changes may be apart from the API's.
//!
//! What must always hold, in `World::wrong` and where it happens: the ticket names exactly its job that has not ended;
//! a job is held by a task that was started for that very attempt; a death that was noted is not forgotten by a claim;
//! one number gets one task; a branch moves once; only what was pushed is completed, and what was pushed and is not
//! completed was looked for; whoever pushes holds its job, and what was pushed is said to be nowhere by nobody, unless
//! clocks are apart; everything that has not ended has its row, and at the end everything has ended and is shown, and no
//! entry is left without an answer.
//!
//! Left out: the end of a bootstrap token, without which tasks may claim even later; what a cancel does, in
//! `runners`; reviews, in `reviews`.

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

/// What happens in one exploration, and which rule is left out of it.
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
    /// How often each of a person's two moves is told: out of the trigger status, and into it again.
    tellings: u8,
    /// By how much the other functions' clocks are ahead of the API's. Units: seconds.
    ahead: i64,
    /// The moments in which jobs start and are claimed; two hours, 30 and 60 hours follow. Units: seconds.
    moments: Moments,
    /// What becomes of a job whose task died while the agent worked: it goes back, or it fails.
    goes_back: bool,
    /// The rule left out, if one is.
    without: Option<Rule>,
}

/// The rules that make it hold. Each exploration without one of them fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// A job is written over the revision that was read.
    JobOverRev,
    /// A ticket is written over the revision that was read.
    TicketOverRev,
    /// A task's call counts only with the attempt and the claim that hold the job.
    Fence,
    /// A task claims the attempt that it was started for, and no later one.
    ClaimAttempt,
    /// A task whose death was noted before its claim claims nothing.
    DeadTask,
    /// A start that is asked for again finds the task that it has.
    ClientToken,
    /// Nobody but its runner touches a job that may be pushing.
    PushUntil,
    /// A push says which commit it expects, and what was pushed for the job before is adopted.
    ExpectedHead,
    /// That an event was no entry is written only while the ticket still has the status it tells.
    Unchanged,
    /// An end and an entry are one: what entered during a job is not given up by its end.
    Again,
    /// What a lost attempt may have pushed is looked for before its job fails.
    LostPush,
    /// That nothing was pushed is said by who looked, and by no other end.
    WhoLooked,
}

/// The number of states, or the shortest way to one that must not be.
fn explore(setting: Setting) -> Result<usize, String> {
    crate::explore::explore(&mut world::World::new(setting))
}
