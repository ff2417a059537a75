//! Polls one repository: compares its linked pull requests with the forge.

use crate::corrupt::skip_corrupt;
use crate::error::format_for_table;
use crate::forge::{forge_client, timeout_error};
use crate::review::translate::to_pull_request_snapshot;
use crate::review::{ProjectScope, record_pull_request_change, update_repository, update_repository_name};
use crate::{Context, Error};
use pullyard_domain::project::Repository;
use pullyard_domain::project::forge::Integration;
use pullyard_domain::project::hook::Poll;
use pullyard_domain::project::hook::poll_progress::{MAX_CHANGED, PollProgress};
use pullyard_domain::review::pull_request::PullRequestId;
use pullyard_domain::text::id::RepositoryName;
use pullyard_domain::text::time::Timestamp;
use pullyard_forge::{Error as ForgeError, PullRequest as ForgePullRequest, Repository as ForgeRepository};
use pullyard_store::Error as StoreError;
use std::time::Duration;

/// Limits for reading the forge's list: the number of pages, and the time after which no further page is read.
const MAX_PAGES: u32 = 5;
const LIST_TIMEOUT: Duration = Duration::from_secs(5);

/// Time limits of a round and of one pull request. The function is stopped after a minute, and the rest is repeated.
const ROUND_TIMEOUT: Duration = Duration::from_secs(15);
const PULL_REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// Allowed difference of the forge's clock, or between a review and the link of its pull request.
pub(super) const CLOCK_SKEW: Duration = Duration::from_secs(600);

const LIST_TRUNCATED: &str = "more pull requests changed than one poll reads; the next full comparison finds skipped \
                           reviews, but not reopened pull requests";

pub(super) struct RepositoryPoll<'a> {
    pub(super) ctx: &'a Context,
    pub(super) integration: &'a Integration,
    pub(super) repository: &'a Repository,
    pub(super) scope: ProjectScope,
    started: Timestamp,
    /// Earlier rounds have seen reviews from before this time.
    pub(super) since: Timestamp,
    progress: PollProgress,
    compared_numbers: Vec<u64>,
}

/// Compares changed pull requests. If due, then compares all open ones, from where the last round stopped.
pub(super) async fn run_round(ctx: &Context, integration: &Integration, poll: &Poll) -> Result<PollProgress, Error> {
    let progress = &poll.look;
    let repository = ctx.store.load_repository(&poll.project, &poll.integration, poll.repository).await?;
    let Some(repository) = repository else { return Ok(progress.clone()) };
    let mut round = RepositoryPoll::new(ctx, integration, &repository, progress);
    let is_full = progress.is_full_due(integration.kind, round.started);
    round.list_changed_pull_requests().await?;
    round.compare_changed_pull_requests().await?;
    if is_full {
        round.compare_open().await?;
    }
    Ok(round.progress)
}

impl<'a> RepositoryPoll<'a> {
    pub(super) fn new(
        ctx: &'a Context,
        integration: &'a Integration,
        repository: &'a Repository,
        progress: &PollProgress,
    ) -> Self {
        let started = ctx.clock.now();
        let is_full = progress.is_full_due(integration.kind, started);
        let last_poll = progress.since.unwrap_or(started);
        Self {
            ctx,
            integration,
            repository,
            scope: ProjectScope::single(repository.project.clone()),
            started,
            since: last_poll.minus(CLOCK_SKEW),
            progress: PollProgress {
                since: Some(last_poll),
                began: progress.began.or(is_full.then_some(started)),
                problem: progress.problem.clone().filter(|_| progress.began.is_some()),
                ..progress.clone()
            },
            compared_numbers: Vec::new(),
        }
    }
}

