//! Calls the domain's functions for the items of a state, and caches every answer.

use super::{End, Job, Jobs, MAX_JOBS, MAX_STEPS};
use crate::explore::Fast;
use crate::fixtures::{at, project_id};
use crate::items::{ItemVersion, Items};
use pullyard_domain::project::plan::Plan;
use pullyard_domain::run::due::{self, Due};
use pullyard_domain::run::{
    Answer, JobEnd, ReleaseBlock, Run, RunFacts, RunFailure, RunState, RunStep, RunWant, SpawnRequest, StepEnd,
    StepJob, StepJobPlan, StepReason, StepState, next_move,
};
use pullyard_domain::text::failure::FailureClass;
use pullyard_domain::text::id::{JobId, RunId};
use pullyard_domain::text::time::Timestamp;
use std::collections::BTreeMap;

/// Cost of each job. Units: millionths of a US dollar.
const COST: u64 = 1_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Order {
    Cancel,
    Resume,
    Approve,
    Refuse,
}

impl Order {
    pub(super) const ALL: [Self; 4] = [Self::Cancel, Self::Resume, Self::Approve, Self::Refuse];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Cancel => "a user cancels",
            Self::Resume => "a user resumes",
            Self::Approve => "a user approves",
            Self::Refuse => "a user refuses",
        }
    }
}

/// One write, with sets of slots of jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Planned {
    pub(super) run: ItemVersion,
    pub(super) created: u32,
    pub(super) noted: u32,
    pub(super) cancelled: u32,
}

type Question = (ItemVersion, Jobs, bool, bool);

pub(super) struct Rules {
    plan: Plan,
    names: Vec<String>,
    slots: BTreeMap<JobId, usize>,
    runs: Items<Run>,
    moves: Vec<Planned>,
    known: Fast<Planned, u16>,
    move_cache: Fast<Question, Result<u16, String>>,
    order_cache: Fast<(ItemVersion, Order, bool), Option<ItemVersion>>,
    check_cache: Fast<(ItemVersion, Jobs), Result<(), String>>,
}

fn run_id() -> RunId {
    RunId::for_request(&project_id(), "ann", "model")
}

fn time(is_late: bool) -> Timestamp {
    at(if is_late { 90_000 } else { 0 })
}

fn added_steps() -> Vec<SpawnRequest> {
    let step = |name: &str, needs: &[&str]| SpawnRequest {
        name: name.into(),
        role: "implementer".into(),
        prompt: "Work.".into(),
        needs: needs.iter().map(|need| (*need).to_owned()).collect(),
        agent: None,
        model: None,
        limits: Default::default(),
    };
    vec![step("x", &[]), step("y", &["x"])]
}

impl Rules {
    pub(super) fn new(plan: Plan) -> Self {
        let mut names: Vec<String> = plan.steps.iter().map(|step| step.name.clone()).collect();
        names.extend(["a/x", "a/y"].map(str::to_owned));
        assert!(names.len() <= MAX_STEPS);
        let numbered = |(index, name): (usize, &String)| {
            let of_number = |number: usize| {
                (JobId::for_step(&run_id(), name, u32::try_from(number).unwrap() + 1), index * MAX_JOBS + number)
            };
            (0..MAX_JOBS).map(of_number).collect::<Vec<_>>()
        };
        let slots = names.iter().enumerate().flat_map(numbered).collect();
        Self {
            plan,
            names,
            slots,
            runs: Items::new(),
            moves: Vec::new(),
            known: Fast::default(),
            move_cache: Fast::default(),
            order_cache: Fast::default(),
            check_cache: Fast::default(),
        }
    }

    pub(super) fn start(&mut self) -> ItemVersion {
        self.runs.number(Run::new(run_id(), project_id(), &self.plan, "ann".into(), time(false)))
    }

    pub(super) fn planned(&self, number: u16) -> Planned {
        self.moves[usize::from(number)]
    }

