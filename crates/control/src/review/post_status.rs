//! Shows a job's state on its pull request, as a commit status, or as one comment where statuses are not permitted.
//! Then starts the wanted review of the pull request, if it is due.

use super::wanted_review::start_wanted_review;
use crate::forge::forge_client;
use crate::own_comment::{OwnComment, is_refused};
use crate::postpone::postpone_after;
use crate::{Context, Error};
use pullyard_domain::job::explanation::explain_job;
use pullyard_domain::job::{Job, JobStatus};
use pullyard_domain::project::Repository;
use pullyard_domain::project::forge::{ForgeKind, Integration};
use pullyard_domain::review::published::marker::Marker;
use pullyard_domain::review::published::{self, short_commit};
use pullyard_domain::review::pull_request::{EndedReview, Note, PullRequest, PullRequestId, Stage};
use pullyard_domain::text::decision::{Reason, Verdict};
use pullyard_domain::text::format_count;
use pullyard_domain::text::id::JobId;
use pullyard_domain::text::time::Timestamp;
use pullyard_forge::{CommitState, CommitStatus, Forge};
use pullyard_store::{WorkKey, Write};

const STATUS_NAME: &str = "pullyard";
/// The status of reviews by agents, which must not replace the status of the work.
const REVIEW_STATUS_NAME: &str = "pullyard/review";

/// Idempotent: a status replaces the one with its name; our comment is found by its marker. For the review, see
/// `start_wanted_review`.
/// Errors: after any error but `Contended`, the pull request is put off, longer each time.
pub async fn post_status(ctx: &Context, id: &PullRequestId) -> Result<(), Error> {
    let result = match post_pending_note(ctx, id).await {
        Ok(Some(linked)) if linked.review_wanted_at().is_some_and(|at| at <= ctx.clock.now()) => {
            Box::pin(start_wanted_review(ctx, linked)).await
        }
        result => result.map(drop),
    };
    let is_lasting = |error: &Error| !matches!(error, Error::Contended { .. });
    postpone_after(ctx, &WorkKey::PullRequest(id.clone()), result, is_lasting).await
}

/// Returns the changed pull request with its former `rev`.
async fn post_pending_note(ctx: &Context, id: &PullRequestId) -> Result<Option<PullRequest>, Error> {
    let mut rounds = ctx.retries(id);
    loop {
        let linked = match ctx.store.load_pull_request(id).await? {
            Some(linked) if linked.is_note_outdated() => linked,
            current => return Ok(current),
        };
        let mut updated = linked.clone();
        updated.noted_version = linked.note_version;
        updated.tries = 0;
        updated.not_before = None;
        let (integration, repository) = tokio::try_join!(
            ctx.store.load_integration(&id.integration),
            ctx.store.load_repository(&linked.project, &id.integration, id.repository),
        )?;
        if let (Some(integration), Some(repository), Some(text)) =
            (integration, repository, load_status_text(ctx, &linked).await?)
        {
            let target = StatusTarget { integration: &integration, repository: &repository, pull_request: &linked };
            updated.comment = target.post(ctx, &text).await?;
        }
        // Stale: a newer note exists, or the head moved. The next round writes it.
        if ctx.store.update_pull_request(&updated).await? == Write::Applied {
            return Ok(Some(updated));
        }
        rounds.backoff().await?;
    }
}

struct StatusText {
    context: &'static str,
    state: CommitState,
    sentence: String,
    help: Option<String>,
    url: Option<String>,
}

async fn load_status_text(ctx: &Context, linked: &PullRequest) -> Result<Option<StatusText>, Error> {
    Ok(match &linked.note {
        None => None,
        Some(Note::Decision { reason }) => Some(decision_text(reason)),
        Some(Note::ReviewRefusal { reason }) => {
            Some(StatusText { context: REVIEW_STATUS_NAME, ..decision_text(reason) })
        }
        // The job's end replaces this note, so the job is still running.
        Some(Note::Job { job, .. }) if linked.reviews.names(job) => {
            let ended = linked.reviews.ended.iter().find(|review| review.job == *job);
            Some(with_job_url(ctx, job, load_review_text(ctx, job, ended).await?))
        }
        // The job's end replaces this note, so the job is still running.
        Some(Note::Job { job, stage: Stage::Begun }) => Some(with_job_url(ctx, job, running_text(job))),
        Some(Note::Job { job, stage: Stage::Ended }) => {
            let stored = ctx.store.load_job(job).await?;
            stored.map(|stored| with_job_url(ctx, job, job_text(&stored, ctx.clock.now())))
        }
    })
}

fn with_job_url(ctx: &Context, job: &JobId, status: StatusText) -> StatusText {
    StatusText { url: Some(format!("{}/jobs/{job}", ctx.pages_url())), ..status }
}

