//! The page of a pull request of a hosted forge, which has the diff and the conversation.

use super::agent_reviews::{self, AgentReviewList, Reviewed};
use super::page::{Subject, pill};
use super::{Reviews, load_reviews};
use crate::board::ticket_url;
use crate::prelude::*;
use pullyard_domain::review::pull_request::PullRequest;

#[derive(Template)]
#[template(path = "pull_hosted.html")]
struct HostedPage<'a> {
    frame: Frame,
    title: SafeText,
    pill: Pill,
    linked: &'a PullRequest,
    now: Timestamp,
    repository: SafeText,
    ticket: Option<(String, SafeText)>,
    agents: AgentReviewList,
    reviews: Option<Reviews>,
    /// For the form of `reviews`.
    raw_key: String,
}

pub(super) async fn render(visit: &PageContext, subject: &Subject, linked: &PullRequest) -> Result<Response, Fault> {
    let repository = &subject.repository()?.name;
    let project = visit.load_project(&linked.project).await?;
    let of = Reviewed { repository, id: &linked.id, state: linked.state };
    let agents = agent_reviews::load(visit, &of, Some(linked)).await?;
    let ticket = match &linked.ticket {
        Some(key) => visit.ctx.store.load_ticket(&project.id, key).await?,
        None => None,
    };
    let reviews = match ticket.as_ref().filter(|it| it.pull_request.as_ref().is_some_and(|link| link.id == linked.id)) {
        Some(ticket) => load_reviews(visit, &project.settings, ticket).await?,
        None => None,
    };
    let label = format!("{repository}#{}", linked.id.number);
    let page = HostedPage {
        frame: visit.frame(&label, "pulls", Some(&project.id)),
        title: line(&load_title(visit, linked).await?.unwrap_or_default()),
        pill: pill(linked.state),
        linked,
        now: visit.ctx.clock.now(),
        repository: line(repository.as_str()),
        raw_key: ticket.as_ref().map(|ticket| ticket.key.to_string()).unwrap_or_default(),
        ticket: ticket.map(|ticket| (ticket_url(&ticket.project, &ticket.key), line(ticket.key.as_str()))),
        agents,
        reviews,
    };
    Ok(render_page(StatusCode::OK, &page))
}

/// The title that the newest review's job was created with.
async fn load_title(visit: &PageContext, linked: &PullRequest) -> Result<Option<String>, Fault> {
    let newest = linked.reviews.active_job.as_ref().or(linked.reviews.ended.first().map(|review| &review.job));
    let Some(newest) = newest else { return Ok(None) };
    let Some(job) = visit.ctx.store.load_job(newest).await? else { return Ok(None) };
    let context = control::load_context(&visit.ctx, &job).await?;
    Ok(context.and_then(|context| context.reviews).map(|pull_request| pull_request.title))
}
