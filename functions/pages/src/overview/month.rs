//! Outcomes, durations and failures of the last 30 days.

use crate::charts::{self, Bar, DayNumbers, Ending};
use crate::labels::format_duration;
use crate::prelude::*;
use pullyard_domain::job::{Job, JobStatus};
use pullyard_domain::project::budget::Day;
use std::time::Duration;

const MAX_FAILURES: usize = 5;

const LABEL_STEP: usize = 5;

pub(super) struct Month {
    pub(super) completed: u64,
    pub(super) failed: u64,
    pub(super) cancelled: u64,
    pub(super) completed_bars: Vec<Bar>,
    pub(super) failed_bars: Vec<Bar>,
    pub(super) median: Option<String>,
    pub(super) duration_bars: Vec<Bar>,
    /// One per day; empty between the labelled ones.
    pub(super) labels: Vec<String>,
    /// Newest first.
    pub(super) days: Vec<DayNumbers>,
    pub(super) failures: Vec<FailureRow>,
    /// The day of the oldest job read, if older jobs were not read.
    pub(super) back_to: Option<String>,
}

pub(super) struct FailureRow {
    pub(super) label: String,
    pub(super) sentence: SafeText,
    pub(super) address: String,
    pub(super) count: u64,
    /// Share of the most frequent failure. Units: percent.
    pub(super) share: u64,
}

impl Month {
    pub(super) fn new(project: &ProjectId, jobs: &[Job], back_to: Option<Timestamp>, now: Timestamp) -> Self {
        let endings: Vec<_> = jobs.iter().filter_map(to_ending).collect();
        let days = charts::by_day(&endings, Day::containing(now));
        let (completed, failed): (Vec<_>, Vec<_>) = days.iter().map(|day| (day.completed, day.failed)).unzip();
        let (completed_bars, failed_bars) = charts::stacked_bars(&completed, &failed);
        let millis = |median: Option<Duration>| median.map_or(0, |median| median.as_millis() as u64);
        let start = charts::first_day(now).start();
        let mut took: Vec<_> = endings
            .iter()
            .filter(|ending| ending.status == JobStatus::Completed && start <= ending.at)
            .map(|ending| ending.took)
            .collect();
        took.sort();
        Self {
            completed: completed.iter().sum(),
            failed: failed.iter().sum(),
            cancelled: days.iter().map(|day| day.cancelled).sum(),
            completed_bars,
            failed_bars,
            median: charts::median(&took).map(format_duration),
            duration_bars: charts::bars(&days.iter().map(|day| millis(day.median)).collect::<Vec<_>>()),
            labels: days.iter().enumerate().map(|(at, day)| label(at, day.day)).collect(),
            failures: list_failures(project, jobs, start),
            back_to: back_to.map(Timestamp::day),
            days: days.into_iter().rev().collect(),
        }
    }
}

fn to_ending(job: &Job) -> Option<Ending> {
    let at = job.ended_at?;
    Some(Ending { at, status: super::outcome(job), took: at.since(job.created) })
}

fn label(at: usize, day: Day) -> String {
    match (charts::DAYS - 1 - at) % LABEL_STEP {
        0 => day.to_string().chars().skip(8).collect(),
        _ => String::new(),
    }
}

fn list_failures(project: &ProjectId, jobs: &[Job], start: Timestamp) -> Vec<FailureRow> {
    let failed = || {
        let recent = jobs.iter().filter(|job| super::is_since(job.ended_at, start));
        let failed = recent.filter(|job| super::outcome(job) == JobStatus::Failed);
        failed.filter_map(|job| Some((job, job.failure.as_ref()?)))
    };
    let counts = charts::most_frequent(failed().map(|(_, failure)| failure.code()), MAX_FAILURES);
    let highest = counts.first().map_or(0, |(_, count)| *count);
    let row = |(code, count)| FailureRow {
        label: charts::label_of_code(code),
        sentence: failed()
            .find(|(_, failure)| failure.code() == code)
            .map(|(_, failure)| line(&failure.sentence()))
            .unwrap_or_default(),
        address: format!("/jobs?project={project}&status=failed&since=30&failure={code}"),
        count,
        share: charts::percent(count, highest),
    };
    counts.into_iter().map(row).collect()
}

/// `–` if no job completed.
pub(super) fn describe_duration(length: Option<Duration>) -> String {
    length.map_or("–".into(), format_duration)
}