fn decision_text(reason: &Reason) -> StatusText {
    let state = match reason.verdict() {
        Verdict::Held => CommitState::Pending,
        // Neither pending nor failed, because a refusal must not block the merge.
        _ => CommitState::Success,
    };
    StatusText { context: STATUS_NAME, state, sentence: reason.sentence(), help: Some(reason.help()), url: None }
}

fn running_text(job: &JobId) -> StatusText {
    let sentence = format!("Job {} works on the requested changes.", job.short());
    StatusText { context: STATUS_NAME, state: CommitState::Pending, sentence, help: None, url: None }
}

/// Never pending or failed, because a review must not block the merge.
async fn load_review_text(ctx: &Context, job: &JobId, ended: Option<&EndedReview>) -> Result<StatusText, Error> {
    let short = job.short();
    let (sentence, help) = match ended.map(|review| &review.posted) {
        None => (format!("Job {short} reviews the pull request."), None),
        Some(Some(commit)) => {
            let head = short_commit(&commit.head);
            (format!("Job {short} reviewed {head}. {}", commit.counts.sentence()), None)
        }
        Some(None) => match ctx.store.load_job(job).await? {
            Some(job) => {
                let (sentence, help) = explain_job(&job, None, None, ctx.clock.now());
                (sentence, Some(help))
            }
            None => (format!("The review by job {short} did not complete."), None),
        },
    };
    Ok(StatusText { context: REVIEW_STATUS_NAME, state: CommitState::Success, sentence, help, url: None })
}

fn job_text(job: &Job, now: Timestamp) -> StatusText {
    let short = job.id.short();
    let (state, sentence, help) = match (job.status, &job.result) {
        (JobStatus::Completed, Some(result)) => {
            let files = format_count(result.files, "file");
            let head: String = result.head.chars().take(7).collect();
            (CommitState::Success, format!("Job {short} revised {files} in {head}."), None)
        }
        // The full explanation, because the job may have pushed, and reviewers read this.
        (JobStatus::Failed | JobStatus::Cancelled, _) => {
            let state = if job.status == JobStatus::Failed { CommitState::Failure } else { CommitState::Error };
            let (sentence, help) = explain_job(job, None, None, now);
            (state, sentence, Some(help))
        }
        _ => return running_text(&job.id),
    };
    StatusText { context: STATUS_NAME, state, sentence, help, url: None }
}

struct StatusTarget<'a> {
    integration: &'a Integration,
    repository: &'a Repository,
    pull_request: &'a PullRequest,
}

impl StatusTarget<'_> {
    async fn post(&self, ctx: &Context, note: &StatusText) -> Result<Option<u64>, Error> {
        let forge = forge_client(ctx, self.integration, self.repository).await?;
        let status = CommitStatus {
            state: note.state,
            context: note.context.into(),
            description: note.sentence.clone(),
            target_url: note.url.clone(),
            branch: Some(self.pull_request.branch.clone()).filter(|branch| !branch.is_empty()),
        };
        if self.pull_request.comment.is_none() && !self.pull_request.head.is_empty() {
            match forge.set_status(self.repository.name.as_str(), &self.pull_request.head, &status).await {
                Ok(()) => return Ok(None),
                Err(error) if is_refused(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.post_comment(&forge, note).await
    }

    async fn post_comment(&self, forge: &Forge, status: &StatusText) -> Result<Option<u64>, Error> {
        let comment = OwnComment {
            integration: self.integration,
            repository: self.repository.name.as_str(),
            number: self.pull_request.id.number,
            marker: Marker::Status,
            body: comment_body(self.integration.kind, status),
            id: self.pull_request.comment,
        };
        // After a refusal the ledger has the answer.
        Ok(comment.post(forge).await?.or(self.pull_request.comment))
    }
}

fn comment_body(kind: ForgeKind, status: &StatusText) -> String {
    let mut body = published::to_markdown(&status.sentence);
    if let Some(help) = status.help.as_ref().filter(|help| *help != "Nothing to do.") {
        body.push_str("\n\n");
        body.push_str(help);
    }
    if let Some(page) = &status.url {
        body.push_str(&format!("\n\n[Job]({page})"));
    }
    Marker::Status.append_to(kind, &body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pullyard_domain::text::failure::Failure;

    #[test]
    fn quoted_text_in_a_comment_has_no_mentions_or_links() {
        let reason = "@acme/all <img src=x> [see](https://z.test)".into();
        let sentence = Failure::PushRejected { forge: "GitHub".into(), reason }.sentence();
        let (help, page) = (Some("See there.".into()), Some("https://p.test/jobs/x".into()));
        let status_text = StatusText { context: STATUS_NAME, state: CommitState::Failure, sentence, help, url: page };
        assert_eq!(
            comment_body(ForgeKind::GitHub, &status_text),
            "GitHub rejected the push: @\u{2060}acme/all <\u{2060}img src=x> [see]\u{2060}(https://z.test).\n\n\
             See there.\n\n[Job](https://p.test/jobs/x)\n\n<!-- pullyard:status -->"
        );
    }
}
