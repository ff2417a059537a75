//! Pushes a commit, once the control plane grants it, and waits for an unavailable forge.

use crate::api::forge_wait::{ForgeFault, ForgeWait};
use crate::attempt::Attempt;
use crate::checkpoint;
use crate::deadline::push_deadline;
use crate::inputs::orders::Order;
use crate::job::deliver::check_grant;
use crate::job::preparation::Preparation;
use crate::publish::push::{Change, PublishResult, Push, PushedBy};
use crate::secrets::access::{self, ForgeAccess};
use crate::stop::Stop;
use pullyard_domain::text::Span;
use pullyard_domain::text::failure::Failure;
use std::time::Duration;
use tokio::time::{Instant, timeout, timeout_at};

/// Storing the work ends at least this long before the window of the push.
const STORE_MARGIN: Duration = Duration::from_secs(2);
/// Time limit for a new token of the forge.
const ACCESS_TIMEOUT: Duration = Duration::from_secs(60);
/// Forges' tokens that expire are valid for an hour.
const MAX_ACCESS_AGE: Duration = Duration::from_secs(30 * 60);

/// Requests the right to push, then pushes. `None`: there is an input beyond the `input_count` that the agent has read.
pub(super) async fn publish(
    attempt: &Attempt<'_>,
    preparation: &mut Preparation<'_>,
    commit: &str,
    input_count: Option<u32>,
    forge_wait: &mut ForgeWait<'_>,
) -> Result<Option<PublishResult>, Stop> {
    let requested_at = Instant::now();
    // A pause must not interrupt the request, because its outcome would be unknown.
    let request = attempt.unless(Order::Cancel, attempt.request_push(input_count));
    // Without an answer there is no right to push.
    let answer = match timeout_at(push_deadline(requested_at, None), request).await {
        Ok(answer) => answer?,
        Err(_) => {
            let last_words = "the control plane did not answer in time before the push".into();
            return Err(Failure::Unknown { last_words }.into());
        }
    };
    if !check_grant(&answer)? {
        return Ok(None);
    }
    let deadline = push_deadline(requested_at, answer.push_for_secs);
    match preparation.target.adopted_commit {
        Some(_) => {
            let (commit, head) = (commit.to_owned(), preparation.target.expected_head.clone());
            let head = head.unwrap_or_else(|| commit.clone());
            Ok(Some(PublishResult { head, commit, pushed_by: PushedBy::EarlierAttempt }))
        }
        None => push_until_decided(attempt, preparation, commit, (deadline, forge_wait)).await.map(Some),
    }
}

/// Repeats the push until the forge decides, each time under a renewed grant.
/// Errors: the forge's refusal; `ForgeUnavailable`; a cancel between two pushes. A cancel during a push ends the
/// renewals of its window.
async fn push_until_decided(
    attempt: &Attempt<'_>,
    preparation: &mut Preparation<'_>,
    commit: &str,
    (mut deadline, forge_wait): (Instant, &mut ForgeWait<'_>),
) -> Result<PublishResult, Stop> {
    let repository = &attempt.assignment.repository;
    let forge = repository.forge_name();
    let mut change = Change::new(commit, &preparation.target);
    loop {
        let Preparation { access: ForgeAccess { git, .. }, target, workspace, .. } = &*preparation;
        let push = Push {
            git,
            repository: &workspace.repository(),
            target,
            job: &attempt.assignment.job,
            kind: repository.forge,
            forge: &forge,
            name: &repository.name,
        };
        let mut window_end = deadline;
        let renew = async || {
            let next_end = forge_wait.renew_push().await?;
            // A push that needs a renewal may take half an hour. Until this returns, the old end still counts.
            let left = (window_end - STORE_MARGIN).saturating_duration_since(Instant::now());
            if !left.is_zero() {
                store_work(attempt, preparation, forge_wait, left.min(checkpoint::FAILURE_TIMEOUT)).await;
            }
            window_end = next_end;
            Ok(next_end)
        };
        let push = push.publish(&mut change, deadline, renew);
        match attempt.unless_aborted(async { Ok(push.await) }).await? {
            Ok(published) => {
                forge_wait.end().await;
                return Ok(published);
            }
            Err(ForgeFault::Final(stop)) => return Err(stop),
            Err(ForgeFault::Away(outage)) => {
                keep_work(attempt, preparation, forge_wait).await;
                forge_wait.pause(&outage, |reason| forge_unavailable(attempt, reason)).await?;
            }
        }
        renew_old_access(attempt, preparation).await?;
        deadline = forge_wait.renew_push().await?;
    }
}

/// The failure after the longest wait. The work is complete, so a retry publishes it without an agent.
pub(super) fn forge_unavailable(attempt: &Attempt<'_>, reason: String) -> Failure {
    let (forge, limit) = (attempt.assignment.repository.forge_name(), Span::from(attempt.forge_away));
    Failure::ForgeUnavailable { forge, limit, reason: reason.into() }
}

/// Replaces `WorkspaceFailed` once the work is finished, because a retry does not resume after it.
pub(in crate::job) fn preserve_finished_work(attempt: &Attempt<'_>, stop: Stop) -> Stop {
    match stop {
        Stop::Failure(Failure::WorkspaceFailed { reason }) if attempt.checkpoint_state.has_finished_work() => {
            Failure::PublishingFailed { reason }.into()
        }
        stop => stop,
    }
}

/// Stores the finished work during a long wait.
pub(super) async fn keep_work(attempt: &Attempt<'_>, preparation: &Preparation<'_>, forge_wait: &mut ForgeWait<'_>) {
    if forge_wait.is_long() {
        store_work(attempt, preparation, forge_wait, checkpoint::FAILURE_TIMEOUT).await;
    }
}

/// Stores the finished work, because this machine may not survive the wait or the push.
async fn store_work(
    attempt: &Attempt<'_>,
    preparation: &Preparation<'_>,
    forge_wait: &mut ForgeWait<'_>,
    limit: Duration,
) {
    if forge_wait.must_keep_work() {
        checkpoint::create_checkpoint(attempt, preparation.workspace, limit).await;
    }
}

/// Renews access, because the token may have expired while the agent worked. An unavailable forge issues no token, so
/// the old one is used then.
pub(in crate::job) async fn renew_access(attempt: &Attempt<'_>, preparation: &mut Preparation<'_>) -> Result<(), Stop> {
    if !preparation.access.expires {
        return Ok(());
    }
    let request = attempt.unless_aborted(access::request_access(attempt));
    match timeout(ACCESS_TIMEOUT, request).await {
        Ok(access) => preparation.access = access?,
        Err(_) => tracing::warn!(job.id = %attempt.assignment.job, "no new forge token; using the old one"),
    }
    Ok(())
}

/// Renews access during a long wait, before its token expires.
pub(in crate::job) async fn renew_old_access(
    attempt: &Attempt<'_>,
    preparation: &mut Preparation<'_>,
) -> Result<(), Stop> {
    if preparation.access.requested_at.elapsed() < MAX_ACCESS_AGE {
        return Ok(());
    }
    renew_access(attempt, preparation).await
}
