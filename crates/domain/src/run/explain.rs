//! The state of a run or a step in one sentence, with the user's next step.

use super::facts::RunFacts;
use super::{Run, RunFailure, RunState, RunStep, RunWant, StepReason, StepState};
use crate::project::budget::format_usd;
use crate::text::Cause;
use crate::text::code::vocabulary;
use crate::text::id::{JobId, ProjectId, RunId};
use crate::text::wait::Resolution;

vocabulary! {
    pub enum StepWait: Resolution {
        RunEnding { step: String } [Itself] "run_ending", "The run ends, so {step} does not start.", "Nothing to do.";
        NeedsSteps { step: String, steps: Cause } [Itself] "needs_steps", "{step} waits for {steps}.", "Nothing to do.";
        AddedSteps { step: String, n: u64 } [Itself] "added_steps", "{step} waits for {n} of its added steps.", "Nothing to do.";
        Approval { step: String, run: RunId } [Person] "approval", "{step} waits for a user.", "`pullyard runs approve {run}/{step}`, or `pullyard runs refuse {run}/{step}`.";
        ProjectHeld { project: ProjectId } [Person] "project_held", "{project} is held.", "Release it: `pullyard release`.";
        DayBudget { project: ProjectId } [Itself] "day_budget", "The budget of {project} is used up for today.", "Wait until midnight UTC, or raise it: `pullyard budgets set`.";
        GroupBusy { n: u64, limit: u64, group: String, ahead: u64, first: RunId } [Itself] "group_busy", "Runs of {group}: {n} working, {ahead} ahead; this run's limit is {limit}.", "Wait; or `pullyard runs show {first}`, and `pullyard runs cancel {first}` frees its place.";
        RunLimit { n: u64, limit: u64 } [Itself] "run_limit", "{n} of {limit} steps of the run have a job.", "Nothing to do; `concurrency_limit` in the plan is the limit of its next run.";
        RunCost { step: String, cost: String, left: String } [Itself] "run_cost", "{step} needs {cost}, and {left} of the run's limit is free.", "Nothing to do while a step works; else answer the question, then `pullyard runs resume --cost-usd N` if the run ends.";
        Starting { step: String } [Itself] "starting", "{step} is about to start.", "Nothing to do.";
    }
}

vocabulary! {
    /// Why a step has a job or has ended. `StepWait` explains the other states.
    pub enum StepExplanation: Resolution {
        HasJob { step: String, job: JobId } [Itself] "has_job", "{step} has the job {job}.", "`pullyard why {job}` explains it.";
        Done { step: String } [Itself] "done", "{step} is done.", "Nothing to do.";
        Approved { step: String, by: String } [Itself] "approved", "{by} approved {step}.", "Nothing to do.";
        Chosen { step: String, outcome: String } [Itself] "outcome", "{step} is done: {outcome}.", "Nothing to do.";
        OtherOutcome { step: String } [Itself] "when", "{step} was skipped, because a step in its `when` has another outcome.", "Nothing to do.";
        NeedFailed { step: String, run: RunId } [Person] "need_failed", "{step} was skipped, because a step that it needs failed.", "`pullyard runs resume {run}` starts both again.";
        Stopped { step: String, run: RunId } [Person] "stopped", "{step} was skipped, because the run ended before it.", "`pullyard runs resume {run}` starts it.";
        Refused { step: String, by: String, run: RunId } [Person] "refused", "{by} refused {step}.", "`pullyard runs resume {run}` asks again.";
        JobFailed { step: String, job: JobId, run: RunId } [Person] "job_failed", "Job {job} of {step} failed.", "`pullyard why {job}` names the cause; after its correction, `pullyard runs resume {run}`.";
        WentOn { why: Cause } [Itself] "went_on", "{why}. The run went on.", "`pullyard why JOB` explains a failed job; only another run repeats the step.";
        UsedByManager { why: Cause } [Itself] "used_by_manager", "{why}. Its manager gets the result.", "`pullyard why JOB` explains a failed job; only another run repeats the step.";
        NoOutcome { step: String, job: JobId, run: RunId } [Person] "no_outcome", "Job {job} of {step} chose none of its outcomes.", "`pullyard runs resume {run}` starts the step again.";
        NotStarted { step: String, run: RunId } [Person] "not_started", "The project's present settings refuse the agent or the model of {step}.", "Allow it with `pullyard settings set` or `pullyard repos set`; then `pullyard runs resume {run}`.";
        JobCancelled { step: String, job: JobId, run: RunId } [Person] "job_cancelled", "Job {job} of {step} was cancelled.", "`pullyard runs resume {run}` starts the step again.";
        SpawnInvalid { step: String, job: JobId, run: RunId, fault: Cause } [Person] "spawn_invalid", "{step} may not add its steps: {fault}.", "`pullyard jobs output {job} --json` shows them; `pullyard runs resume {run}` repeats the turn.";
        Unknown { step: String, state: String } [Person] "unknown", "{step} is {state} for a reason that this version does not know.", "Update Pullyard.";
    }
}