    fn jobs(&self, jobs: &Jobs) -> BTreeMap<JobId, StepJob> {
        let job = |(id, slot): (&JobId, &usize)| {
            let job = match jobs[*slot] {
                Job::Open => StepJob::Open { is_cancelled: false },
                Job::Cancelling => StepJob::Open { is_cancelled: true },
                Job::Ended(end) => {
                    let outcome = Some(if end == End::Faulty { "faulty" } else { "approved" }.to_owned());
                    let spawn = if end == End::Added { added_steps() } else { Vec::new() };
                    let end = match end {
                        End::Completed | End::Faulty | End::Added => JobEnd::Completed,
                        End::Failed => JobEnd::Failed(FailureClass::Infra),
                        End::Refused => JobEnd::Failed(FailureClass::Repo),
                        End::Cancelled => JobEnd::Cancelled,
                    };
                    StepJob::Ended(StepEnd { end, spent_usd_micros: COST, outcome, spawn, spawn_fault: None })
                }
                Job::Absent | Job::Noted(_) => return None,
            };
            Some((id.clone(), job))
        };
        self.slots.iter().filter_map(job).collect()
    }

    fn find(&mut self, question: &Question) -> Result<u16, String> {
        let (run, jobs, is_held, is_late) = *question;
        let jobs = self.jobs(&jobs);
        let block = is_held.then_some(ReleaseBlock::Held);
        let (plan, now) = (&self.plan, time(is_late));
        let facts = RunFacts { plan, jobs, block, group: None, room: usize::MAX, now };
        let moved = next_move(self.runs.get(run), &facts).ok_or("the run is due, and no move is left")?;
        let must_not_start = is_held || facts.now >= moved.run.wall_end() || moved.run.want == RunWant::Cancel;
        if !moved.created.is_empty() && must_not_start {
            return Err("a job is created for a run that must not start one".into());
        }
        for job in &moved.created {
            check_start(&moved.run, &self.plan, job)?;
        }
        let set = |jobs: &[JobId]| {
            let slot = |job: &JobId| self.slots.get(job).copied().ok_or("a job without a slot");
            jobs.iter().try_fold(0, |set, job| slot(job).map(|slot| set | 1 << slot))
        };
        let created: Vec<JobId> = moved.created.into_iter().map(|job| job.id).collect();
        let (created, noted, cancelled) = (set(&created)?, set(&moved.noted)?, set(&moved.cancelled)?);
        let planned = Planned { run: self.runs.number(moved.run), created, noted, cancelled };
        if let Some(number) = self.known.get(&planned) {
            return Ok(*number);
        }
        let number = u16::try_from(self.moves.len()).map_err(|_| "the setting has too many moves")?;
        self.moves.push(planned);
        self.known.insert(planned, number);
        Ok(number)
    }

    /// The move of a caller, which has one because the run is due.
    pub(super) fn plan_move(
        &mut self,
        run: ItemVersion,
        jobs: &Jobs,
        is_held: bool,
        is_late: bool,
    ) -> Result<u16, String> {
        let question = (run, *jobs, is_held, is_late);
        if let Some(known) = self.move_cache.get(&question) {
            return known.clone();
        }
        let found = self.find(&question);
        self.move_cache.insert(question, found.clone());
        found
    }

    pub(super) fn order(&mut self, run: ItemVersion, order: Order, is_late: bool) -> Option<ItemVersion> {
        if let Some(known) = self.order_cache.get(&(run, order, is_late)) {
            return *known;
        }
        let (before, now) = (self.runs.get(run), ("ann", time(is_late)));
        let asked = before.steps.iter().find(|step| step.state == StepState::Asked);
        let after = match order {
            Order::Cancel => before.cancel(now).ok(),
            Order::Resume => before.resume(&self.plan, None, now).ok(),
            Order::Approve => asked.and_then(|step| before.answer(step, Answer::Approve, &self.plan, now).ok()),
            Order::Refuse => asked.and_then(|step| before.answer(step, Answer::Refuse, &self.plan, now).ok()),
        };
        let after = after.map(|run| self.runs.number(run));
        self.order_cache.insert((run, order, is_late), after);
        after
    }

