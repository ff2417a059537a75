//! Shows artifacts and attempts on the page of a job, and redirects to an artifact.

use crate::fault::Fault;
use crate::text::{Text, line};
use crate::visit::Visit;
use crate::words;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use pullyard_control::{self as control, Context, Error};
use pullyard_domain::checks::{CheckOutcome, CheckRun};
use pullyard_domain::id::{ArtifactId, JobId};
use pullyard_domain::job::{AgentReport, AttemptEnd, AttemptRecord};
use pullyard_entry::{Path, Problem};
use std::time::Duration;

pub(crate) struct Kept {
    pub(crate) artifacts: Vec<Artifact>,
    pub(crate) attempts: Vec<Provenance>,
    pub(crate) unsaid: Vec<u32>,
}

pub(crate) struct Artifact {
    pub(crate) address: String,
    pub(crate) stored: bool,
    pub(crate) name: Text,
    pub(crate) kind: &'static str,
    pub(crate) size: String,
    pub(crate) attempt: u32,
}

pub(crate) struct Provenance {
    pub(crate) attempt: u32,
    pub(crate) how: &'static str,
    pub(crate) took: String,
    pub(crate) agent: Text,
    pub(crate) usage: String,
    pub(crate) commits: Option<Text>,
    pub(crate) checks: Vec<Check>,
}

pub(crate) struct Check {
    pub(crate) command: Text,
    pub(crate) passed: bool,
    /// `Passed in 12 s`, `Failed with exit code 1 in 3 s, run again`.
    pub(crate) result: String,
}

/// `None` while no artifact is stored and no attempt has ended.
pub(crate) async fn of(ctx: &Context, job: &JobId) -> Result<Option<Kept>, Fault> {
    let artifacts = control::artifacts_of(ctx, job).await?;
    let attempts = control::attempts_of(ctx, job).await?;
    if artifacts.is_empty() && attempts.is_empty() {
        return Ok(None);
    }
    let artifacts = artifacts.into_iter().map(|(attempt, one)| Artifact {
        address: format!("/jobs/{job}/artifacts/{}", one.id),
        stored: one.stored,
        name: line(one.name.as_str()),
        kind: one.kind.label(),
        size: words::bytes(one.size_bytes),
        attempt,
    });
    let unsaid = unsaid_among(&attempts);
    Ok(Some(Kept { artifacts: artifacts.collect(), attempts: attempts.iter().map(provenance).collect(), unsaid }))
}

fn unsaid_among(attempts: &[AttemptRecord]) -> Vec<u32> {
    attempts.iter().filter(|attempt| !attempt.has_usage_and_cost()).map(|attempt| attempt.number).collect()
}

fn provenance(attempt: &AttemptRecord) -> Provenance {
    Provenance {
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
        took: words::length(attempt.ended_at.since(attempt.run.started)),
        agent: line(&attempt.work.as_ref().map(agent).unwrap_or_else(|| "agent not recorded".into())),
        usage: usage(attempt.work.as_ref(), attempt.spent_usd_micros),
        commits: attempt.work.as_ref().and_then(commits).map(|words| line(&words)),
        checks: attempt.work.iter().flat_map(|work| &work.checks).map(check).collect(),
    }
}

fn check(run: &CheckRun) -> Check {
    let took = words::length(Duration::from_millis(run.took_ms));
    let end = if run.outcome == CheckOutcome::Failed { format!(" with {}", run.end_phrase()) } else { String::new() };
    let round = if run.round == 0 { "" } else { ", run again" };
    let result = format!("{}{end} in {took}{round}", run.outcome.label());
    Check { command: line(&run.command), passed: run.passed(), result }
}

/// `claude_code 2.1.197, claude-opus-4, isolation none, session 4f…`.
fn agent(work: &AgentReport) -> String {
    let version = work.version.as_ref().map(|version| format!(" {version}")).unwrap_or_default();
    let model = work.model.as_ref().map(|model| format!(", {model}")).unwrap_or_default();
    let session = work.session.as_ref().map(|session| format!(", session {session}")).unwrap_or_default();
    format!("{}{version}{model}, isolation {}{session}", work.agent, work.isolation)
}

fn commits(work: &AgentReport) -> Option<String> {
    let short = |commit: &String| commit.chars().take(12).collect::<String>();
    let (commit, base) = (work.commit.as_ref().map(short), work.base_commit.as_ref().map(short));
    match (commit, base) {
        (Some(commit), Some(base)) => Some(format!("commit {commit} on {base}")),
        (Some(commit), None) => Some(format!("commit {commit}")),
        (None, Some(base)) => Some(format!("no commit on {base}")),
        (None, None) => None,
    }
}

fn usage(work: Option<&AgentReport>, spent_usd_micros: Option<u64>) -> String {
    let tokens = work.filter(|work| work.input_tokens > 0 || work.output_tokens > 0);
    let tokens = tokens.map(|work| {
        let turns = words::count(work.turns.into(), "turn");
        format!("{turns}, {} tokens read, {} written", work.input_tokens, work.output_tokens)
    });
    let about = if work.is_some_and(|work| work.about_usd_micros.is_some()) { "about " } else { "" };
    let cost = spent_usd_micros.map(|micros| format!("{about}${:.2}", micros as f64 / 1e6));
    [tokens, cost].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

pub(crate) async fn show(visit: Visit, names: Result<Path<(JobId, ArtifactId)>, Problem>) -> Result<Response, Fault> {
    let Path((job, artifact)) = names?;
    let gone = || Fault::not_found(&format!("There is no job {job}."));
    let found = match visit.ctx.store.job(&job).await {
        Ok(found) => found.ok_or_else(gone)?,
        Err(error) => return Err(Error::from(error).into()),
    };
    if !visit.visitor.may_touch(&found.project) {
        return Err(gone());
    }
    let address = control::artifact_address(&visit.ctx, &job, &artifact).await?;
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
