//! The demo's agent reviews a pull request, and its finding is posted at its line.

use super::agent::REPOSITORY;
use super::scenario::DemoRun;
use super::verify::ExpectedResult;
use anyhow::{Context as _, bail, ensure};
use pullyard_domain::job::JobStatus;
use pullyard_domain::review::output::JobOutput;
use pullyard_domain::text::id::RepositoryName;
use pullyard_protocol::pull_request::ReviewPullRequest;

impl DemoRun<'_> {
    pub(super) async fn play_agent_review(&mut self, of: &ExpectedResult) -> anyhow::Result<()> {
        let number = of.result.number;
        self.screen.ticket(of.ticket.as_str(), "An agent reviews the pull request");
        let request = ReviewPullRequest {
            project: self.project.clone(),
            repository: RepositoryName::new(REPOSITORY)?,
            number,
            integration: None,
            message: None,
            full: false,
            agent: None,
            model: None,
        };
        let decision = self.api.review_pull_request(&request, None).await?;
        self.screen.step("Requested", &format!("a review of #{number}"));
        self.screen.step("Accepted", &decision.sentence);
        let id = decision.job.context("an accepted request has no job")?;
        let job = self.follow(&id).await?;
        let failure = job.failure.as_ref().map(|failure| failure.sentence.clone()).unwrap_or_default();
        ensure!(job.status == JobStatus::Completed, "the review ended {}: {failure}", job.status.label());
        let Some(JobOutput::Review(posted)) = self.api.job_output(&id).await?.output else {
            bail!("the review has no output");
        };
        let sentence = posted.counts().sentence();
        self.screen.step("Posted", &sentence);

        let pull = self.local.forge().pull_snapshot(REPOSITORY, number).await?.context("the pull request is gone")?;
        let [(author, text)] = pull.comments.as_slice() else {
            bail!("the pull request has {} comments on lines", pull.comments.len());
        };
        let text = text.lines().next().unwrap_or_default();
        ensure!(text.contains("The town is missing"), "the comment says: {text}");
        self.screen.step("Comment", &format!("at its line, by {author}: {text}"));
        ensure!(pull.head == of.result.head, "the branch is at {}", pull.head);
        self.screen.record_review(of.ticket.as_str(), id.as_str(), &sentence);
        Ok(())
    }
}
