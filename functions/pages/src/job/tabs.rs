//! The timeline of a job's phases and the links to its tabs.

use crate::labels;
use crate::log::{Arrived, happened};
use pullyard_control::JobView;
use pullyard_domain::job::artifact::{Artifact, ArtifactKind};
use pullyard_domain::job::{AttemptRecord, JobStatus, Publishes};
use pullyard_domain::text::time::Timestamp;
use pullyard_protocol::event::EventKind;

#[derive(Default)]
pub(crate) struct Tabs {
    pub(crate) at: &'static str,
    pub(crate) steps: Vec<Step>,
    pub(crate) reports: bool,
    pub(crate) changes: bool,
    pub(crate) files: Option<u32>,
    pub(crate) artifacts: usize,
    pub(crate) failed_checks: usize,
}

pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) class: &'static str,
    pub(crate) time: String,
    /// Time so far of a running step. Units: seconds.
    pub(crate) running_secs: Option<u64>,
}

pub(crate) struct Records {
    pub(crate) artifacts: Vec<(u32, Artifact)>,
    pub(crate) attempts: Vec<AttemptRecord>,
    /// The first events of the newest attempt, and the last ones.
    pub(crate) events: Vec<Arrived>,
}

impl Records {
    pub(crate) fn patch(&self) -> Option<&(u32, Artifact)> {
        self.artifacts.iter().rev().find(|(_, artifact)| artifact.kind == ArtifactKind::Patch && artifact.stored)
    }

    pub(crate) fn attempts_without_usage(&self) -> Vec<u32> {
        self.attempts.iter().filter(|attempt| !attempt.has_usage_and_cost()).map(|attempt| attempt.number).collect()
    }
}

impl Tabs {
    pub(crate) fn new(view: &JobView, records: &Records, at: &'static str) -> Self {
        let job = &view.job;
        let last = records.attempts.last().and_then(|attempt| attempt.work.as_ref());
        let last_round = last.and_then(|work| work.checks.last()).map(|check| check.round);
        let checks = last.into_iter().flat_map(|work| &work.checks);
        Self {
            at,
            steps: steps(view, records),
            reports: job.reports(),
            changes: job.publishes() == Publishes::Change,
            files: job.result.as_ref().map(|it| it.files).or(job.pushed.as_ref().map(|it| it.files)),
            artifacts: records.artifacts.len(),
            failed_checks: checks.filter(|check| Some(check.round) == last_round && !check.is_success()).count(),
        }
    }
}

fn steps(view: &JobView, records: &Records) -> Vec<Step> {
    let job = &view.job;
    let names = ["Waiting", "Claimed", "Preparing", "Executing", labels::publishing(job)];
    let record = records.attempts.iter().rev().find(|attempt| attempt.number == job.attempt);
    let waits_again = matches!(job.status, JobStatus::Pending | JobStatus::Ready);
    let phase = |name: &str| {
        let is_begin = |(attempt, _, event): &&Arrived| {
            *attempt == job.attempt && event.kind == EventKind::Phase && event.name.as_deref() == Some(name)
        };
        records.events.iter().find(is_begin).map(|(_, arrived, event)| happened(*arrived, event))
    };
    let claimed = job.run.as_ref().map(|run| run.started).or_else(|| record.map(|record| record.run.started));
    let waiting = if job.attempt <= 1 && !waits_again { job.created } else { job.ready_since };
    let begins: [Option<Timestamp>; 5] = if waits_again {
        [Some(waiting), None, None, None, None]
    } else {
        [Some(waiting), claimed, phase("preparing"), phase("executing"), phase("syncing")]
    };
    let recorded = begins.iter().rposition(Option::is_some).unwrap_or_default();
    let reached = match job.status {
        JobStatus::Pending | JobStatus::Ready => 0,
        JobStatus::Claimed => 1,
        JobStatus::Preparing => 2,
        JobStatus::Executing => 3,
        JobStatus::Syncing | JobStatus::Completed => 4,
        _ => recorded,
    };
    // A question hands over its answer at the end of the last phase.
    let count = if job.publishes() == Publishes::Nothing { names.len() - 1 } else { names.len() };
    let reached = reached.min(count - 1);
    let suspended = matches!(job.status, JobStatus::AwaitingInput | JobStatus::Paused);
    let ended = job.ended_at.or_else(|| record.filter(|_| suspended).map(|record| record.ended_at));
    let end = ended.unwrap_or(view.now);
    let step = |(at, name): (usize, &'static str)| {
        let begin = begins.get(at).copied().flatten();
        let next = begins.iter().take(count).skip(at + 1).copied().flatten().next().unwrap_or(end);
        let class = match job.status {
            JobStatus::Completed => "passed",
            _ if at < reached => "past",
            _ if at > reached => "",
            JobStatus::Failed | JobStatus::Cancelled => "failed",
            _ => "at",
        };
        let not_reached = class.is_empty() && job.status.is_terminal();
        let length = begin.map(|begin| next.since(begin));
        let running_secs = length.filter(|_| class == "at" && ended.is_none()).map(|length| length.as_secs());
        let time = length.map(labels::format_duration);
        let time = if not_reached { "not reached".into() } else { time.filter(|_| at <= reached).unwrap_or_default() };
        Step { name, class, time, running_secs }
    };
    names.into_iter().enumerate().take(count).map(step).collect()
}
