//! Runs as the API shows them.

use super::remove_nulls;
use pullyard_control::RunView;
use pullyard_domain::project::plan::{Plan, built_in_role};
use pullyard_domain::run::{self as domain, RunWant, StepWait};
use pullyard_protocol::job::Explanation;
use pullyard_protocol::run::{Run, RunStep};

/// A run of a list.
pub(crate) fn listed_run(run: domain::Run) -> Run {
    let (is_cancelled, is_resumed) = (run.is_cancelled(), run.want == RunWant::Run);
    Run {
        group: run.group.clone(),
        waits_for_group: run.awaited_group().map(str::to_owned),
        failure: run.explain_failure().map(|cause| explain!(&cause)),
        time_limit: run.wall_end(),
        cancelled: is_cancelled,
        cancelled_by: run.ordered_by.clone().filter(|_| is_cancelled),
        resumed_by: run.ordered_by.filter(|_| is_resumed),
        repository: None,
        plan: None,
        params: Default::default(),
        branch: run.result.as_ref().map(|result| result.branch.clone()),
        pull_request: run.result.map(|result| result.url),
        spent_usd_micros: run.spent_usd_micros,
        cost_limit_usd_micros: run.cost_usd_micros,
        created: run.created,
        ended: run.ended_at,
        steps: run.steps.into_iter().map(step).collect(),
        id: run.id,
        project: run.project,
        name: run.name,
        state: run.state,
        by: run.by,
    }
}

fn step(step: domain::RunStep) -> RunStep {
    RunStep {
        name: step.name,
        state: step.state,
        outcome: step.outcome,
        job: step.job,
        jobs: step.jobs,
        started: step.started,
        changed: step.at,
        spent_usd_micros: step.spent_usd_micros,
        pull_request: step.pull_request,
        question: None,
        answered_by: step.by,
        why: None,
    }
}

/// Also with its plan, which may be many times as large as the rest.
pub(crate) fn run_with_plan(view: RunView) -> Run {
    let frozen = view.frozen.clone();
    let (base, repository) = (Some(frozen.base), Some(frozen.repository.name.to_string()));
    let mut plan = Plan { base, repository, ..frozen.plan };
    // A plan may not name them itself.
    plan.roles.retain(|name, _| built_in_role(name).is_none());
    let mut plan = serde_json::to_value(plan).unwrap_or_default();
    remove_nulls(&mut plan);
    Run { plan: Some(plan), params: frozen.parameters, ..run(view) }
}

pub(crate) fn run(RunView { run, frozen, waits }: RunView) -> Run {
    let explain = |(step, wait): (&domain::RunStep, Option<StepWait>)| -> Option<Explanation> {
        let end = || run.explain_step(step).map(|end| explain!(&end));
        wait.map(|wait| explain!(&wait)).or_else(end)
    };
    let why: Vec<_> = run.steps.iter().zip(waits).map(explain).collect();
    let mut shown = listed_run(run);
    shown.repository = Some(frozen.repository.name);
    for (step, why) in shown.steps.iter_mut().zip(why) {
        step.question = frozen.plan.find_step(&step.name).and_then(|planned| planned.approve.clone());
        step.why = why;
    }
    shown
}
