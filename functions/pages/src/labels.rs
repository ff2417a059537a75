//! Labels and links of states, times, durations and pull requests.

use crate::text::{SafeText, http_url, line};
use pullyard_control::{self as control, Context, JobView, StoredToken};
use pullyard_domain::agent::{self, AgentSpec, ChoiceLevel};
use pullyard_domain::job::{Job, JobStatus, Publishes, explanation};
use pullyard_domain::review::pull_request::{PullRequestId, PullRequestState};
use pullyard_domain::text::decision::Verdict;
use pullyard_domain::text::format_age;
use pullyard_domain::text::time::Timestamp;
pub(crate) use pullyard_domain::text::{format_bytes, format_count, format_duration};
use pullyard_domain::ticket::Badge;
use pullyard_protocol::runner_admin::RunnerStatus;
use std::time::Duration;

/// A state as word, shape and colour, for readers who cannot see one of these.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pill {
    pub(crate) word: &'static str,
    pub(crate) shape: &'static str,
    pub(crate) path: &'static str,
    pub(crate) tone: &'static str,
}

const DISC: &str = "M6 2a4 4 0 1 1 0 8a4 4 0 1 1 0-8";
pub(crate) const RING: &str = "M6 1.5a4.5 4.5 0 1 1 0 9a4.5 4.5 0 1 1 0-9";
const CROSS: &str = "M3 3l6 6M9 3l-6 6";
pub(crate) const TICK: &str = "M2 6.5 5 9.5 10 3";
const BARRED_CIRCLE: &str = "M6 1.5a4.5 4.5 0 1 1 0 9a4.5 4.5 0 1 1 0-9M3 9 9 3";
pub(crate) const DASH: &str = "M2.5 6h7";
pub(crate) const TRIANGLE: &str = "M6 1.5 11 10.5H1zM6 5v2.2";

pub(crate) const NEEDS_ATTENTION: Pill = Pill { word: "Needs attention", shape: "tri", path: TRIANGLE, tone: "warn" };

pub(crate) const WRONG: Pill = Pill { word: "Wrong", shape: "cross", path: CROSS, tone: "bad" };

pub(crate) fn pill(status: JobStatus) -> Pill {
    let (word, shape, path, tone) = match status {
        JobStatus::Pending => ("Pending", "dotted", RING, "wait"),
        JobStatus::Ready => ("Waiting", "dashed", RING, "wait"),
        JobStatus::Claimed => ("Claimed", "part", "M6 1.5a4.5 4.5 0 0 1 4.5 4.5", "accent"),
        JobStatus::Preparing => ("Preparing", "part", "M6 1.5a4.5 4.5 0 0 1 0 9", "accent"),
        JobStatus::Executing => ("Executing", "turning", "M6 1.5a4.5 4.5 0 1 1-4.5 4.5", "accent"),
        JobStatus::Syncing => ("Pushing", "arrow", "M6 10.5V2M2.5 5.5 6 2l3.5 3.5", "accent"),
        JobStatus::AwaitingInput => {
            ("Needs answer", "question", "M4 4a2 2 0 1 1 3 1.8c-.7.4-1 .8-1 1.6M6 10v.3", "ask")
        }
        JobStatus::Paused => ("Paused", "bars", "M4 2v8M8 2v8", "warn"),
        JobStatus::Completed => ("Completed", "tick", TICK, "ok"),
        JobStatus::Failed => ("Failed", "cross", CROSS, "bad"),
        JobStatus::Cancelled => ("Cancelled", "barred", BARRED_CIRCLE, "wait"),
    };
    Pill { word, shape, path, tone }
}

pub(crate) fn job_pill(job: &Job) -> Pill {
    match (job.status, job.publishes()) {
        (JobStatus::Failed, _) if explanation::is_allowed_without_change(job) => {
            Pill { word: "No changes", shape: "dash", path: DASH, tone: "wait" }
        }
        (JobStatus::Syncing, Publishes::Nothing) => pill(JobStatus::Executing),
        (JobStatus::Syncing, Publishes::Review) => Pill { word: publishing(job), ..pill(JobStatus::Syncing) },
        (status, _) => pill(status),
    }
}

/// The name of the phase Syncing.
pub(crate) fn publishing(job: &Job) -> &'static str {
    if job.publishes() == Publishes::Review { "Posting" } else { "Pushing" }
}

pub(crate) fn verdict(verdict: Verdict) -> Pill {
    let (word, shape, path, tone) = match verdict {
        Verdict::Accepted => ("Accepted", "tick", TICK, "ok"),
        Verdict::Held => ("Queued", "arrows", "M2 3l3 3-3 3M6.5 3l3 3-3 3", "accent"),
        Verdict::Refused => ("Refused", "barred", BARRED_CIRCLE, "warn"),
        Verdict::Ignored => ("Ignored", "dash", DASH, "wait"),
        Verdict::Duplicate => ("Duplicate", "dash", DASH, "wait"),
        Verdict::Invalid => ("Invalid", "cross", CROSS, "bad"),
    };
    Pill { word, shape, path, tone }
}

