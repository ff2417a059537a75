//! Models three runs of one group: their jobs, two callers of `next_move`, orders of users, and an older program.
//!
//! A caller reads its run, then the group, then the other runs; it writes on the condition that run and group have not
//! changed, and may die before each step. Every hint may be lost: a caller may also start without one.

use crate::explore::{Step, explore};
use crate::fixtures::{at, project_id};
use crate::items::{ItemVersion, Items};
use pullyard_domain::project::plan::Plan;
use pullyard_domain::run::{
    Group, GroupFacts, JobEnd, Move, Run, RunFacts, RunState, RunWant, StepEnd, StepJob, StepState, due, next_move,
};
use pullyard_domain::text::failure::FailureClass;
use pullyard_domain::text::id::{JobId, RunId};
use serde_json::json;
use std::collections::BTreeMap;

const RUNS: usize = 3;

/// The newest job of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Job {
    None,
    Open,
    Cancelling,
    Completed,
    Failed,
    Cancelled,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Mover {
    Idle,
    ReadRun(usize, ItemVersion),
    ReadGroup(usize, ItemVersion, ItemVersion),
    Planned { index: usize, read: (ItemVersion, ItemVersion), planned: Planned },
}

/// One write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Planned {
    run: ItemVersion,
    group: Option<ItemVersion>,
    creates: bool,
    notes: bool,
    cancels: bool,
}

/// The numbers of events that can still happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Left {
    cancels: u8,
    resumes: u8,
    failures: u8,
    /// Ends of runs by a program that knows no groups.
    older: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct State {
    runs: [ItemVersion; RUNS],
    group: ItemVersion,
    jobs: [Job; RUNS],
    movers: [Mover; 2],
    left: Left,
}

struct World {
    plan: Plan,
    limit: usize,
    movers: usize,
    left: Left,
    runs: Items<Run>,
    groups: Items<Group>,
}

fn step_job(run: &Run, job: Job) -> BTreeMap<JobId, StepJob> {
    let ended = |end| StepJob::Ended(StepEnd::new(end));
    let job = match job {
        Job::None => None,
        Job::Open => Some(StepJob::Open { is_cancelled: false }),
        Job::Cancelling => Some(StepJob::Open { is_cancelled: true }),
        Job::Completed => Some(ended(JobEnd::Completed)),
        Job::Failed => Some(ended(JobEnd::Failed(FailureClass::Infra))),
        Job::Cancelled => Some(ended(JobEnd::Cancelled)),
    };
    run.open_jobs().cloned().zip(job).collect()
}

impl World {
    fn new(limit: usize, movers: usize, left: Left) -> Self {
        let plan = json!({
            "name": "model", "concurrency": { "group": "deploy", "limit": limit },
            "steps": [{ "name": "a", "prompt": "Work." }],
        });
        let plan = Plan::parse(plan).unwrap_or_else(|faults| panic!("{faults:?}"));
        Self { plan, limit, movers, left, runs: Items::new(), groups: Items::new() }
    }

    fn plan_move(&mut self, index: usize, run: ItemVersion, group: ItemVersion, from: &State) -> Option<Planned> {
        let run = self.runs.get(run).clone();
        let group = self.groups.get(group).clone();
        let asked = if run.has_place() { Vec::new() } else { group.first_runs(self.limit) };
        let others: Vec<Run> = from.runs.iter().map(|run| self.runs.get(*run).clone()).collect();
        let facts = GroupFacts::new(group, &asked, &others);
        let jobs = step_job(&run, from.jobs[index]);
        let (plan, group) = (&self.plan, Some(facts));
        let facts = RunFacts { plan, jobs, block: None, group, room: usize::MAX, now: at(10) };
        let Move { run, noted, created, cancelled, group } = next_move(&run, &facts)?;
        let group = group.map(|group| self.groups.number(group));
        let (creates, notes, cancels) = (!created.is_empty(), !noted.is_empty(), !cancelled.is_empty());
        Some(Planned { run: self.runs.number(run), group, creates, notes, cancels })
    }