vocabulary! {
    /// Why a run failed.
    pub enum RunFailureCause: Resolution {
        StepFailed { steps: Cause, run: RunId } [Person] "step_failed", "Failed or cancelled steps: {steps}.", "`pullyard runs why {run}` names the causes; after their correction, `pullyard runs resume {run}`.";
        TimeLimit { run: RunId } [Person] "time_limit", "The run reached its time limit.", "`pullyard runs resume {run}` starts the plan's steps that are not done, with the same limit.";
        GroupTimeLimit { group: String, run: RunId } [Person] "group_time_limit", "The run reached its time limit before it had a place in the group {group}.", "`pullyard runs resume {run}` waits again, behind the others of the group.";
        PlaceGone { run: RunId } [Person] "place_gone", "The project or the repository of the run was removed.", "Connect it again, then `pullyard runs resume {run}`.";
        CostLimit { run: RunId, limit: String } [Person] "cost_limit", "The rest of the run does not fit into its cost limit of {limit}.", "Raise it: `pullyard runs resume {run} --cost-usd N`.";
        Unknown {} [Person] "unknown", "The run failed for a reason that this version does not know.", "Update Pullyard.";
    }
}

impl Run {
    /// The first thing that the step waits for. `None`: it has ended, or its job explains the wait.
    pub fn step_wait(&self, name: &str, facts: &RunFacts) -> Option<StepWait> {
        let index = self.steps.iter().position(|step| step.name == name).filter(|_| self.state == RunState::Running)?;
        self.wait_of(index, &self.rules(facts.plan), facts)
    }

    /// Why a step has a job or has ended. `None`: `step_wait` explains it.
    pub fn explain_step(&self, step: &RunStep) -> Option<StepExplanation> {
        use StepExplanation as E;
        let (name, run, state) = (step.name.clone(), self.id.clone(), step.state);
        let (job, by) = (step.job.clone(), step.by.clone());
        let is_final = self.state == RunState::Completed || self.has_used(step);
        let why = match (state, step.reason, job) {
            (StepState::Waiting | StepState::Spawning | StepState::Asked, ..) => return None,
            (StepState::Open, _, Some(job)) => E::HasJob { step: name, job },
            (StepState::Done, ..) => match (step.outcome.clone(), by) {
                (Some(outcome), _) => E::Chosen { step: name, outcome },
                (None, Some(by)) => E::Approved { step: name, by },
                (None, None) => E::Done { step: name },
            },
            (_, Some(StepReason::When), _) => E::OtherOutcome { step: name },
            (_, Some(StepReason::NeedFailed), _) => E::NeedFailed { step: name, run },
            (_, Some(StepReason::Stopped), _) => E::Stopped { step: name, run },
            (_, Some(StepReason::Refused), _) => {
                E::Refused { step: name, by: by.unwrap_or_else(|| "A user".into()), run }
            }
            (_, Some(StepReason::NotStarted), _) => E::NotStarted { step: name, run },
            (_, Some(StepReason::JobFailed), Some(job)) => E::JobFailed { step: name, job, run },
            (_, Some(StepReason::NoOutcome), Some(job)) => E::NoOutcome { step: name, job, run },
            (_, Some(StepReason::JobCancelled), Some(job)) => E::JobCancelled { step: name, job, run },
            (_, Some(StepReason::SpawnInvalid), Some(job)) => {
                let fault = step.fault.as_deref().unwrap_or("they are wrong").into();
                E::SpawnInvalid { step: name, job, run, fault }
            }
            _ => E::Unknown { step: name, state: state.as_str().into() },
        };
        Some(match (is_final && why.class() == Resolution::Person, &step.spawned) {
            (false, _) => why,
            (true, None) => E::WentOn { why: why.sentence().into() },
            (true, Some(_)) => E::UsedByManager { why: why.sentence().into() },
        })
    }

