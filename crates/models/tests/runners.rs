//! Jobs of up to two tickets on up to two self-hosted runners.
//!
//! The model takes every interleaving of claims, phases, pushes, finishes and heartbeats with two sweepers, a person who
//! cancels, pauses, continues and answers, and time. Any process may be slow for ever, any answer may be lost after its
//! write, and a call may arrive twice. The process of a job may die while its call is under way (`late`).
//!
//! Writes have the conditions of `crates/store/src/write`; steps are those of
//! `crates/control/src/{runner,attempt,sweep}`, and read in one step what they write in another. Instead of a revision,
//! a process knows for each item that it read whether it was written since. The index is not modelled: a process may
//! find or miss any job. Two tickets or two runners differ only by name; `alike` explores one of such states.
//!
//! Invariants, in `World::wrong` and at the step that could break them:
//!
//! - A ticket names exactly its job that has not ended; a runner has exactly the slots of the jobs that it holds.
//! - A process that pushes or writes for an attempt holds the job at that moment. One claim gets one attempt.
//! - A branch moves once. Only a pushed job is completed. A push without a finish is looked for before its job fails,
//!   and only an attempt that looked reports that nothing was pushed.
//! - A runner whose heartbeat arrived in time loses no job for silence.
//! - A job that rests is held by no runner, and its ticket says that it waits. A job is paused exactly while people want
//!   that. A question with an answer is not asked again, and an input counts once.
//! - A job that has not ended has a row in the index. In the end every job has ended and every ticket shows it.
//!
//! With sweepers whose clock differs from the API's, a pushing process may have lost its job, and a runner may lose its
//! jobs in spite of its heartbeats; all other invariants hold. A read may return the version before the current one.
//!
//! Not modelled here: Fargate and a second entry (`fargate`), and reviews (`reviews`).

mod alike;
mod late;
mod person;
mod rules;
mod runner;
mod state;
mod sweeper;
mod table;
mod tests;
mod world;

use crate::moments::Moments;

/// What may happen in one exploration, and the rule that it leaves out.
#[derive(Clone, Copy, Debug)]
struct Setting {
    /// How many tickets have a job, at most two.
    jobs: usize,
    /// How many runners there are, at most two.
    runners: usize,
    /// How many sweepers run at once, at most two.
    sweepers: usize,
    /// How many answers are lost.
    faults: u8,
    /// How many calls of runners arrive twice, the second at any time.
    doubles: u8,
    /// How many processes of jobs die while their runners live on.
    crashes: u8,
    /// How often a person cancels.
    cancels: u8,
    /// How often a person pauses; each pause may be taken back.
    pauses: u8,
    /// How many inputs a person sends to the agent; an answer is one.
    says: u8,
    /// How many questions an agent asks.
    questions: u8,
    /// The moments in which jobs are claimed; two hours, 30 and 60 hours follow. Units: seconds.
    moments: Moments,
    /// Runners still work on their jobs two hours later.
    hours: bool,
    /// How far the sweepers' clock is ahead of the API's. Units: seconds.
    ahead: i64,
    /// A read may return the version before the current one.
    lags: bool,
    /// A job whose runner was lost while the agent worked is requeued; else it fails.
    goes_back: bool,
    /// Explore one of the states that differ only by names.
    alike: bool,
    /// The rule left out, if one is.
    without: Option<Rule>,
}

/// The conditions and decisions that the invariants depend on. A test for each explores without it, and must fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// A job is written over the revision that was read.
    JobOverRev,
    /// A runner's call must name the attempt and the claim that hold the job.
    Fence,
    /// A runner is marked offline over the heartbeat that was read.
    OfflineOverHeartbeat,
    /// A job of a silent runner ends over the epoch of that silence.
    EndOverEpoch,
    /// A job that a heartbeat does not list ends over that heartbeat.
    GhostOverHeartbeat,
    /// Only its runner ends a job that may be pushing.
    PushUntil,
    /// The time to push counts from the request, not from its answer.
    PushFromAsking,
    /// A push names the expected head, and an attempt adopts an earlier push of its job.
    ExpectedHead,
    /// A stale slot is emptied only of the claim that was read.
    SlotOfClaim,
    /// A claim id that got a job gets no second one.
    LastClaim,
    /// A refusal that no write verifies is read again before it is answered.
    LookAgain,
    /// A question rests a job only when its agent has read every input.
    NothingUnread,
    /// A runner that stops for a pause pauses the job only while a pause is wanted.
    PauseIsWanted,
    /// A job that is requeued while a pause is wanted is paused.
    RequeuePauses,
    /// An input that is sent again is recognised by its key.
    SaidOnce,
    /// A job that rests too long ends.
    RestEnds,
    /// A resting job is written together with the badge of its ticket.
    BadgeWithJob,
    /// A possible push of a lost attempt is looked for before its job fails.
    LostPush,
    /// Only an attempt that looked reports that nothing was pushed.
    WhoLooked,
}

/// The number of states, or the shortest way to one that breaks an invariant.
fn explore(setting: Setting) -> Result<usize, String> {
    crate::explore::explore(&mut world::World::new(setting))
}