    fn is_over(&self, run: ItemVersion) -> bool {
        self.runs.get(run).state != RunState::Running
    }

    /// The write of a caller whose run and group have not changed.
    fn write(&self, state: &mut State, index: usize, planned: Planned) -> Result<(), String> {
        let takes = !self.runs.get(state.runs[index]).has_place() && self.runs.get(planned.run).has_place();
        state.runs[index] = planned.run;
        state.group = planned.group.unwrap_or(state.group);
        if planned.notes {
            state.jobs[index] = Job::None;
        }
        if planned.creates {
            if state.jobs[index] != Job::None {
                return Err("a second job of one run".into());
            }
            state.jobs[index] = Job::Open;
        }
        let (group, run) = (self.groups.get(state.group), self.runs.get(planned.run));
        if takes {
            let is_older = |other: &&Run| {
                let waits = other.state == RunState::Running && !other.has_place() && other.want == RunWant::Run;
                waits && other.since < run.since && group.waiting.contains_key(&other.id)
            };
            let older = state.runs.iter().map(|other| self.runs.get(*other)).filter(is_older).count();
            if group.holders.len() + older > self.limit {
                return Err("a run takes the place of an older one".into());
            }
        }
        Ok(())
    }
}

impl crate::explore::World for World {
    type State = State;

    fn start(&mut self) -> State {
        let mut group = Group::new(project_id(), "deploy".into(), at(0));
        let mut runs = [0; RUNS];
        for (index, place) in runs.iter_mut().enumerate() {
            let id = RunId::for_request(&project_id(), "ann", &index.to_string());
            let run = Run::new(id, project_id(), &self.plan, "ann".into(), at(u64::try_from(index).unwrap()));
            group = group.with_waiting(&run, &self.plan).unwrap();
            *place = self.runs.number(run);
        }
        let group = self.groups.number(group);
        State { runs, group, jobs: [Job::None; RUNS], movers: [Mover::Idle; 2], left: self.left }
    }

    fn check_invariants(&mut self, state: &State) -> Result<(), String> {
        let runs: Vec<&Run> = state.runs.iter().map(|run| self.runs.get(*run)).collect();
        let works = |run: &&&Run| run.state == RunState::Running && run.has_place();
        if runs.iter().filter(works).count() > self.limit {
            return Err("more runs work than the limit allows".into());
        }
        for (run, job) in runs.iter().zip(&state.jobs) {
            let has_open = run.steps.iter().any(|step| step.state == StepState::Open);
            if has_open != (*job != Job::None) {
                return Err("a run and its job differ".into());
            }
            if has_open && !run.has_place() {
                return Err("a run works without a place".into());
            }
            if run.state == RunState::Running && due::run(run).is_none() {
                return Err("a run will never be due".into());
            }
        }
        let is_idle = state.movers.iter().all(|mover| *mover == Mover::Idle);
        if !is_idle
            || state.jobs.iter().any(|job| *job != Job::None)
            || runs.iter().all(|run| run.state != RunState::Running)
        {
            return Ok(());
        }
        let mut moves = (0..RUNS).map(|index| self.plan_move(index, state.runs[index], state.group, state));
        if moves.any(|planned| planned.is_some()) { Ok(()) } else { Err("a run waits forever".into()) }
    }