    /// Whether no resume repeats an added step, because its manager gets its result.
    fn has_used(&self, step: &RunStep) -> bool {
        let Some(spawned) = &step.spawned else { return false };
        let is_past = |manager: &RunStep| !step.is_added_by(manager);
        let goes_on = self.state == RunState::Running && self.want == RunWant::Run;
        goes_on || self.find_step(&spawned.by).is_none_or(is_past)
    }

    pub fn explain_failure(&self) -> Option<RunFailureCause> {
        let run = self.id.clone();
        Some(match self.failure? {
            RunFailure::StepFailed => {
                let failed =
                    self.steps.iter().filter(|step| matches!(step.state, StepState::Failed | StepState::Cancelled));
                // These do not fail the run.
                let failed = failed.filter(|step| step.spawned.is_none() && !step.allow_failure);
                let names: Vec<&str> = failed.map(|step| step.name.as_str()).collect();
                RunFailureCause::StepFailed { steps: names.join(", ").into(), run }
            }
            RunFailure::TimeLimit => match self.group.clone().filter(|_| !self.has_place()) {
                Some(group) => RunFailureCause::GroupTimeLimit { group, run },
                None => RunFailureCause::TimeLimit { run },
            },
            RunFailure::PlaceGone => RunFailureCause::PlaceGone { run },
            RunFailure::CostLimit => {
                RunFailureCause::CostLimit { run, limit: format_usd(self.cost_usd_micros.unwrap_or_default()) }
            }
            RunFailure::Unknown => RunFailureCause::Unknown {},
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{project_id, time_at};
    use crate::project::plan::Plan;
    use serde_json::json;

    #[test]
    fn every_state_has_a_short_sentence_and_help() {
        let texts = StepExplanation::samples().into_iter().map(|one| (one.sentence(), one.help()));
        for (sentence, help) in
            texts.chain(RunFailureCause::samples().into_iter().map(|one| (one.sentence(), one.help())))
        {
            assert!(sentence.ends_with('.') && sentence.chars().count() <= 140, "{sentence}");
            assert!(help.ends_with('.') && help.chars().count() <= 140, "{help}");
        }
    }

    #[test]
    fn ended_step_is_explained_by_its_reason() {
        let plan = json!({ "name": "n", "steps": [{ "name": "one", "prompt": "Work." }] });
        let plan = Plan::parse(plan).unwrap();
        let mut run =
            Run::new(RunId::for_request(&project_id(), "ann", "k"), project_id(), &plan, "ann".into(), time_at(0));
        assert_eq!(run.explain_step(&run.steps[0]), None);
        let job = JobId::for_step(&run.id, "one", 1);
        for (state, reason, sentence) in [
            (StepState::Open, None, format!("one has the job {}.", job.short())),
            (StepState::Done, None, "one is done.".to_owned()),
            (StepState::Failed, Some(StepReason::JobFailed), format!("Job {} of one failed.", job.short())),
            (
                StepState::Failed,
                Some(StepReason::Unknown),
                "one is failed for a reason that this version does not know.".into(),
            ),
        ] {
            let step = RunStep { state, reason, job: Some(job.clone()), ..run.steps[0].clone() };
            assert_eq!(run.explain_step(&step).unwrap().sentence(), sentence);
        }
        run.steps[0].state = StepState::Failed;
        run.failure = Some(RunFailure::StepFailed);
        assert_eq!(run.explain_failure().unwrap().sentence(), "Failed or cancelled steps: one.");
        (run.failure, run.group) = (Some(RunFailure::TimeLimit), Some("deploy".into()));
        assert_eq!(run.explain_failure().unwrap().code(), "group_time_limit");
        run.placed = Some(run.since);
        assert_eq!(run.explain_failure().unwrap().code(), "time_limit");
    }
}
