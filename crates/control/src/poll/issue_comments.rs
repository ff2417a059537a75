//! Raises limits by the comments on issues that no webhook delivered.

use super::repository_poll::CLOCK_SKEW;
use crate::forge::forge_client;
use crate::review::ProjectScope;
use crate::review::read::time_of;
use crate::review::translate::{CommentedItem, RaiseComment};
use crate::tickets::raise_comment::raise_if_missed;
use crate::{Context, Error};
use pullyard_domain::project::Repository;
use pullyard_domain::project::forge::Integration;
use pullyard_domain::project::hook::RETRY_LIMIT;
use pullyard_domain::project::hook::poll_progress::PollProgress;
use pullyard_domain::text::time::Timestamp;
use pullyard_forge::{Comment, ErrorKind, IssueClient};
use std::collections::BTreeMap;
use std::time::Duration;

/// Pages of changed comments that a poll reads. The next poll continues.
const MAX_PAGES: u32 = 5;
/// Issues with undecided comments: a poll calls the forge for each. While there are so many, no further comment is read.
const MAX_UNDECIDED: usize = 20;

struct CommentPoll<'a> {
    ctx: &'a Context,
    integration: &'a Integration,
    repository: &'a Repository,
    client: IssueClient,
}

/// Reads the comments that changed since the last poll, then repeats the undecided ones of earlier polls, for a day.
/// `progress` is right after each call of the forge, so that the caller may stop the poll.
/// Errors: a failure to list comments; the next poll repeats it.
pub(super) async fn raise_by_issue_comments(
    ctx: &Context,
    integration: &Integration,
    repository: &Repository,
    progress: &mut PollProgress,
) -> Result<(), Error> {
    let Some(client) = forge_client(ctx, integration, repository).await?.into_issue_client() else { return Ok(()) };
    let poll = CommentPoll { ctx, integration, repository, client };
    let now = ctx.clock.now();
    progress.undecided.retain(|_, first| now.since(*first) < RETRY_LIMIT);
    let earlier = progress.undecided.clone();
    let read = poll.read_changed(progress).await;
    poll.repeat_undecided(earlier, progress).await;
    read
}

impl CommentPoll<'_> {
    async fn read_changed(&self, progress: &mut PollProgress) -> Result<(), Error> {
        let earliest = self.ctx.clock.now().minus(RETRY_LIMIT);
        let mut since = progress.comments.unwrap_or(earliest).max(earliest);
        let oldest = since.minus(CLOCK_SKEW);
        for _ in 0..MAX_PAGES {
            let started = self.ctx.clock.now();
            let page = self.client.changed_comments(self.repository.name.as_str(), &since.to_string()).await?;
            for changed in &page.items {
                let Some(issue) = changed.issue else { continue };
                if let Some(at) = self.find_undecided(issue, &changed.comment, oldest).await {
                    let is_full = progress.undecided.len() >= MAX_UNDECIDED;
                    if is_full && !progress.undecided.contains_key(&issue) {
                        return Ok(());
                    }
                    let first = progress.undecided.entry(issue).or_insert(at);
                    *first = at.min(*first);
                }
            }
            if !page.truncated {
                progress.comments = Some(started.minus(CLOCK_SKEW));
                return Ok(());
            }
            let last = page.items.last().map_or(since, |changed| time_of(changed.updated_at));
            // The whole page may have changed in the second that `since` names.
            since = if last > since { last } else { since.plus(Duration::from_secs(1)) };
            progress.comments = Some(since);
        }
        Ok(())
    }

    async fn repeat_undecided(&self, earlier: BTreeMap<u64, Timestamp>, progress: &mut PollProgress) {
        for (issue, first) in earlier {
            let mut undecided = None;
            match self.client.issue_comments(self.repository.name.as_str(), issue).await {
                Ok(comments) => {
                    for comment in &comments.items {
                        let at = self.find_undecided(issue, comment, first).await;
                        undecided = undecided.or(at);
                    }
                }
                Err(error) if error.kind() == ErrorKind::Missing => {}
                Err(error) => {
                    tracing::warn!(repository = %self.repository.name, issue, error = %error, "comments not read");
                    undecided = Some(first);
                }
            }
            match undecided {
                Some(first) => drop(progress.undecided.insert(issue, first)),
                None => drop(progress.undecided.remove(&issue)),
            }
        }
    }

    /// Decides a comment if it raises a limit and is not older than `oldest`. Returns its time if that failed.
    async fn find_undecided(&self, issue: u64, comment: &Comment, oldest: Timestamp) -> Option<Timestamp> {
        let (repository, name) = (self.repository.id, &self.repository.name);
        let item = CommentedItem { repository, repository_name: name, number: issue, is_pull_request: false };
        let at = time_of(comment.created_at);
        let author = comment.author.as_ref().filter(|_| at >= oldest)?;
        let raise = RaiseComment::from_comment(comment, Some(author), item)?;
        let scope = ProjectScope::single(self.repository.project.clone());
        let error = raise_if_missed(self.ctx, &scope, self.integration, &raise).await.err()?;
        tracing::warn!(repository = %name, issue, error = %error, "comment with a raise not decided");
        Some(at)
    }
}
