//! Opens or updates the pull request after the push, answers the review, and returns the result.

use super::prepare::Preparation;
use crate::Isolation;
use crate::api::attempt::Attempt;
use crate::git::commit;
use crate::job::work::WorkResult;
use crate::publish::description_update::DescriptionUpdate;
use crate::publish::pull_request;
use crate::publish::push::{PublishResult, PushedBy};
use crate::publish::replies;
use crate::secrets::access::ForgeAccess;
use crate::stop::Stop;
use pullyard_domain::published::{self, CheckResults as Checks};
use pullyard_protocol::attempt::FinishResult;

/// An adopted commit, or a user's commit, is described by its own content: how it was made and checked is unknown.
pub(super) async fn report(
    attempt: &Attempt<'_>,
    isolation: Isolation,
    preparation: &Preparation<'_>,
    work_result: &WorkResult,
    published: PublishResult,
) -> Result<FinishResult, Stop> {
    let assignment = attempt.assignment;
    if published.pushed_by == PushedBy::ThisAttempt {
        // The push may have rebased the commit onto commits of others.
        attempt.usage.set_commit(&published.commit);
    }
    let Preparation { access: ForgeAccess { git, forge, .. }, target, workspace, .. } = preparation;
    let (head, repository) = (published.head, workspace.repository());
    let is_ours = target.adopted_commit.is_none()
        && (published.pushed_by == PushedBy::ThisAttempt || published.commit == work_result.commit);
    let agent = match attempt.work_report().0.filter(|_| is_ours) {
        Some(work) => Some(published::describe_agent(&work)),
        None => {
            commit::load_commit_agent(git, &repository, &published.commit, &assignment.job).await.map(str::to_owned)
        }
    };
    let agent = agent.as_deref();
    let failed_before = !is_ours && commit::has_failed_checks(git, &repository, &published.commit).await;
    // Our checks ran on our commit, not on an adopted one.
    let runs = if is_ours { work_result.results.runs() } else { &[] };
    let checks = if failed_before { Checks::FailedEarlier } else { Checks::Completed(runs) };
    let summary = if is_ours { attempt.artifacts.last_message().await } else { None };
    let facts = pull_request::PullRequestFacts {
        commit: &published.commit,
        isolation: is_ours.then_some(isolation),
        agent,
        summary: summary.as_deref(),
        checks,
        is_rebased: is_ours && published.commit != work_result.commit,
        excluded_folders: if is_ours { work_result.omitted_folders.as_slice() } else { &[] },
        redactor: &attempt.redactor,
    };
    if let Some(pull) = target.pull_request.as_ref().filter(|_| published.pushed_by != PushedBy::OtherUser) {
        // Update the description before requesting another review. A user's commit gets no update.
        let (commit, text) = (published.commit.as_str(), pull_request::render_newest_part(&facts));
        let update = DescriptionUpdate { forge, number: pull.number, commit, text: &text };
        let apply = async {
            update.apply(attempt).await;
            Ok(())
        };
        attempt.unless_aborted(apply).await?;
    }
    let replies = match &assignment.revises {
        // After the push, a failed reply does not fail the job.
        Some(revises) => {
            let (commit, agent_replies) = (published.commit.as_str(), &work_result.replies);
            let is_first_try = is_ours && revises.retries.is_empty();
            let answers = replies::ReviewReplies { forge, revises, commit, agent_replies, agent, is_first_try };
            attempt.unless_aborted(async { Ok(answers.post_all(attempt).await) }).await?
        }
        None => None,
    };
    let pull_request = attempt.unless_aborted(pull_request::find_or_open(forge, target, assignment, &facts)).await?;
    let size = commit::measure_diff(git, &repository, &target.base_commit, &head).await;
    Ok(FinishResult {
        branch: target.branch.clone(),
        head,
        pull_request,
        files: size.files,
        insertions: size.insertions,
        deletions: size.deletions,
        replies,
    })
}
