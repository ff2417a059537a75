//! The filters of the list of jobs, in its URL.

use crate::frame::Tab;
use crate::prelude::*;
use pullyard_domain::agent;
use pullyard_domain::job::JobStatus;
use pullyard_domain::project::Repository;
use pullyard_domain::review::listing::{JobFilter, JobSearch};
use pullyard_domain::text::failure::Failure;
use std::time::Duration;

const MAX_WORDS: usize = 8;

/// Values and labels of the time filter. Units: days.
pub(super) const PERIODS: [(&str, &str, u64); 3] =
    [("1", "Last 24 hours", 1), ("7", "Last 7 days", 7), ("30", "Last 30 days", 30)];

const GROUPS: [(&str, &str, &[JobStatus]); 6] = [
    ("active", "Active", &[JobStatus::Claimed, JobStatus::Preparing, JobStatus::Executing, JobStatus::Syncing]),
    ("waiting", "Waiting", &[JobStatus::Pending, JobStatus::Ready, JobStatus::Paused]),
    ("needs_answer", "Needs answer", &[JobStatus::AwaitingInput]),
    ("failed", "Failed", &[JobStatus::Failed]),
    ("completed", "Completed", &[JobStatus::Completed]),
    ("cancelled", "Cancelled", &[JobStatus::Cancelled]),
];

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct JobsQuery {
    pub(super) project: Option<ProjectId>,
    pub(super) after: Option<String>,
    pub(super) status: String,
    pub(super) q: String,
    pub(super) ticket: String,
    pub(super) repository: String,
    pub(super) agent: String,
    pub(super) since: String,
    pub(super) failure: String,
}

impl JobsQuery {
    pub(super) fn to_query(&self) -> String {
        text::format_query(&[
            ("status", &self.status),
            ("q", &self.q),
            ("ticket", &self.ticket),
            ("repository", &self.repository),
            ("agent", &self.agent),
            ("since", &self.since),
            ("failure", &self.failure),
        ])
    }

    pub(super) fn to_url(&self, project: &ProjectId) -> String {
        format!("/jobs?project={project}{}", self.to_query())
    }

    pub(super) fn tabs(&self, project: &ProjectId) -> Vec<Tab> {
        let tab = |status: &str, name| Tab {
            name,
            address: Self { status: status.to_owned(), ..self.clone() }.to_url(project),
            is_current: self.status == status,
        };
        let groups = GROUPS.iter().map(|(status, name, _)| tab(status, name));
        std::iter::once(tab("", "All")).chain(groups).collect()
    }

    pub(super) fn to_search(&self, repositories: &[Repository], now: Timestamp) -> Result<JobSearch, Fault> {
        let statuses = |code: String| {
            let group = GROUPS.iter().find(|(status, ..)| *status == code).map(|(_, _, all)| *all);
            group.ok_or_else(|| Fault::of_field("status", "unknown status"))
        };
        let repository = |name: String| {
            let found = repositories.iter().find(|repository| repository.name.as_str() == name);
            let id = found.map(|repository| (repository.integration.clone(), repository.id));
            id.ok_or_else(|| Fault::of_field("repository", "it is not connected to this project"))
        };
        let since = |value: String| {
            let period = PERIODS.iter().find(|(days, ..)| *days == value);
            let start = period.map(|(_, _, days)| now.minus(Duration::from_secs(days * 24 * 3_600)));
            start.ok_or_else(|| Fault::of_field("time", "unknown period"))
        };
        let agent = |name: String| {
            let is_known = agent::choices(agent::ChoiceLevel::Job).contains(&name.as_str());
            is_known.then_some(name).ok_or_else(|| Fault::of_field("agent", "unknown agent"))
        };
        let failure = |code: String| {
            let is_known = Failure::rows().iter().any(|row| row.code == code);
            is_known.then_some(code).ok_or_else(|| Fault::of_field("failure", "unknown code"))
        };
        let statuses = non_empty(&self.status).map(statuses).transpose()?.unwrap_or_default();
        Ok(JobSearch {
            filter: JobFilter {
                kind: None,
                statuses: statuses.iter().copied().collect(),
                ticket: parse_optional_id("ticket", &self.ticket)?,
                since: non_empty(&self.since).map(since).transpose()?,
                until: None,
            },
            repository: non_empty(&self.repository).map(repository).transpose()?,
            failure: non_empty(&self.failure).map(failure).transpose()?,
            agent: non_empty(&self.agent).map(agent).transpose()?,
            words: self.q.split_whitespace().take(MAX_WORDS).map(str::to_owned).collect(),
        })
    }
}
