//! Runs as the API shows them.

use super::{facts_to_json, remove_nulls};
use pullyard_control::RunView;
use pullyard_domain::plan::Plan;
use pullyard_domain::run::{self as domain, RunFailureCause, RunWant, StepExplanation, StepWait};
use pullyard_protocol::job::Explanation;
use pullyard_protocol::run::{Run, RunStep};

/// `Explanation` of a value of a vocabulary.
macro_rules! explain {
    ($($Type:ident)*) => {$(
        impl From<&$Type> for Explained {
            fn from(it: &$Type) -> Self {
                let facts = facts_to_json(it);
                Self(Explanation { code: it.code().into(), sentence: it.sentence(), help: it.help(), facts, class: None })
            }
        }
    )*};
}

struct Explained(Explanation);

explain! { StepExplanation StepWait RunFailureCause }

/// A run of a list, without its plan.
pub(crate) fn listed_run(run: domain::Run) -> Run {
    let failure = run.explain_failure().map(|cause| Explained::from(&cause).0);
    let time_limit = run.wall_end();
    Run {
        group: run.group.clone(),
        waits_for_group: run.awaited_group().map(str::to_owned),
        failure,
        time_limit,
        cancelled: run.want == RunWant::Cancel,
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
        why: None,
    }
}

pub(crate) fn run(RunView { run, mut frozen, waits }: RunView) -> Run {
    let why: Vec<_> = run.steps.iter().zip(&waits).map(|(step, wait)| explain(&run, step, wait.as_ref())).collect();
    let mut shown = listed_run(run);
    shown.repository = Some(frozen.repository.name.clone());
    frozen.plan.base = Some(frozen.base);
    let mut plan = serde_json::to_value(&frozen.plan).unwrap_or_default();
    remove_nulls(&mut plan);
    (shown.plan, shown.params) = (Some(plan), frozen.parameters);
    for (step, why) in shown.steps.iter_mut().zip(why) {
        step.question = find_question(&frozen.plan, &step.name);
        step.why = why;
    }
    shown
}

fn explain(run: &domain::Run, step: &domain::RunStep, wait: Option<&StepWait>) -> Option<Explanation> {
    let ended = || run.explain_step(step).map(|explained| Explained::from(&explained).0);
    wait.map(|wait| Explained::from(wait).0).or_else(ended)
}

fn find_question(plan: &Plan, step: &str) -> Option<String> {
    plan.find_step(step).and_then(|step| step.approve.clone())
}
