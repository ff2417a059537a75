//! Opens or updates the pull request after the push, answers the review, and returns the result.

use super::publish::{forge_unavailable, keep_work, renew_old_access};
use crate::Isolation;
use crate::agent::host_profile::AgentProfile;
use crate::api::forge_wait::{ForgeFault, ForgeWait, Outage};
use crate::attempt::Attempt;
use crate::git::commit;
use crate::inputs::orders::Order;
use crate::job::preparation::Preparation;
use crate::job::work_result::WorkResult;
use crate::publish::description_update::DescriptionUpdate;
use crate::publish::pull_request::{self, Opening};
use crate::publish::push::{PublishResult, PushedBy};
use crate::publish::replies::{OpenReview, ReviewReplies};
use crate::secrets::access::ForgeAccess;
use crate::stop::Stop;
use pullyard_domain::review::published::{self, CheckResults as Checks};
use pullyard_forge::Forge;
use pullyard_protocol::attempt::{FinishResult, Phase};
use std::time::Duration;
use tokio::time::Instant;

/// Longest wait for the forge with the description and the answers to reviews, without which the work is published.
const MAX_WAIT_FOR_REPLIES: Duration = Duration::from_secs(600);

/// An adopted commit, or a user's commit, is described by its own content: how it was made and checked is unknown.
pub(super) async fn report(
    attempt: &Attempt<'_>,
    (isolation, profile): (Isolation, AgentProfile),
    (preparation, forge_wait): (&mut Preparation<'_>, &mut ForgeWait<'_>),
    (work_result, published): &(WorkResult, PublishResult),
) -> Result<FinishResult, Stop> {
    let assignment = attempt.assignment;
    if published.pushed_by == PushedBy::ThisAttempt {
        // The push may have rebased the commit onto commits of others.
        attempt.usage.set_commit(&published.commit);
    }
    let pushed_at = Instant::now();
    let target = preparation.target.clone();
    let Preparation { access: ForgeAccess { git, .. }, workspace, .. } = &*preparation;
    let (head, repository) = (published.head.clone(), workspace.repository());
    let is_ours = target.adopted_commit.is_none()
        && (published.pushed_by == PushedBy::ThisAttempt || published.commit == work_result.commit);
    let agent = match attempt.work_report().0.filter(|_| is_ours) {
        Some(work) => Some(published::describe_agent(&work)),
        None => {
            let job = target.adopted_job.as_ref().unwrap_or(&assignment.job);
            commit::load_commit_agent(git, &repository, &published.commit, job).await.map(str::to_owned)
        }
    };
    let agent = agent.as_deref();
    let failed_before = !is_ours && commit::has_failed_checks(git, &repository, &published.commit).await;
    // Our checks ran on our commit, not on an adopted one.
    let runs = if is_ours { work_result.results.runs() } else { &[] };
    let checks = if failed_before { Checks::FailedEarlier } else { Checks::Completed(runs) };
    let summary = match &work_result.earlier_summary {
        Some(summary) if is_ours => Some(summary.clone()),
        None if is_ours => attempt.artifacts.last_message().await,
        _ => None,
    };
    let facts = pull_request::PullRequestFacts {
        commit: &published.commit,
        isolation: (is_ours && !work_result.is_earlier).then_some(match profile {
            AgentProfile::Host if preparation.agent.has_sessions() => {
                format!("{}, with the agent's configuration on the runner", isolation.as_str())
            }
            _ => isolation.as_str().to_owned(),
        }),
        agent,
        cost_usd_micros: attempt
            .work_report()
            .1
            .filter(|_| is_ours && !work_result.is_earlier && assignment.attempt == 1),
        summary: summary.as_deref(),
        checks,
        is_rebased: is_ours && published.commit != work_result.commit,
        notes: is_ours.then_some(&work_result.notes),
        redactor: &attempt.redactor,
    };
    let mut short_wait = ForgeWait::new(attempt, Phase::Syncing, attempt.forge_away.min(MAX_WAIT_FOR_REPLIES));
    if let Some(pull) = target.pull_request.as_ref().filter(|_| published.pushed_by != PushedBy::OtherUser) {
        // Update the description before requesting another review. A user's commit gets no update.
        let (commit, text) =
            (published.commit.as_str(), pull_request::render_newest_part(assignment.repository.forge, &facts));
        let update = DescriptionUpdate { number: pull.number, commit, text: &text };
        let call = async |forge: &Forge| update.try_once(attempt, forge).await;
        if let Some(outage) = repeat_until_decided(attempt, preparation, &mut short_wait, call).await? {
            DescriptionUpdate::log_unchanged(attempt, &outage.reason);
        }
    }
    let replies = match &assignment.revises {
        // After the push, a failed reply does not fail the job.
        Some(revises) => {
            let (commit, agent_replies) = (published.commit.as_str(), &work_result.replies);
            let mut open = OpenReview::new(revises, is_ours && revises.retries.is_empty());
            let answers = ReviewReplies { revises, commit, agent_replies, agent };
            let call = async |forge: &Forge| answers.try_once(attempt, forge, &mut open).await;
            let outage = repeat_until_decided(attempt, preparation, &mut short_wait, call).await?;
            open.report(attempt, outage.as_ref())
        }
        None => None,
    };
    let opening = Opening { target: &target, assignment, facts: &facts, pushed_at };
    let has_own_branch = assignment.step.as_ref().is_some_and(|step| step.has_own_branch);
    let pull_request = loop {
        if has_own_branch {
            break None;
        }
        let open = opening.try_once(attempt, &preparation.access.forge);
        match attempt.unless_aborted(async { Ok(open.await) }).await? {
            Ok(pull_request) => {
                forge_wait.end().await;
                break Some(pull_request);
            }
            Err(ForgeFault::Final(stop)) => return Err(stop),
            Err(ForgeFault::Away(outage)) => {
                keep_work(attempt, preparation, forge_wait).await;
                forge_wait.pause(&outage, |reason| forge_unavailable(attempt, reason)).await?;
                renew_old_access(attempt, preparation).await?;
            }
        }
    };
    let git = &preparation.access.git;
    let is_whole = is_ours && !facts.is_rebased;
    let parent = if is_whole { target.start_commit.clone() } else { format!("{}^", published.commit) };
    let size = commit::measure_commit(git, &repository, (&parent, &published.commit)).await;
    Ok(FinishResult {
        branch: target.branch.clone(),
        // Later steps get the step's commit, without those that users pushed on top.
        head: if has_own_branch { published.commit.clone() } else { head },
        pull_request,
        files: size.files,
        insertions: size.insertions,
        deletions: size.deletions,
        replies,
    })
}

/// Repeats a call after the push while the forge is away. The work is published, so neither the end of the wait nor a
/// cancel fails the job: they return the outage.
/// Errors: other orders.
async fn repeat_until_decided(
    attempt: &Attempt<'_>,
    preparation: &mut Preparation<'_>,
    forge_wait: &mut ForgeWait<'_>,
    mut call: impl AsyncFnMut(&Forge) -> Result<(), Outage>,
) -> Result<Option<Outage>, Stop> {
    loop {
        let result = call(&preparation.access.forge);
        let Err(outage) = attempt.unless_aborted(async { Ok(result.await) }).await? else {
            forge_wait.end().await;
            return Ok(None);
        };
        let wait = async {
            forge_wait.pause(&outage, |reason| forge_unavailable(attempt, reason)).await?;
            renew_old_access(attempt, preparation).await
        };
        match wait.await {
            Ok(()) => {}
            // A cancel comes too late for published work.
            Err(Stop::Failure(_) | Stop::Order(Order::Cancel | Order::Pause)) => return Ok(Some(outage)),
            Err(stop) => return Err(stop),
        }
    }
}
