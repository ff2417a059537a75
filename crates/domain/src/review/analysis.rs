//! An analysis of a repository: signals and summaries of its open pull requests and issues.

mod report;
mod signals;

pub use report::{
    AnalysedItem, AnalysisReport, ItemList, ItemSummary, MAX_ITEMS, MAX_NEXT_STEP_CHARS, MAX_REPORT_BYTES,
    MAX_SUMMARY_BYTES, MAX_SUMMARY_CHARS, MAX_TITLE_CHARS, MAX_URL_BYTES, NOT_SUMMARISED, NewSummary, Risk,
    SummaryOutput, content_hash,
};
pub use signals::{Activity, ActivityKind, Approval, Opened, Signals, Staleness, WaitingOn};

use crate::job::{Job, JobStatus};
use crate::project::Repository;
use crate::text::code::coded_enum;
use crate::text::format_count;
use crate::text::id::{IntegrationId, JobId, ProjectId};
use crate::text::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

coded_enum! {
    /// Kinds of item that an analysis reads.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
    pub enum ItemKind {
        Pulls = "pulls", "pull requests";
        Issues = "issues", "issues";
    }
}

/// Why an analysis cannot use the repository's own agent: it is a file of the repository. `None`: it can, or the
/// project chooses the agent.
pub fn agent_fault(repository: &Repository) -> Option<String> {
    let file = repository.agent.file_of_repository()?;
    let name = &repository.name;
    Some(format!(
        "an analysis has no checkout, so it cannot run `{file}` of {name}: name an installed program, or another agent"
    ))
}

/// Input of an analysis job, frozen at its creation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnalysisPlan {
    pub what: BTreeSet<ItemKind>,
    /// Whether a user named the kinds of item.
    #[serde(default)]
    pub named: bool,
    /// No further agent starts that would exceed it. Units: millionths of a US dollar.
    pub cost_usd_micros: u64,
    /// The last completed analysis. Its report spares calls to the forge and summaries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<JobId>,
}

/// The analyses of a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Analysis {
    pub project: ProjectId,
    pub integration: IntegrationId,
    pub repository: u64,
    /// The running job. There is one at a time.
    pub active_job: Option<JobId>,
    pub last: Option<CompletedAnalysis>,
    /// The failure of the newest job, if it did not complete.
    pub failed: Option<FailedAnalysis>,
    pub rev: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompletedAnalysis {
    /// Its output has the items.
    pub job: JobId,
    /// Its end.
    pub at: Timestamp,
    pub spent_usd_micros: u64,
    pub counts: AnalysisCounts,
}

/// At the end of an analysis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AnalysisCounts {
    /// Open pull requests; absent if they were not listed.
    pub pulls: Option<u32>,
    /// Open issues; absent if they were not listed.
    pub issues: Option<u32>,
    /// The forge refused to list the issues.
    #[serde(default)]
    pub issues_refused: bool,
    /// Items without a user's activity for 7 days.
    pub stale: u32,
    /// Items without a user's activity for 30 days.
    pub abandoned: u32,
    /// Open items beyond the most that an analysis lists.
    pub not_listed: u32,
    /// Items without a current summary.
    pub not_summarised: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct FailedAnalysis {
    /// Its job.
    pub job: JobId,
    /// The reason as a sentence.
    pub sentence: String,
}

impl AnalysisCounts {
    /// `4 pull requests and 12 issues open: 3 stale, 1 abandoned. 2 items without a current summary.`
    pub fn sentence(&self) -> String {
        let open = [(self.pulls, "pull request"), (self.issues, "issue")].into_iter();
        let open: Vec<_> = open.filter_map(|(count, what)| Some(format_count(count?, what))).collect();
        let mut text = format!("{} open: {} stale, {} abandoned.", open.join(" and "), self.stale, self.abandoned);
        if self.issues_refused {
            text.push_str(
                " The forge refused to list issues: they are switched off, or the credentials cannot read them.",
            );
        }
        for (count, what) in [(self.not_listed, "not listed"), (self.not_summarised, "without a current summary")] {
            if count > 0 {
                text.push_str(&format!(" {} {what}.", format_count(count, "item")));
            }
        }
        text
    }
}

impl Analysis {
    pub fn new(repository: &Repository) -> Self {
        Self {
            project: repository.project.clone(),
            integration: repository.integration.clone(),
            repository: repository.id,
            active_job: None,
            last: None,
            failed: None,
            rev: 0,
        }
    }

    /// After the end of its active job. `report` is the output of a completed one.
    #[must_use]
    pub fn end(mut self, ended: &Job, report: Option<&AnalysisReport>, at: Timestamp) -> Self {
        self.active_job = None;
        match (ended.status, report, &ended.failure) {
            (JobStatus::Completed, Some(report), _) => {
                let counts = report.counts(at);
                let spent_usd_micros = ended.spent_usd_micros;
                self.last = Some(CompletedAnalysis { job: ended.id.clone(), at, spent_usd_micros, counts });
                self.failed = None;
            }
            (_, _, Some(failure)) => {
                self.failed = Some(FailedAnalysis { job: ended.id.clone(), sentence: failure.sentence() });
            }
            _ => self.failed = None,
        }
        self
    }
}
