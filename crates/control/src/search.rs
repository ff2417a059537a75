//! Searches a project's tickets, jobs and pull requests by ticket key, ticket text, job id or number.

use crate::corrupt::skip_corrupt_items;
use crate::jobs::views::{JobView, job_view};
use crate::{Context, Error};
use pullyard_domain::review::pull_request::PullRequest;
use pullyard_domain::text::id::{JobId, ProjectId, TicketKey};
use pullyard_domain::text::truncate;
use pullyard_domain::ticket::event::TicketText;
use std::cmp::Reverse;
use std::collections::BTreeSet;

/// The newest tickets, whose texts are searched.
const MAX_TICKETS: usize = 200;
/// Open pull requests that are compared with the number.
const MAX_OPEN_PULL_REQUESTS: i32 = 1_000;
const MAX_JOB_IDS: usize = 500;
const MAX_HITS: usize = 10;
/// Minimum length of a job id's prefix: one character matches too many jobs.
const MIN_JOB_PREFIX: usize = 2;

/// Most words before the match in an excerpt, at most half of its length.
const WORDS_BEFORE: usize = 6;
const MAX_EXCERPT_CHARS: usize = 120;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TicketHit {
    pub key: TicketKey,
    pub title: String,
    /// The place in the description, if the title lacks a word of the query.
    pub excerpt: Option<String>,
}

#[derive(Clone, Debug, Default)]
pub struct SearchResults {
    pub tickets: Vec<TicketHit>,
    pub jobs: Vec<JobView>,
    pub pull_requests: Vec<PullRequest>,
}

/// Searches only the newest tickets and jobs. A complete ticket key or job id also finds older ones.
pub async fn search_project(ctx: &Context, project: &ProjectId, text: &str) -> Result<SearchResults, Error> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(SearchResults::default());
    }
    let mut keys = ctx.store.list_all_ticket_keys(project).await?;
    // Newer tickets have higher numbers.
    keys.sort_by_key(|key| Reverse(key.prefix_and_number().1));
    keys.truncate(MAX_TICKETS);
    keys.extend(TicketKey::new(text).ok().filter(|key| !keys.contains(key)));
    let (tickets, jobs, pull_requests) = tokio::try_join!(
        find_tickets(ctx, project, &keys, text),
        find_jobs(ctx, project, text),
        find_pull_requests(ctx, project, &keys, text)
    )?;
    Ok(SearchResults { tickets, jobs, pull_requests })
}

/// Finds tickets whose key starts with the text, or whose title and description together contain each word.
async fn find_tickets(
    ctx: &Context,
    project: &ProjectId,
    keys: &[TicketKey],
    text: &str,
) -> Result<Vec<TicketHit>, Error> {
    let text = text.to_lowercase();
    let words: Vec<_> = text.split_whitespace().collect();
    let texts = skip_corrupt_items(ctx, ctx.store.load_ticket_texts(project, keys).await?)?;
    let mut hits: Vec<_> =
        texts.into_iter().filter_map(|(key, ticket)| find_in_ticket(key, ticket, &text, &words)).collect();
    let order = |hit: &TicketHit| {
        let is_other = hit.key.as_str().to_lowercase() != text;
        (is_other, hit.excerpt.is_some(), Reverse(hit.key.prefix_and_number().1))
    };
    hits.sort_by_key(order);
    hits.truncate(MAX_HITS);
    Ok(hits)
}

fn find_in_ticket(key: TicketKey, ticket: TicketText, text: &str, words: &[&str]) -> Option<TicketHit> {
    let title = ticket.title.to_lowercase();
    let missing: Vec<_> = words.iter().copied().filter(|word| !title.contains(word)).collect();
    if missing.is_empty() || key.as_str().to_lowercase().starts_with(text) {
        return Some(TicketHit { key, title: ticket.title, excerpt: None });
    }
    let description = ticket.description.to_lowercase();
    let is_in_description = missing.iter().all(|word| description.contains(word));
    let excerpt = is_in_description.then(|| excerpt(&ticket.description, &missing));
    excerpt.map(|excerpt| TicketHit { key, title: ticket.title, excerpt: Some(excerpt) })
}

