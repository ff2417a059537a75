//! Does the work of a ticket or a prompt, as a pull request.

use super::plan::{JobPlan, branch_name, new_job};
use crate::job::{ContinuedPullRequest, Job, JobKind};
use crate::kinds::DONE_FOR_YOU;
use crate::kinds::prompt::Context;
use crate::run::StepContext;
use crate::ticket::Ticket;

pub(super) fn introduction(context: &Context) -> String {
    let (repository, base) = (&context.repository.name, &context.base);
    let output = context.step.as_ref().map(StepContext::output_prompt).unwrap_or_default();
    format!(
        "You work in a checkout of {repository}, branch `{base}`.\nMake the change that is requested below by editing files here. {DONE_FOR_YOU}\n{output}",
    )
}

pub fn plan_for_ticket(plan: &JobPlan<'_>, ticket: &Ticket) -> (Job, Ticket) {
    let mut ticket = ticket.clone();
    ticket.branches += 1;
    let mut job = new_job(plan, JobKind::Implement, branch_name(plan.project, &ticket.key, ticket.branches));
    job.ticket = Some(ticket.key.clone());
    // The runner checks whether that pull request is still open when the work starts.
    job.continues = ticket
        .pull_request
        .as_ref()
        .filter(|link| link.id.integration == job.integration && link.id.repository == job.repository)
        .map(|link| ContinuedPullRequest { number: link.id.number, branch: link.branch.clone() });
    ticket.active_job = Some(job.id.clone());
    ticket.found_in = Some(ticket.status.clone());
    ticket.again = None;
    ticket.held = false;
    ticket.owed = None;
    ticket.tries = 0;
    ticket.not_before = None;
    ticket.request_state(None, None, None);
    (job, ticket)
}

pub fn plan_without_ticket(plan: &JobPlan<'_>) -> Job {
    // Use the random end of the id: the beginning is a time, which two jobs may share.
    let id = plan.id.as_str();
    let tail = id.get(id.len().saturating_sub(8)..).unwrap_or(id);
    new_job(plan, JobKind::Implement, format!("pullyard/{}/job-{tail}", plan.project))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::Settings;
    use crate::text::id::JobId;
    use crate::text::time::Timestamp;

    #[test]
    fn jobs_without_a_ticket_have_distinct_branches() {
        let branch = |id: &str| {
            let (id, settings) = (JobId::new(id).unwrap(), Settings::default());
            let repository = crate::fixtures::repository();
            plan_without_ticket(&crate::fixtures::plan(id, &settings, &repository, Timestamp::from_millis(0))).branch
        };
        assert_eq!(branch("job_01kag8abz0q9d5m3t7x1w2e4r6"), "pullyard/acme/job-x1w2e4r6");
        assert_ne!(branch("job_01kag8abz0q9d5m3t7x1w2e4r6"), branch("job_01kag8abz0aaaaaaaaaaaaaaaa"));
    }
}