    pub(super) fn is_due(&self, run: ItemVersion, is_held: bool, is_late: bool) -> bool {
        match due::run(self.runs.get(run)) {
            Some(Due::At(at)) => at <= time(is_late),
            // The end of the hold wakes it.
            Some(Due::Held { .. }) => !is_held,
            _ => false,
        }
    }

    pub(super) fn is_ended(&self, run: ItemVersion) -> bool {
        self.runs.get(run).state != RunState::Running
    }

    pub(super) fn has_question(&self, run: ItemVersion) -> bool {
        self.runs.get(run).steps.iter().any(|step| step.state == StepState::Asked)
    }

    /// Whether the jobs of the run have to end.
    pub(super) fn is_ending(&self, run: ItemVersion, is_late: bool) -> bool {
        let run = self.runs.get(run);
        run.want == RunWant::Cancel || time(is_late) >= run.wall_end()
    }

    pub(super) fn has_outcomes(&self, slot: usize) -> bool {
        let step = self.plan.find_step(&self.names[slot / MAX_JOBS]);
        step.is_some_and(|step| step.keys.outcomes.is_some())
    }

    pub(super) fn has_retries(&self, slot: usize) -> bool {
        let step = self.plan.find_step(&self.names[slot / MAX_JOBS]);
        step.is_some_and(|step| step.keys.retries.is_some())
    }

    /// Whether the job in the slot is a manager's, in a turn that may add steps.
    pub(super) fn may_add(&self, run: ItemVersion, slot: usize) -> bool {
        let name = &self.names[slot / MAX_JOBS];
        let step = self.runs.get(run).find_step(name).filter(|step| step.turn == 0);
        step.is_some() && self.plan.find_step(name).is_some_and(|step| step.role.as_deref() == Some("manager"))
    }

    pub(super) fn check_run(&mut self, run: ItemVersion, jobs: &Jobs) -> Result<(), String> {
        if let Some(known) = self.check_cache.get(&(run, *jobs)) {
            return known.clone();
        }
        let checked = self.find_fault(self.runs.get(run), jobs);
        self.check_cache.insert((run, *jobs), checked.clone());
        checked
    }

    fn find_fault(&self, run: &Run, jobs: &Jobs) -> Result<(), String> {
        let newest = |step: &RunStep| step.job.as_ref().and_then(|job| self.slots.get(job)).copied();
        let is_open = |step: &&RunStep| step.state == StepState::Open;
        let open: Vec<usize> = run.steps.iter().filter(is_open).filter_map(newest).collect();
        let unnoted = |job: Job| matches!(job, Job::Open | Job::Cancelling | Job::Ended(_));
        for (slot, job) in jobs.iter().enumerate() {
            if unnoted(*job) != open.contains(&slot) {
                return Err(format!("the job in slot {slot} and the run differ"));
            }
        }
        if open.len() > self.plan.concurrency_limit() {
            return Err("too many open jobs".into());
        }
        let reserved: u64 = run.steps.iter().map(|step| step.reserved_usd_micros).sum();
        if run.cost_usd_micros.is_some_and(|limit| run.spent_usd_micros + reserved > limit) {
            return Err("the cost limit is exceeded".into());
        }
        let noted = jobs.iter().filter(|job| matches!(job, Job::Noted(_))).count();
        if run.spent_usd_micros != COST * u64::try_from(noted).unwrap() {
            return Err("a job is counted twice or never".into());
        }
        for (index, name) in self.names.iter().enumerate() {
            let of_step = &jobs[index * MAX_JOBS..(index + 1) * MAX_JOBS];
            let is_completed = |job: &&Job| {
                matches!(job, Job::Ended(End::Completed | End::Faulty) | Job::Noted(End::Completed | End::Faulty))
            };
            let completed = of_step.iter().filter(is_completed).count();
            let step = run.find_step(name);
            if completed > 1 {
                return Err(format!("{name} was done twice"));
            }
            let is_question = self.plan.find_step(name).is_some_and(|step| step.approve.is_some());
            if step.is_some_and(|step| step.state == StepState::Done) && completed == 0 && !is_question {
                return Err(format!("{name} is done without a job"));
            }
        }
        check_end(run, &self.plan)
    }
}