pub(crate) struct PullRequestView {
    /// Our page, with the reviews by agents.
    pub(crate) page: String,
    pub(crate) address: String,
    pub(crate) number: u64,
    pub(crate) state: &'static str,
}

impl PullRequestView {
    pub(crate) fn new(ctx: &Context, id: &PullRequestId, url: &str, state: PullRequestState) -> Option<Self> {
        let address = pull_request_address(ctx, id, url)?;
        Some(Self { page: format!("/pulls/{id}"), address, number: id.number, state: state.display_name() })
    }

    pub(crate) fn of_result(ctx: &Context, job: &Job, state: PullRequestState) -> Option<Self> {
        let result = job.result.as_ref()?;
        Self::new(ctx, &job.pull_request_id(result.number), &result.url, state)
    }
}

/// Our page of a pull request of the local forge, at the review or comment that `url` names; otherwise the forge's page.
pub(crate) fn pull_request_address(ctx: &Context, id: &PullRequestId, url: &str) -> Option<String> {
    if !control::is_local_forge(ctx, &id.integration) {
        return http_url(url);
    }
    let anchor = url.find('#').and_then(|at| url.get(at..)).unwrap_or_default();
    Some(format!("/pulls/{id}{anchor}"))
}

/// The choices of a job with their labels.
pub(crate) fn agents() -> Vec<(&'static str, &'static str)> {
    agent::choices(ChoiceLevel::Job).into_iter().filter_map(|code| Some((code, agent(code)?))).collect()
}

pub(crate) fn agent(code: &str) -> Option<&'static str> {
    match code {
        agent::AUTO => Some("any installed agent"),
        agent::COMMAND => Some("the repository’s command"),
        code => AgentSpec::find(code).map(|agent| agent.name),
    }
}

/// `–` if no cost is known. Units: millionths of a US dollar.
pub(crate) fn format_cost(micros: u64) -> String {
    if micros == 0 { "–".into() } else { format_usd(micros) }
}

pub(crate) fn badge(badge: Badge) -> Pill {
    Pill { word: badge.display_name(), shape: "cross", path: CROSS, tone: "bad" }
}

pub(crate) fn runner(status: RunnerStatus) -> Pill {
    let (word, shape, path, tone) = match status {
        RunnerStatus::Online => ("Online", "disc", DISC, "ok"),
        RunnerStatus::Draining => ("Draining", "part", "M6 1.5a4.5 4.5 0 0 1 0 9", "warn"),
        RunnerStatus::Offline => ("Offline", "ring", RING, "wait"),
        RunnerStatus::NeverHeard => ("Not connected yet", "dotted", RING, "wait"),
        RunnerStatus::Deleting => ("Deleting", "cross", CROSS, "bad"),
    };
    Pill { word, shape, path, tone }
}

/// `soon` is the time before the expiry at which a token needs a replacement.
pub(crate) fn token(token: &StoredToken, now: Timestamp, soon: Duration) -> Pill {
    let expires_soon = token.expires_at.is_some_and(|at| at.since(now) < soon);
    let (word, shape, path, tone) = match (token.revoked, token.is_valid(now), token.last_used) {
        (true, _, _) => ("Revoked", "barred", BARRED_CIRCLE, "wait"),
        (false, false, _) => ("Expired", "barred", BARRED_CIRCLE, "wait"),
        (false, true, _) if expires_soon => ("Expires soon", "tri", TRIANGLE, "warn"),
        (false, true, Some(_)) => ("In use", "disc", DISC, "ok"),
        (false, true, None) => ("Never used", "ring", RING, "wait"),
    };
    Pill { word, shape, path, tone }
}

pub(crate) fn explain_job(view: &JobView) -> Option<SafeText> {
    let JobView { job, waits, now, .. } = view;
    let is_quiet = job.status.is_active() || matches!(job.status, JobStatus::Completed | JobStatus::Cancelled);
    (!is_quiet).then(|| line(&explanation::explain_job(job, waits.as_ref(), None, *now).0))
}

pub(crate) fn job_duration(job: &Job, now: Timestamp) -> String {
    format_duration(job.ended_at.unwrap_or(now).since(job.created))
}

/// `0.4 s`, `12 s`, `2:11`.
pub(crate) fn format_took(length: Duration) -> String {
    match length.as_millis() {
        ms if ms < 10_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        ms if ms < 60_000 => format!("{} s", ms / 1_000),
        _ => format_duration(length),
    }
}

/// `$0.42`, `< $0.01`. Units: millionths of a US dollar.
pub(crate) fn format_usd(micros: u64) -> String {
    if (1..10_000).contains(&micros) { "< $0.01".into() } else { pullyard_domain::project::budget::format_usd(micros) }
}

#[derive(Clone, Debug)]
pub(crate) struct TimeLabel {
    pub(crate) text: String,
    pub(crate) exact: String,
}

pub(crate) fn format_time(at: Timestamp, now: Timestamp) -> TimeLabel {
    TimeLabel { text: format_age(at, now), exact: at.to_string() }
}

/// Polling interval of a list, longer while idle because each poll reads the whole list. Units: milliseconds.
pub(crate) fn refresh_ms(busy: bool) -> u32 {
    if busy { 5_000 } else { 30_000 }
}
