//! The reviews of one pull request by agents, and the form that requests another.

use crate::labels::Pill;
use crate::prelude::*;
use pullyard_domain::review::pull_request::{
    AgentReviews, EndedReview, Note, PullRequest, PullRequestId, PullRequestState,
};
use pullyard_domain::text::decision::Reason;
use pullyard_domain::text::id::{JobId, RepositoryName};

/// The content of `pull_agent_reviews.html`.
pub(crate) struct AgentReviewList {
    /// The fields of the form.
    pub(crate) name: String,
    pub(crate) integration: String,
    pub(crate) form_key: String,
    pub(crate) total: String,
    pub(crate) running: Option<(JobId, Pill)>,
    /// The sentence about a review that the project's setting wants, or why no agent reviews the pull request.
    pub(crate) wanted: Option<SafeText>,
    /// The sentence of the last request, if the limit of the ticket or pull request refused it.
    pub(crate) refused_by_limit: Option<SafeText>,
    pub(crate) raise_address: String,
    pub(crate) ended: Vec<EndedReview>,
    pub(crate) now: Timestamp,
    pub(crate) may_request: bool,
    /// A full review differs from a plain one only after a completed review.
    pub(crate) has_completed: bool,
    pub(crate) refresh: u32,
}

/// The pull request to which the section belongs.
pub(super) struct Reviewed<'a> {
    pub(super) repository: &'a RepositoryName,
    pub(super) id: &'a PullRequestId,
    pub(super) state: PullRequestState,
}

pub(super) async fn load(
    visit: &PageContext,
    of: &Reviewed<'_>,
    linked: Option<&PullRequest>,
) -> Result<AgentReviewList, Fault> {
    let none = AgentReviews::default();
    let reviews = linked.map_or(&none, |linked| &linked.reviews);
    let running = match &reviews.active_job {
        Some(job) => visit.ctx.store.load_job(job).await?,
        None => None,
    };
    let now = visit.ctx.clock.now();
    let is_open = of.state == PullRequestState::Open;
    let refusal = match linked.and_then(|linked| linked.note.as_ref()) {
        Some(Note::ReviewRefusal { reason: reason @ Reason::ForkNotSupported { .. } }) => Some(reason.sentence()),
        _ => None,
    };
    let refused_by_limit = match linked.and_then(|linked| linked.note.as_ref()) {
        Some(Note::Decision { reason } | Note::ReviewRefusal { reason }) => {
            Some(reason).filter(|reason| matches!(reason, Reason::TicketLimit { .. }))
        }
        _ => None,
    };
    Ok(AgentReviewList {
        refused_by_limit: refused_by_limit.map(|reason| line(&reason.sentence())),
        raise_address: format!("/pulls/{}/raise", of.id),
        name: format!("{}#{}", of.repository, of.id.number),
        integration: of.id.integration.to_string(),
        form_key: new_form_key(),
        total: describe_total(reviews),
        may_request: visit.visitor.may_run_jobs() && is_open && running.is_none() && refusal.is_none(),
        wanted: refusal
            .or_else(|| linked.and_then(|linked| linked.explain_wanted_review(now)))
            .map(|sentence| line(&sentence)),
        has_completed: reviews.last_posted().is_some(),
        refresh: labels::refresh_ms(running.is_some()),
        running: running.map(|job| (job.id.clone(), labels::job_pill(&job))),
        ended: reviews.ended.clone(),
        now,
    })
}

/// `12 jobs, $3.40`; empty without a job, and without a cost if none is known.
pub(crate) fn describe_total(reviews: &AgentReviews) -> String {
    let cost = Some(reviews.spent_usd_micros).filter(|cost| *cost > 0).map(labels::format_usd);
    let count = (reviews.count > 0).then(|| labels::format_count(reviews.count, "job"));
    [count, cost].into_iter().flatten().collect::<Vec<_>>().join(", ")
}
