//! The attempts of a job: how each ended, its agent, usage and checks.

use super::runner_link::RunnerLink;
use super::{Shell, load_subject};
use crate::job::head::JobHead;
use crate::prelude::*;
use pullyard_domain::agent::checks::{CheckOutcome, CheckRun};
use pullyard_domain::job::{AgentReport, AttemptEnd, AttemptRecord, JobStatus};
use pullyard_domain::text::id::{JobId, RunnerId};
use std::collections::BTreeMap;
use std::time::Duration;

#[derive(Template)]
#[template(path = "job_attempts.html")]
struct AttemptsPage {
    frame: Frame,
    head: JobHead,
    running: Option<(u32, Pill, String)>,
    attempts: Vec<AttemptRow>,
}

struct AttemptRow {
    number: u32,
    pill: Pill,
    cause: SafeText,
    took: String,
    runner: Option<RunnerLink>,
    agent: SafeText,
    usage: String,
    commits: Option<SafeText>,
    checks: Vec<CheckRow>,
}

pub(crate) struct CheckRow {
    pub(crate) command: SafeText,
    pub(crate) passed: bool,
    /// `Passed in 12 s`, `Failed with exit code 1 in 3 s, run again`.
    pub(crate) result: String,
}

pub(crate) async fn show(visit: PageContext, Path(id): Path<JobId>) -> Result<Response, Fault> {
    let subject = load_subject(&visit, id).await?;
    let (Shell { frame, head }, records) = subject.load_tab(&visit, "attempts").await?;
    let job = &subject.view.job;
    let run = job.run.as_ref().filter(|_| job.status.is_active());
    let running = run.map(|run| {
        let took = labels::format_duration(subject.view.now.since(run.started));
        (job.attempt, labels::job_pill(job), took)
    });
    let ids = records.attempts.iter().filter_map(|attempt| attempt.run.runner.clone()).collect();
    let runners = RunnerLink::load_all(&visit.ctx, ids).await?;
    let attempts = records.attempts.iter().rev().map(|attempt| to_row(attempt, &runners)).collect();
    Ok(render_page(StatusCode::OK, &AttemptsPage { frame, head, running, attempts }))
}

fn to_row(attempt: &AttemptRecord, runners: &BTreeMap<RunnerId, RunnerLink>) -> AttemptRow {
    let (word, status, cause) = match &attempt.ended {
        AttemptEnd::Completed {} => ("Completed", JobStatus::Completed, None),
        AttemptEnd::Failed { failure } => ("Failed", JobStatus::Failed, Some(failure)),
        AttemptEnd::Cancelled {} => ("Cancelled", JobStatus::Cancelled, None),
        AttemptEnd::Requeued { failure } => ("Lost", JobStatus::Failed, Some(failure)),
        AttemptEnd::Asked {} => ("Asked", JobStatus::AwaitingInput, None),
        AttemptEnd::Paused {} => ("Paused", JobStatus::Paused, None),
    };
    AttemptRow {
        number: attempt.number,
        pill: Pill { word, ..labels::pill(status) },
        cause: cause.map(|failure| line(&failure.sentence())).unwrap_or_default(),
        runner: attempt.run.runner.as_ref().and_then(|runner| runners.get(runner)).cloned(),
        took: labels::format_duration(attempt.ended_at.since(attempt.run.started)),
        agent: line(&attempt.work.as_ref().map(describe_agent).unwrap_or_else(|| "agent not recorded".into())),
        usage: describe_usage(attempt.work.as_ref(), attempt.spent_usd_micros),
        commits: attempt.work.as_ref().and_then(describe_commits).map(|text| line(&text)),
        checks: attempt.work.iter().flat_map(|work| &work.checks).map(to_check_row).collect(),
    }
}

pub(crate) fn to_check_row(run: &CheckRun) -> CheckRow {
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
    let refused = match work.refused_hosts.as_slice() {
        [] => String::new(),
        hosts => format!(", refused hosts: {}", hosts.join(" ")),
    };
    format!("{}{version}{model}, isolation {}{session}{refused}", work.agent, work.describe_isolation())
}

fn describe_commits(work: &AgentReport) -> Option<String> {
    let short = |commit: &String| text::short_commit(commit);
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
        let turns = labels::format_count(work.turns, "turn");
        format!("{turns}, {} tokens read, {} written", work.input_tokens, work.output_tokens)
    });
    let prefix = if work.is_some_and(|work| work.about_usd_micros.is_some()) { "about " } else { "" };
    let cost = spent_usd_micros.map(|micros| format!("{prefix}${:.2}", micros as f64 / 1e6));
    [tokens, cost].into_iter().flatten().collect::<Vec<_>>().join(", ")
}
