//! Opens or updates the pull request after the push, answers the review, and returns the result.

use super::prepare::Prepared;
use crate::Isolation;
use crate::api::attempt::Attempt;
use crate::git::commit;
use crate::job::made::Made;
use crate::publish::pull_request;
use crate::publish::push::{By, Published};
use crate::publish::renewal::Renewal;
use crate::publish::replies;
use crate::secrets::access::Access;
use crate::stop::Stop;
use pullyard_domain::published::{self, CheckResults as Checks};
use pullyard_forge::{PullRequest, PullRequestState};
use pullyard_protocol::attempt::FinishResult;

/// An adopted commit, or a user's commit, is described by its own content: how it was made and checked is unknown.
pub(super) async fn report(
    this: &Attempt<'_>,
    isolation: Isolation,
    prepared: &Prepared<'_>,
    made: &Made,
    published: Published,
) -> Result<FinishResult, Stop> {
    let assignment = this.assignment;
    if published.by == By::ThisAttempt {
        // The push may have rebased the commit onto commits of others.
        this.tally.made(&published.commit);
    }
    let Prepared { access: Access { git, forge, .. }, target, workspace, .. } = prepared;
    let (head, repository) = (published.head, workspace.repository());
    let is_ours = target.adopted.is_none() && (published.by == By::ThisAttempt || published.commit == made.commit);
    let agent = match this.told().0.filter(|_| is_ours) {
        Some(work) => Some(published::describe_agent(&work)),
        None => commit::agent_of(git, &repository, &published.commit, &assignment.job).await.map(str::to_owned),
    };
    let failed_before = !is_ours && commit::failed_checks(git, &repository, &published.commit).await;
    // Our checks ran on our commit, not on an adopted one.
    let runs = if is_ours { made.results.runs() } else { &[] };
    let checks = if failed_before { Checks::FailedEarlier } else { Checks::Completed(runs) };
    let summary = if is_ours { this.artifacts.last_word().await } else { None };
    let said = pull_request::Said {
        commit: &published.commit,
        isolation: is_ours.then_some(isolation),
        agent: agent.as_deref(),
        summary: summary.as_deref(),
        checks,
        on_top: is_ours && published.commit != made.commit,
        left_out: if is_ours { made.left_out.as_slice() } else { &[] },
        redactor: &this.redactor,
    };
    let is_open = |pull: &&PullRequest| pull.state == PullRequestState::Open;
    if let Some(pull) = target.pull_request.as_ref().filter(is_open).filter(|_| published.by != By::Somebody) {
        // Update the description before requesting another review. A user's commit gets no update.
        let (commit, words) = (published.commit.as_str(), pull_request::of_commit(&said));
        let renewal = Renewal { forge, number: pull.number, commit, words: &words };
        let renewed = async {
            renewal.make(this).await;
            Ok(())
        };
        this.unless_grave(renewed).await?;
    }
    let replies = match &assignment.revises {
        // After the push, a failed reply does not fail the job.
        Some(revises) => {
            let (commit, words) = (published.commit.as_str(), &made.words);
            let fresh = is_ours && revises.retries.is_empty();
            let answers = replies::Answers { forge, revises, commit, words, agent: agent.as_deref(), fresh };
            this.unless_grave(async { Ok(answers.give(this).await) }).await?
        }
        None => None,
    };
    let opened = this.unless_grave(pull_request::find_or_open(forge, target, assignment, &said)).await?;
    let size = commit::size(git, &repository, &target.base, &head).await;
    Ok(FinishResult {
        branch: target.branch.clone(),
        head,
        pull_request: opened,
        files: size.files,
        insertions: size.insertions,
        deletions: size.deletions,
        replies,
    })
}
