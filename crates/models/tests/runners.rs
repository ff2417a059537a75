//! The exhaustive check of what jobs of two tickets can go through on two self-hosted runners: every
//! interleaving of their claims, phases, pushes, finishes and heartbeats with two sweepers, a person who
//! cancels, pauses, continues and answers, and time, where any process may be slow for ever and any answer may be lost after its write.
//!
//! The rules are the domain's own; this owns a small table whose writes have the conditions of
//! `crates/store/src/write`, and the steps of `crates/control/src/{runner,attempt,sweep}` over it: what is read
//! in one step is written in another. Revisions are not counted: whoever read an item knows whether anybody
//! wrote it since. Time has a few moments; in the first ones jobs are claimed. A call may come twice, and the process
//! of a job may die with its call under way: in `late`, whose functions run whenever they like and answer nobody.
//! Two tickets, and two runners, differ by their names alone: in `alike`, with which of such states one is explored.
//!
//! What must always hold, in `World::wrong` and where it happens: a ticket names exactly its job that has not ended; a
//! runner has exactly the slots of the jobs that it holds; whoever pushes, or has something written of an attempt,
//! holds its job at that moment; a branch moves once; only what was pushed is completed, what was pushed and is not
//! completed was looked for and is said to be nowhere by nobody, and what has ended stays so; nobody who was heard loses
//! a job for its silence; one claim gets one attempt; everything that has not ended has its row, and at the end
//! everything has ended and is shown. What stands still is held by nobody and its ticket says so; a job is paused
//! exactly while people want that; a question is not left standing beside an answer, and what a person said once counts
//! once.
//!
//! The sweepers' clock may be apart from the API's; then whoever pushes may have lost its job, also to one that looked
//! before and found nothing, and a runner that is heard may lose its jobs, and all else holds. What is read may be the
//! item of a moment ago. Of the index nothing is asked: whoever could find a job there may, and may not.
//!
//! Left out: Fargate and a second entry of a ticket, in `fargate`; reviews, in `reviews`.

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

/// What happens in one exploration, and which rule is left out of it.
#[derive(Clone, Copy, Debug)]
struct Setting {
    /// How many tickets have a job, at most two.
    jobs: usize,
    /// How many runners there are, at most two.
    runners: usize,
    /// How many sweepers go round at once, at most two.
    sweepers: usize,
    /// How many answers are lost.
    faults: u8,
    /// How many calls of runners come twice, the second one whenever it likes.
    doubles: u8,
    /// How many processes of jobs die while their runners live on.
    crashes: u8,
    /// How often a person cancels.
    cancels: u8,
    /// How often a person pauses; each pause may be taken back.
    pauses: u8,
    /// How often a person says something to the agent, an answer for one.
    says: u8,
    /// How often an agent asks something.
    questions: u8,
    /// The moments in which jobs are claimed; two hours, 30 and 60 hours follow. Units: seconds.
    moments: Moments,
    /// Runners are still heard two hours later, and go on with what they had.
    hours: bool,
    /// By how much the sweepers' clock is ahead of the API's. Units: seconds.
    ahead: i64,
    /// What is read may be older than what stands in the table.
    lags: bool,
    /// What becomes of a job whose runner was lost while the agent worked: it goes back, or it fails.
    goes_back: bool,
    /// Of states that differ by names alone one is explored.
    alike: bool,
    /// The rule left out, if one is.
    without: Option<Rule>,
}

/// The rules that make it hold. Each exploration without one of them fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// A job is written over the revision that was read.
    JobOverRev,
    /// A runner's call counts only with the attempt and the claim that hold the job.
    Fence,
    /// A runner is taken Offline over the heartbeat that was read.
    OfflineOverHeartbeat,
    /// What a silent runner loses, it loses over the epoch of its silence.
    EndOverEpoch,
    /// What a runner does not say that it runs, it loses over the heartbeat that did not say so.
    GhostOverHeartbeat,
    /// Nobody but its runner touches a job that may be pushing.
    PushUntil,
    /// The time to push counts from when it was asked for, not from when the answer came.
    PushFromAsking,
    /// A push says which commit it expects, and what was pushed for the job before is adopted.
    ExpectedHead,
    /// A slot whose job is not held by it is emptied of the very claim that was read.
    SlotOfClaim,
    /// A claim that got a job gets no second one.
    LastClaim,
    /// What no write proves is read again before it is answered.
    LookAgain,
    /// A question counts only while everything that was said has been read.
    NothingUnread,
    /// A runner that stops for a pause leads to one only while that is wanted.
    PauseIsWanted,
    /// What goes back while a pause is wanted is paused by that.
    RequeuePauses,
    /// What was said is known by its key when it is said again.
    SaidOnce,
    /// What stands still for long ends.
    RestEnds,
    /// Standing still is written together with what the ticket shows of it.
    BadgeWithJob,
    /// What a lost attempt may have pushed is looked for before its job fails.
    LostPush,
    /// That nothing was pushed is said by who looked, and by no other end.
    WhoLooked,
}

/// The number of states, or the shortest way to one that must not be.
fn explore(setting: Setting) -> Result<usize, String> {
    crate::explore::explore(&mut world::World::new(setting))
}