/// The part around the match in the first line that contains a word.
fn excerpt(description: &str, words: &[&str]) -> String {
    let is_match = |part: &str| words.iter().any(|word| part.to_lowercase().contains(word));
    let position = |line: &str| line.split_whitespace().position(is_match);
    let found = description.lines().find_map(|line| Some((line, position(line)?)));
    let (line, at) = found.unwrap_or_default();
    let words = line.split_whitespace().take(at).collect::<Vec<_>>();
    let mut chars_before = 0;
    let before = words.iter().rev().take(WORDS_BEFORE).take_while(|word| {
        chars_before += word.chars().count() + 1;
        chars_before <= MAX_EXCERPT_CHARS / 2
    });
    let begin = at - before.count();
    let part = line.split_whitespace().skip(begin).collect::<Vec<_>>().join(" ");
    truncate(&format!("{}{part}", if begin > 0 { "… " } else { "" }), MAX_EXCERPT_CHARS)
}

/// Finds jobs whose id, or its short form, starts with the text.
async fn find_jobs(ctx: &Context, project: &ProjectId, text: &str) -> Result<Vec<JobView>, Error> {
    let text = text.to_lowercase();
    let prefix = text.strip_prefix("job_").unwrap_or(&text);
    if prefix.len() < MIN_JOB_PREFIX || !prefix.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Ok(Vec::new());
    }
    let (mut ids, _) = ctx.store.list_job_ids(project, None, None, MAX_JOB_IDS).await?;
    let is_hit = |id: &JobId| {
        id.short().to_lowercase().starts_with(prefix) || id.as_str().trim_start_matches("job_").starts_with(prefix)
    };
    ids.retain(is_hit);
    ids.truncate(MAX_HITS);
    ids.extend(JobId::new(text.as_str()).ok().filter(|id| !ids.contains(id)));
    let mut views = Vec::with_capacity(ids.len());
    for id in &ids {
        match job_view(ctx, id).await {
            Ok(view) if view.job.project == *project => views.push(view),
            // The exact id may belong to another project. A listed job may have expired since the query.
            Ok(_) | Err(Error::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(views)
}

/// Finds pull requests with this number among the open ones and the ones of the newest tickets.
async fn find_pull_requests(
    ctx: &Context,
    project: &ProjectId,
    keys: &[TicketKey],
    text: &str,
) -> Result<Vec<PullRequest>, Error> {
    let Ok(number) = text.strip_prefix('#').unwrap_or(text).parse::<u64>() else { return Ok(Vec::new()) };
    let (open, _) = ctx.store.list_open_pull_requests(project, None, MAX_OPEN_PULL_REQUESTS).await?;
    let mut ids: BTreeSet<_> = open.into_iter().map(|(id, _)| id).collect();
    let tickets = skip_corrupt_items(ctx, ctx.store.load_tickets(project, keys).await?)?;
    ids.extend(tickets.into_iter().filter_map(|ticket| ticket.shown.pull_request).map(|link| link.id));
    ids.retain(|id| id.number == number);
    let mut pull_requests = skip_corrupt_items(ctx, ctx.store.load_pull_requests(&ids).await?)?;
    pull_requests.retain(|pull_request| pull_request.project == *project);
    Ok(pull_requests)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excerpt_shows_the_word_that_the_title_lacks() {
        let find = |text: &str| {
            let description = "First line.\n\nOne two three four five six seven the İnvoice “total” is wrong.".into();
            let ticket = TicketText { title: "Repair rounding".into(), description, ..TicketText::default() };
            let words: Vec<_> = text.split_whitespace().collect();
            let hit = find_in_ticket(TicketKey::new("APP-1").unwrap(), ticket, text, &words)?;
            Some(hit.excerpt.unwrap_or_default())
        };
        assert_eq!(find("rounding repair").as_deref(), Some(""));
        assert_eq!(find("app-").as_deref(), Some(""));
        let excerpt = "… four five six seven the İnvoice “total” is wrong.";
        assert_eq!(find("rounding total").as_deref(), Some(excerpt));
        assert_eq!(find("total first").as_deref(), Some("First line."));
        assert_eq!(find("rounding absent"), None);
        let long = format!("{0} {0} {0} near total", "x".repeat(40));
        assert_eq!(super::excerpt(&long, &["total"]), format!("… {} near total", "x".repeat(40)));
    }
}
