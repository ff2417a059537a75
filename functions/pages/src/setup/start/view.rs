//! The buttons of the last two steps, and the place where jobs run.

use super::facts::Facts;
use crate::board::move_url;
use crate::jobs::Row;
use crate::labels::PullRequestView;
use crate::prelude::*;
use crate::setup::machine::LocalMachine;
use pullyard_domain::project::Compute;
use pullyard_domain::review::pull_request::PullRequestState;

pub(super) struct MoveTarget {
    pub(super) address: String,
    pub(super) status: String,
    pub(super) label: SafeText,
    pub(super) starts_jobs: bool,
    pub(super) job: String,
}

pub(super) fn move_target(facts: &Facts) -> Option<MoveTarget> {
    let (ticket, project) = (&facts.ticket.as_ref()?.ticket, &facts.project);
    let trigger = &project.settings.statuses.trigger;
    facts.job.is_none().then(|| MoveTarget {
        address: move_url(&project.id, &ticket.key),
        status: trigger.clone(),
        label: line(trigger),
        starts_jobs: project.settings.auto_create && ticket.status != *trigger,
        job: format!("/jobs/new?project={}&ticket={}", project.id, percent_encode(ticket.key.as_str())),
    })
}

pub(super) fn first_job(ctx: &Context, facts: &Facts) -> Option<Row> {
    let view = facts.job.as_ref()?;
    // The page does not show the state.
    Some(Row { pull: PullRequestView::of_result(ctx, &view.job, PullRequestState::Open), ..Row::new(view) })
}

pub(super) fn describe_place(facts: Option<&Facts>, machine: Option<&LocalMachine>) -> &'static str {
    let compute = facts.map_or(Compute::Fargate, |facts| facts.project.settings.compute);
    match (compute, machine) {
        (Compute::Runners, _) => "Self-hosted runners claim the jobs of this project.",
        (Compute::RunnersThenFargate, _) => {
            "Self-hosted runners claim the jobs of this project; a task may run one that waits too long."
        }
        (Compute::Fargate, Some(_)) => "Jobs run on this machine.",
        (Compute::Fargate, None) => "Each job runs in its own Fargate task.",
    }
}
