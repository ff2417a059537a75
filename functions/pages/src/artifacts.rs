//! Shows artifacts and attempts on the page of a job, and redirects to an artifact.

use crate::fault::Fault;
use crate::labels;
use crate::text::{SafeText, line};
use crate::visit::PageContext;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use pullyard_control::{self as control, Context, Error};
use pullyard_domain::checks::{CheckOutcome, CheckRun};
use pullyard_domain::id::{ArtifactId, JobId};
use pullyard_domain::job::{AgentReport, AttemptEnd, AttemptRecord};
use pullyard_entry::{Path, Problem};
use std::time::Duration;

pub(crate) struct JobRecords {
    pub(crate) artifacts: Vec<Artifact>,
    pub(crate) attempts: Vec<AttemptRow>,
    pub(crate) unsaid: Vec<u32>,
}

pub(crate) struct Artifact {
    pub(crate) address: String,
    pub(crate) stored: bool,
    pub(crate) name: SafeText,
    pub(crate) kind: &'static str,
    pub(crate) size: String,
    pub(crate) attempt: u32,
}

pub(crate) struct AttemptRow {
    pub(crate) attempt: u32,
    pub(crate) how: &'static str,
    pub(crate) took: String,
    pub(crate) agent: SafeText,
    pub(crate) usage: String,
    pub(crate) commits: Option<SafeText>,
    pub(crate) checks: Vec<CheckRow>,
}

pub(crate) struct CheckRow {
    pub(crate) command: SafeText,
    pub(crate) passed: bool,
    /// `Passed in 12 s`, `Failed with exit code 1 in 3 s, run again`.
    pub(crate) result: String,
}

/// `None` while no artifact is stored and no attempt has ended.
pub(crate) async fn load_records(ctx: &Context, job: &JobId) -> Result<Option<JobRecords>, Fault> {
    let artifacts = control::list_artifacts(ctx, job).await?;
    let attempts = control::list_attempts(ctx, job).await?;
    if artifacts.is_empty() && attempts.is_empty() {
        return Ok(None);
    }
    let artifacts = artifacts.into_iter().map(|(attempt, one)| Artifact {
        address: format!("/jobs/{job}/artifacts/{}", one.id),
        stored: one.stored,
        name: line(one.name.as_str()),
        kind: one.kind.label(),
        size: labels::format_bytes(one.size_bytes),
        attempt,
    });
    let unsaid = attempts_without_usage(&attempts);
    Ok(Some(JobRecords {
        artifacts: artifacts.collect(),
        attempts: attempts.iter().map(to_attempt_row).collect(),
        unsaid,
    }))
}

fn attempts_without_usage(attempts: &[AttemptRecord]) -> Vec<u32> {
    attempts.iter().filter(|attempt| !attempt.has_usage_and_cost()).map(|attempt| attempt.number).collect()
}

fn to_attempt_row(attempt: &AttemptRecord) -> AttemptRow {
    AttemptRow {
        attempt: attempt.number,
        how: match attempt.ended {
            AttemptEnd::Completed {} => "Completed",
            AttemptEnd::Failed { .. } => "Failed",
            AttemptEnd::FoundNothing {} => "Found no push",
            AttemptEnd::Cancelled {} => "Cancelled",
            AttemptEnd::Requeued { .. } => "Requeued",
            AttemptEnd::Asked {} => "Asked a question",
            AttemptEnd::Paused {} => "Paused",
        },
        took: labels::format_duration(attempt.ended_at.since(attempt.run.started)),
        agent: line(&attempt.work.as_ref().map(describe_agent).unwrap_or_else(|| "agent not recorded".into())),
        usage: describe_usage(attempt.work.as_ref(), attempt.spent_usd_micros),
        commits: attempt.work.as_ref().and_then(describe_commits).map(|text| line(&text)),
        checks: attempt.work.iter().flat_map(|work| &work.checks).map(to_check_row).collect(),
    }
}

fn to_check_row(run: &CheckRun) -> CheckRow {
    let took = labels::format_duration(Duration::from_millis(run.took_ms));
    let end = if run.outcome == CheckOutcome::Failed { format!(" with {}", run.end_phrase()) } else { String::new() };
    let round = if run.round == 0 { "" } else { ", run again" };
    let result = format!("{}{end} in {took}{round}", run.outcome.label());
    CheckRow { command: line(&run.command), passed: run.is_success(), result }
}

/// `claude_code 2.1.197, claude-opus-4, isolation none, session 4f…`.
fn describe_agent(work: &AgentReport) -> String {
    let version = work.version.as_ref().map(|version| format!(" {version}")).unwrap_or_default();
    let model = work.model.as_ref().map(|model| format!(", {model}")).unwrap_or_default();
    let session = work.session.as_ref().map(|session| format!(", session {session}")).unwrap_or_default();
    format!("{}{version}{model}, isolation {}{session}", work.agent, work.isolation)
}

fn describe_commits(work: &AgentReport) -> Option<String> {
    let short = |commit: &String| commit.chars().take(12).collect::<String>();
    let (commit, base) = (work.commit.as_ref().map(short), work.base_commit.as_ref().map(short));
    match (commit, base) {
        (Some(commit), Some(base)) => Some(format!("commit {commit} on {base}")),
        (Some(commit), None) => Some(format!("commit {commit}")),
        (None, Some(base)) => Some(format!("no commit on {base}")),
        (None, None) => None,
    }
}

fn describe_usage(work: Option<&AgentReport>, spent_usd_micros: Option<u64>) -> String {
    let tokens = work.filter(|work| work.input_tokens > 0 || work.output_tokens > 0);
    let tokens = tokens.map(|work| {
        let turns = labels::format_count(work.turns.into(), "turn");
        format!("{turns}, {} tokens read, {} written", work.input_tokens, work.output_tokens)
    });
    let about = if work.is_some_and(|work| work.about_usd_micros.is_some()) { "about " } else { "" };
    let cost = spent_usd_micros.map(|micros| format!("{about}${:.2}", micros as f64 / 1e6));
    [tokens, cost].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

pub(crate) async fn redirect_to_artifact(
    visit: PageContext,
    names: Result<Path<(JobId, ArtifactId)>, Problem>,
) -> Result<Response, Fault> {
    let Path((job, artifact)) = names?;
    let gone = || Fault::not_found(&format!("There is no job {job}."));
    let stored = match visit.ctx.store.load_job(&job).await {
        Ok(stored) => stored.ok_or_else(gone)?,
        Err(error) => return Err(Error::from(error).into()),
    };
    if !visit.visitor.may_access(&stored.project) {
        return Err(gone());
    }
    let address = control::artifact_url(&visit.ctx, &job, &artifact).await?;
    let unusable = |_| {
        Fault::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "Pullyard cannot create a download link for this artifact.",
        )
    };
    let to = HeaderValue::from_str(&address).map_err(unusable)?;
    // The URL is a credential, so no cache may store it.
    Ok((StatusCode::FOUND, [(header::LOCATION, to), (header::CACHE_CONTROL, HeaderValue::from_static("no-store"))])
        .into_response())
}