impl RepositoryPoll<'_> {
    fn is_over(&self) -> bool {
        self.ctx.clock.now().since(self.started) >= ROUND_TIMEOUT
    }

    fn is_full(&self) -> bool {
        self.compared_numbers.len() >= usize::from(self.integration.kind.spec().polling.max_compared)
    }

    fn id(&self, number: u64) -> PullRequestId {
        PullRequestId { integration: self.integration.id.clone(), repository: self.repository.id, number }
    }

    async fn list_changed_pull_requests(&mut self) -> Result<(), Error> {
        let since = self.progress.listed.or(self.progress.since).unwrap_or(self.started).minus(CLOCK_SKEW);
        let mut numbers = Vec::new();
        let listed = match self.refresh_repository().await {
            Ok(()) => with_timeout(self.integration, Box::pin(self.list_changed_since(since, &mut numbers))).await,
            Err(error) => Err(error),
        };
        // Use the numbers of a list that failed midway, too. The next round reads the whole list again.
        let mut has_room = true;
        for number in numbers {
            if !self.progress.changed.contains(&number) {
                has_room = self.progress.changed.len() < MAX_CHANGED;
                if !has_room {
                    break;
                }
                self.progress.changed.push(number);
            }
        }
        match listed {
            Ok(is_cut) => {
                if has_room {
                    self.progress.listed = Some(self.started);
                }
                if is_cut {
                    tracing::warn!(repository = %self.repository.name, "older changed pull requests skipped");
                    self.progress.problem = Some(LIST_TRUNCATED.to_owned());
                }
            }
            Err(error) => {
                let error = as_problem(error)?;
                tracing::warn!(repository = %self.repository.name, error = %error, "forge did not list pull requests");
                self.progress.problem = Some(format_for_table(&error));
            }
        }
        Ok(())
    }

    /// Collects linked pull requests that changed after `since`, newest first. Returns whether older ones were skipped.
    async fn list_changed_since(&self, since: Timestamp, numbers: &mut Vec<u64>) -> Result<bool, Error> {
        let forge = forge_client(self.ctx, self.integration, self.repository).await?;
        let start = self.ctx.clock.now();
        for page in 1..=MAX_PAGES {
            // Treat a cut list as read, because a slow list would be as slow the next time.
            if page > 1 && self.ctx.clock.now().since(start) >= LIST_TIMEOUT {
                break;
            }
            let listed = forge.pull_requests(self.repository.name.as_str(), page).await?;
            if let Some(first) = listed.items.first().filter(|_| page == 1) {
                self.current_name(first).await?;
            }
            for pull_request in listed.items {
                if Timestamp::from_millis(pull_request.updated_at.millis()) < since {
                    return Ok(false);
                }
                let linked = self.ctx.store.load_pull_request(&self.id(pull_request.number)).await;
                match skip_corrupt(self.ctx, linked)? {
                    Some(Some(linked)) if !self.scope.includes(&linked.project) => {}
                    // Its review may be wanted.
                    Some(None) => {
                        let (integration, name) = (self.integration.id.clone(), self.repository.name.clone());
                        let snapshot = to_pull_request_snapshot(integration, self.repository.id, name, &pull_request);
                        Box::pin(record_pull_request_change(self.ctx, &self.scope, &snapshot)).await?;
                    }
                    // An item that cannot be parsed is compared, so that the round reports it.
                    Some(Some(_)) | None => numbers.push(pull_request.number),
                }
            }
            if listed.next.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Stores the repository's name and default branch as the forge has them.
    /// Errors: those with which a list of its pull requests is useless.
    async fn refresh_repository(&mut self) -> Result<(), Error> {
        match with_timeout(self.integration, self.get_repository()).await {
            Ok(found) => {
                if found.full_name != self.repository.name.as_str() {
                    self.progress.renamed_from = Some(self.repository.name.clone());
                }
                self.progress.archived = found.archived;
                Ok(())
            }
            Err(error @ (Error::Store(_) | Error::NameTaken { .. })) => Err(error),
            Err(error @ Error::Forge(ForgeError::Unreachable { .. })) => Err(error),
            Err(error) => {
                tracing::warn!(repository = %self.repository.name, error = %error, "forge did not return the repository");
                Ok(())
            }
        }
    }

    /// Errors: `NameTaken`, as for `current_name`.
    async fn get_repository(&self) -> Result<ForgeRepository, Error> {
        let forge = forge_client(self.ctx, self.integration, self.repository).await?;
        let found = forge.repository(self.repository.name.as_str()).await?;
        if found.id != self.repository.id {
            return Err(self.name_taken());
        }
        update_repository(self.ctx, &self.scope, self.repository, &found).await?;
        Ok(found)
    }

    fn name_taken(&self) -> Error {
        Error::NameTaken { resource: "repository", name: self.repository.name.to_string() }
    }

    /// Compares the listed pull requests. Failed and undecided ones go to the end of the next round's list.
    async fn compare_changed_pull_requests(&mut self) -> Result<(), Error> {
        let mut remaining = std::mem::take(&mut self.progress.changed).into_iter();
        let mut retries = Vec::new();
        // Compare at least one, even if reading the list took all the time.
        while self.compared_numbers.is_empty() || !(self.is_over() || self.is_full()) {
            let Some(number) = remaining.next() else { break };
            if !self.compare(number).await? {
                retries.push(number);
            }
        }
        self.progress.changed = remaining.chain(retries).collect();
        Ok(())
    }

    /// Compares open pull requests. After a complete comparison without a problem, `since` becomes its start.
    async fn compare_open(&mut self) -> Result<(), Error> {
        let page = i32::from(self.integration.kind.spec().polling.max_compared);
        loop {
            if self.is_over() || self.is_full() {
                return Ok(());
            }
            let after = self.progress.after.as_deref();
            let (ids, next) = self.ctx.store.list_open_pull_requests(&self.repository.project, after, page).await?;
            let last = ids.len();
            for (nth, (id, row)) in (1..).zip(ids) {
                if id == self.id(id.number) && !self.compared_numbers.contains(&id.number) {
                    self.compare(id.number).await?;
                    if self.is_over() && (nth < last || next.is_some()) {
                        self.progress.after = Some(row);
                        return Ok(());
                    }
                }
            }
            self.progress.after = next;
            if self.progress.after.is_none() {
                break;
            }
        }
        let began = self.progress.began.take();
        if self.progress.problem.is_none() && self.progress.changed.is_empty() {
            self.progress.since = began;
        }
        Ok(())
    }

    /// Returns whether the pull request needs no further comparison.
    async fn compare(&mut self, number: u64) -> Result<bool, Error> {
        self.compared_numbers.push(number);
        match with_timeout(self.integration, Box::pin(self.compare_reviews(&self.id(number)))).await {
            Ok(undecided) => {
                let is_done = undecided.is_none();
                self.progress.problem = undecided.or(self.progress.problem.take());
                Ok(is_done)
            }
            Err(error) => {
                let error = as_problem(error)?;
                tracing::warn!(pull_request = %self.id(number), error = %error, "pull request comparison failed");
                self.progress.problem = Some(format_for_table(&error));
                Ok(false)
            }
        }
    }

    /// Returns the repository's name from the forge's answer. Stores a new name.
    /// Errors: `NameTaken` if another repository now has the stored name, so that the answer is about that one.
    pub(super) async fn current_name(&self, pull_request: &ForgePullRequest) -> Result<RepositoryName, Error> {
        let repository = self.repository;
        let Some(base) = &pull_request.base_repository else { return Ok(repository.name.clone()) };
        if base.id != repository.id {
            return Err(self.name_taken());
        }
        let Some(name) = &base.full_name else { return Ok(repository.name.clone()) };
        update_repository_name(self.ctx, &self.scope, self.integration, repository, name).await?;
        Ok(RepositoryName::new(name)?)
    }
}

/// Returns an error after which the round continues. Contention and an unreadable item affect one pull request only.
/// Errors: any other `Store` error.
fn as_problem(error: Error) -> Result<Error, Error> {
    match error {
        Error::Store(error) if !matches!(error, StoreError::Contended { .. } | StoreError::Corrupt { .. }) => {
            Err(error.into())
        }
        error => Ok(error),
    }
}

/// Stops a step that takes too long, so that an unresponsive forge does not use up the round.
pub(super) async fn with_timeout<T>(
    integration: &Integration,
    step: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    match tokio::time::timeout(PULL_REQUEST_TIMEOUT, step).await {
        Ok(result) => result,
        Err(_) => Err(timeout_error(integration, PULL_REQUEST_TIMEOUT)),
    }
}
