//! The demo's second half: a review leads to another commit, the next review is held, the pull request is merged.

use super::agent::REPOSITORY;
use super::scenario::DemoRun;
use super::verify::ExpectedResult;
use anyhow::{Context as _, ensure};
use pullyard_domain::job::{JobKind, JobStatus};
use pullyard_domain::review::pull_request::PullRequestState;
use pullyard_domain::text::id::{HookName, IntegrationId, RepositoryName};
use pullyard_local::{AccountKind, LineComment, Role, User};
use pullyard_protocol::hook::InstallHook;
use pullyard_protocol::job::Job;
use pullyard_protocol::pull_request::{PullRequest, PullRequestQuery};

const REVIEWER: &str = "rita";

impl DemoRun<'_> {
    pub(super) async fn set_up_reviews(&mut self, integration: &IntegrationId) -> anyhow::Result<()> {
        let token = format!("demo-{:032x}", rand::random::<u128>());
        let reviewer = User { login: REVIEWER.into(), id: 7_001, token };
        self.local.forge().add_user(reviewer, AccountKind::User).await?;
        self.local.forge().set_role(REPOSITORY, REVIEWER, Role::Write).await?;
        let hook = InstallHook {
            name: HookName::new("demo")?,
            integration: integration.clone(),
            project: self.project.clone(),
            repository: Some(RepositoryName::new(REPOSITORY)?),
            organisation: None,
            app: false,
            base_url: self.local.api_url().into(),
            by_hand: false,
            template: None,
        };
        let hook = self.api.install_hook(&hook).await?;
        self.screen.step("Hooked", &format!("the forge sends events to {}", hook.url.unwrap_or_default()));
        Ok(())
    }

    pub(super) async fn play_review(&mut self, first: &mut ExpectedResult) -> anyhow::Result<()> {
        let forge = self.local.forge();
        let number = first.result.number;
        let request = "In `greeting.txt` replace `Bonjour` with `Bonsoir`";
        self.screen.ticket(first.ticket.as_str(), "A reviewer requests changes");
        let remark = LineComment { path: "greeting.txt", line: 1, body: request };
        forge.request_changes(REPOSITORY, number, REVIEWER, "We open in the evening.", &[remark]).await?;
        self.screen.step("Review", &format!("{REVIEWER} requests changes on #{number}: {request}"));
        let is_revision = |job: &Job| job.kind == JobKind::Revise && job.ticket.as_ref() == Some(&first.ticket);
        let job = self
            .wait_for("the review never started a job", async || {
                let jobs = self.api.jobs(&self.project, None).await?.jobs;
                let state = format!("the project has {} jobs", jobs.len());
                Ok(jobs.into_iter().find(is_revision).ok_or(state))
            })
            .await?;
        self.screen.step("Accepted", &format!("by the webhook: job {} revises #{number}", job.id.short()));
        let job = self.follow(&job.id).await?;
        let failure = job.failure.as_ref().map(|failure| failure.sentence.clone()).unwrap_or_default();
        ensure!(job.status == JobStatus::Completed, "the revision ended {}: {failure}", job.status.label());
        let result = job.result.context("a completed job has no result")?;
        ensure!(result.number == number, "the revision went to #{}", result.number);

        let pull = forge.pull_snapshot(REPOSITORY, number).await?.context("the pull request is gone")?;
        ensure!(pull.head == result.head && pull.head != first.result.head, "the branch is at {}", pull.head);
        let head = pull.head.get(..7).unwrap_or_default().to_owned();
        self.screen.step("Completed", &format!("one commit more on {}: {head}", result.branch));
        let answers: Vec<_> = pull.comments.iter().filter(|(author, _)| author != REVIEWER).collect();
        let [(author, text)] = answers.as_slice() else {
            anyhow::bail!("the comment has {} answers", answers.len());
        };
        let text = text.lines().next().unwrap_or_default();
        ensure!(text.contains(&head), "the answer does not name the commit: {text}");
        self.screen.step("Answered", &format!("in the comment's thread, by {author}: {text}"));
        ensure!(pull.requested_reviewers == [REVIEWER], "{:?} are asked for a review", pull.requested_reviewers);
        self.screen.step("Asked", &format!("{REVIEWER} to review again"));
        self.screen.record_revision(first.ticket.as_str(), job.id.as_str(), &result.head);
        first.line = "Bonsoir, and welcome to the shop.";
        first.commits = 2;
        first.job = job.id;
        first.result = result;
        self.play_held_review(first).await
    }

    async fn play_held_review(&mut self, first: &ExpectedResult) -> anyhow::Result<()> {
        let forge = self.local.forge();
        let number = first.result.number;
        let text = "One more thing: please say it twice.";
        forge.request_changes(REPOSITORY, number, REVIEWER, text, &[]).await?;
        self.screen.step("Review", &format!("{REVIEWER} requests changes again, within the hour: {text}"));
        let held = self.wait_for_pull_request(first, "holds the review", |pull| pull.held_until.is_some()).await?;
        self.screen.step("Held", &held.sentence);
        let (name, state, sentence) = self
            .wait_for("the pull request shows no pending status", async || {
                let pull = forge.pull_snapshot(REPOSITORY, number).await?.context("the pull request is gone")?;
                let pending = pull.statuses.iter().find(|(_, state, _)| state == "pending").cloned();
                Ok(pending.ok_or_else(|| format!("{:?}", pull.statuses)))
            })
            .await?;
        self.screen.step("Status", &format!("on the commit, {name} ({state}): {sentence}"));
        Ok(())
    }

    pub(super) async fn play_merge(&mut self, first: &ExpectedResult) -> anyhow::Result<()> {
        let number = first.result.number;
        self.screen.ticket(first.ticket.as_str(), "The pull request is merged");
        self.local.forge().merge(REPOSITORY, number, REVIEWER).await?;
        self.screen.step("Merged", &format!("#{number}, by {REVIEWER}"));
        let has_ended = |pull: &PullRequest| pull.state == PullRequestState::Merged && pull.held_until.is_none();
        let pull = self.wait_for_pull_request(first, "ends with its pull request", has_ended).await?;
        self.screen.step("Refused", &format!("the waiting review: {}", pull.sentence));
        let jobs = self.api.jobs(&self.project, None).await?.jobs;
        let revisions = jobs.iter().filter(|job| job.kind == JobKind::Revise).count();
        ensure!(revisions == 1, "there are {revisions} revisions");
        Ok(())
    }

    async fn wait_for_pull_request(
        &self,
        of: &ExpectedResult,
        goal: &str,
        is_expected: impl Fn(&PullRequest) -> bool,
    ) -> anyhow::Result<PullRequest> {
        let which = PullRequestQuery {
            project: self.project.clone(),
            repository: RepositoryName::new(REPOSITORY)?,
            number: of.result.number,
            integration: None,
        };
        self.wait_for(&format!("#{} never {goal}", which.number), async || {
            let pull = self.api.explain_pull_request(&which).await?;
            Ok(if is_expected(&pull) { Ok(pull) } else { Err(pull.sentence) })
        })
        .await
    }
}