    fn next(&mut self, from: &State) -> Result<Vec<(Step, State)>, String> {
        let mut next = Vec::new();
        for number in 0..self.movers {
            let mover = from.movers[number];
            let mut go = |name: &'static str, mover: Mover| {
                let mut state = *from;
                state.movers[number] = mover;
                next.push((Step::new(name, number), state));
            };
            if mover != Mover::Idle {
                go("dies, or finds a change,", Mover::Idle);
            }
            match mover {
                Mover::Idle => {
                    for index in (0..RUNS).filter(|index| !self.is_over(from.runs[*index])) {
                        go("reads a run", Mover::ReadRun(index, from.runs[index]));
                    }
                }
                Mover::ReadRun(index, run) => go("reads the group", Mover::ReadGroup(index, run, from.group)),
                Mover::ReadGroup(index, run, group) => {
                    if let Some(planned) = self.plan_move(index, run, group, from) {
                        go("plans", Mover::Planned { index, read: (run, group), planned });
                    }
                }
                Mover::Planned { index, read, planned } => {
                    if planned.cancels && from.jobs[index] == Job::Open {
                        let mut state = *from;
                        state.jobs[index] = Job::Cancelling;
                        next.push((Step::new("cancels the job", number), state));
                    } else if read.0 == from.runs[index] && (planned.group.is_none() || read.1 == from.group) {
                        let mut state = *from;
                        state.movers[number] = Mover::Idle;
                        self.write(&mut state, index, planned)?;
                        next.push((Step::new("writes", number), state));
                        if self.is_over(planned.run) && from.left.older > 0 {
                            let mut state = *from;
                            state.movers[number] = Mover::Idle;
                            state.left.older -= 1;
                            self.write(&mut state, index, Planned { group: None, ..planned })?;
                            next.push((Step::new("writes as an older program", number), state));
                        }
                    }
                }
            }
        }
        for index in 0..RUNS {
            let ends = match from.jobs[index] {
                Job::Open => vec![Job::Completed, Job::Failed],
                Job::Cancelling => vec![Job::Completed, Job::Cancelled],
                _ => Vec::new(),
            };
            for end in ends.into_iter().filter(|end| *end != Job::Failed || from.left.failures > 0) {
                let mut state = *from;
                state.jobs[index] = end;
                state.left.failures -= u8::from(end == Job::Failed);
                next.push((Step::new("a job ends", index), state));
            }
            let run = self.runs.get(from.runs[index]);
            let cancelled = run.cancel(("ann", at(10))).ok().filter(|next| from.left.cancels > 0 && next != run);
            // No two resumes are in the same millisecond.
            let now = at(20 - u64::from(from.left.resumes));
            let resumed = run.resume(&self.plan, None, ("ann", now));
            let resumed = resumed.ok().filter(|next| from.left.resumes > 0 && next != run);
            if let Some(run) = cancelled {
                let mut state = *from;
                state.runs[index] = self.runs.number(run);
                state.left.cancels -= 1;
                next.push((Step::new("a user cancels run", index), state));
            }
            if let Some(run) = resumed {
                let mut state = *from;
                state.runs[index] = self.runs.number(run);
                state.left.resumes -= 1;
                next.push((Step::new("a user resumes run", index), state));
            }
        }
        Ok(next)
    }
}

#[track_caller]
fn check(name: &str, limit: usize, movers: usize, left: Left) {
    match explore(&mut World::new(limit, movers, left)) {
        Ok(states) => println!("{name}, limit {limit}: {states} states"),
        Err(wrong) => panic!("{name}, limit {limit}: {wrong}"),
    }
}

const QUIET: Left = Left { cancels: 0, resumes: 0, failures: 0, older: 0 };

#[test]
fn group_never_exceeds_its_limit_and_all_runs_end() {
    check("two callers", 1, 2, QUIET);
    check("two callers", 2, 2, QUIET);
}

#[test]
fn cancelled_run_of_a_group_frees_its_place() {
    check("cancel", 1, 2, Left { cancels: 1, ..QUIET });
    check("cancels", 2, 1, Left { cancels: 3, ..QUIET });
}

#[test]
fn resumed_run_of_a_group_takes_another_place() {
    check("resume", 1, 2, Left { failures: 1, resumes: 1, ..QUIET });
    check("cancel and resume", 1, 1, Left { cancels: 2, resumes: 2, ..QUIET });
}

#[test]
fn run_of_a_group_ended_by_an_older_program_blocks_none() {
    check("older program", 1, 1, Left { cancels: 2, older: 3, ..QUIET });
    check("older program", 2, 2, Left { older: 2, ..QUIET });
}
