//! Changes an open pull request according to its reviews.

use super::plan::{JobPlan, new_job};
use crate::agent::files::REPLIES_FILE;
use crate::job::{ContextWait, Job, JobKind, JobStatus, RevisedPullRequest};
use crate::kinds::DONE_FOR_YOU;
use crate::kinds::prompt::Context;
use crate::review::pull_request::{LastRevision, Note, PullRequest};
use crate::text::id::ReviewId;
use crate::ticket::Ticket;

pub(super) fn introduction(context: &Context) -> String {
    let repository = &context.repository.name;
    let mut text = format!(
        "You work in a checkout of {repository}, on the branch of an open pull request.\nChange what its reviewers ask for below by editing files here; your work becomes one more commit on that branch. {DONE_FOR_YOU}\n",
    );
    if context.review.as_ref().is_some_and(|review| !review.included_comments().is_empty()) {
        text.push_str(&format!(
            "Each thread of comments gets an answer that names the commit. If you have something to say to one, write it to `{REPLIES_FILE}`: \
             one JSON object with numbers of comments as names and your words as values, such as {{\"4711\": \"Kept, because it is public.\"}}. \
             That file is not committed; your words are posted.\n",
        ));
    }
    text
}

#[derive(Clone, Copy, Debug)]
pub struct RevisionPlan<'a> {
    pub review: &'a ReviewId,
    /// The head commit, if known; `None` leaves the stored one.
    pub head: Option<&'a str>,
}

/// Plans a revision, with the updated ticket and the pull request whose rate-limit window begins. The context is read
/// from the forge while the job is Pending. The ticket's deferred reviews stay; only settling removes them.
pub fn plan_revision(
    plan: &JobPlan<'_>,
    ticket: &Ticket,
    pull_request: &PullRequest,
    revision: RevisionPlan<'_>,
) -> (Job, Ticket, PullRequest) {
    let mut pull_request = pull_request.clone();
    if let Some(head) = revision.head {
        pull_request.head = head.to_owned();
    }
    let mut job = new_job(plan, JobKind::Revise, pull_request.branch.clone());
    job.status = JobStatus::Pending;
    job.waits = Some(ContextWait::new(plan.now));
    job.ticket = Some(ticket.key.clone());
    job.revises = Some(RevisedPullRequest {
        number: pull_request.id.number,
        branch: pull_request.branch.clone(),
        head: pull_request.head.clone(),
        review: Some(revision.review.clone()),
    });
    pull_request.revised = Some(LastRevision::start(&job.id, plan.now, pull_request.revised.take()));
    pull_request.set_note(Note::job_created(job.id.clone()));
    let ticket = lock_ticket(ticket, &job);
    (job, ticket, pull_request)
}

/// The ticket while a job changes its pull request.
pub(super) fn lock_ticket(ticket: &Ticket, job: &Job) -> Ticket {
    let mut ticket = ticket.clone();
    ticket.active_job = Some(job.id.clone());
    ticket.found_in = Some(ticket.status.clone());
    ticket.held = false;
    ticket.tries = 0;
    ticket.not_before = None;
    ticket
}