/// Checks the conditions of a step that gets a job, by a definition of its own.
fn check_start(after: &Run, plan: &Plan, job: &StepJobPlan) -> Result<(), String> {
    let name = &job.step;
    let planned = plan.find_step(name);
    let spawned = after.find_step(name).and_then(|step| step.spawned.as_ref());
    let needs = spawned.map_or_else(|| planned.unwrap().needs.clone(), |spawned| spawned.needs.clone());
    for need in needs {
        let step = after.find_step(&need).unwrap();
        let allows = plan.find_step(&need).is_some_and(|need| need.keys.allow_failure == Some(true));
        let is_met = match step.state {
            StepState::Done => true,
            StepState::Skipped => step.reason == Some(StepReason::When),
            StepState::Failed | StepState::Cancelled => allows,
            _ => false,
        };
        if !is_met {
            return Err(format!("{name} starts before {need} ended well"));
        }
    }
    for (need, wanted) in planned.iter().flat_map(|step| &step.when) {
        let outcome = after.find_step(need).unwrap().outcome.clone();
        if !outcome.is_some_and(|outcome| wanted.as_slice().contains(&outcome)) {
            return Err(format!("{name} starts after another outcome of {need}"));
        }
    }
    let is_of_last_turn = |step: &&RunStep| {
        step.spawned.as_ref().is_some_and(|spawned| spawned.by == *name && spawned.turn + 1 == job.turn)
    };
    match after.steps.iter().filter(is_of_last_turn).find(|step| !step.state.is_terminal()) {
        Some(step) => Err(format!("{name} has its next turn before {} ended", step.name)),
        None => Ok(()),
    }
}

/// The end that the steps and the orders of an ended run allow.
fn check_end(run: &Run, plan: &Plan) -> Result<(), String> {
    if run.state == RunState::Running {
        return Ok(());
    }
    if !run.steps.iter().all(|step| step.state.is_terminal()) {
        return Err("an ended run has a step that did not end".into());
    }
    let of_plan = |step: &&RunStep| {
        let allows = plan.find_step(&step.name).is_some_and(|step| step.keys.allow_failure == Some(true));
        step.spawned.is_none() && !allows
    };
    let has = |is: fn(&RunStep) -> bool| run.steps.iter().filter(of_plan).any(is);
    let is_stopped = run.steps.iter().any(|step| step.reason == Some(StepReason::Stopped));
    let is_cut = is_stopped || has(|step| step.state == StepState::Cancelled);
    let has_failed = has(|step| matches!(step.state, StepState::Failed | StepState::Cancelled))
        || run.steps.iter().any(|step| step.spawned.is_none() && step.reason == Some(StepReason::NeedFailed));
    let allowed = match () {
        () if is_cut && run.want == RunWant::Cancel => (RunState::Cancelled, None),
        () if is_cut && run.ended_at >= Some(run.wall_end()) => (RunState::Failed, Some(RunFailure::TimeLimit)),
        () if has_failed => (RunState::Failed, Some(RunFailure::StepFailed)),
        () if is_stopped && run.cost_usd_micros.is_some() => (RunState::Failed, Some(RunFailure::CostLimit)),
        () if is_stopped => return Err("a step is stopped without a reason".into()),
        () => (RunState::Completed, None),
    };
    match (run.state, run.failure) {
        found if found == allowed => Ok(()),
        found => Err(format!("the run ended as {found:?} instead of {allowed:?}")),
    }
}
