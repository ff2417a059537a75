//! Analyses of open pull requests and issues: `/v1/analyses` and `/v1/analyses/items`.

use pullyard_domain::review::analysis::{AnalysedItem, AnalysisCounts, FailedAnalysis, ItemKind, Staleness, WaitingOn};
use pullyard_domain::text::id::{JobId, ProjectId, RepositoryName};
use pullyard_domain::text::time::{Timestamp, WireTime};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Body of `POST /v1/analyses`: requests an analysis of a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RequestAnalysis {
    /// Project.
    pub project: ProjectId,
    /// Connected repository.
    pub repository: RepositoryName,
    /// Kinds of item; absent: all that the forge has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub what: Option<BTreeSet<ItemKind>>,
}

/// The analyses of a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Analysis {
    /// Project.
    pub project: ProjectId,
    /// Repository.
    pub repository: RepositoryName,
    /// Job that analyses it now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_job: Option<JobId>,
    /// Last completed analysis.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<LastAnalysis>,
    /// Failure of the newest job, if it did not complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<FailedAnalysis>,
}

/// A completed analysis.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct LastAnalysis {
    /// Its job.
    pub job: JobId,
    /// When it ended.
    #[serde(with = "WireTime")]
    pub at: Timestamp,
    /// Units: millionths of a US dollar.
    pub spent_usd_micros: u64,
    /// Numbers of items at that time.
    pub counts: AnalysisCounts,
}

/// Answer to `GET /v1/analyses`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AnalysisList {
    /// All repositories of the project, by name.
    pub analyses: Vec<Analysis>,
}

/// Query of `GET /v1/analyses/items`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct AnalysisQuery {
    /// Project.
    pub project: ProjectId,
    /// Connected repository.
    pub repository: RepositoryName,
}

/// Answer to `GET /v1/analyses/items`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AnalysisItems {
    /// The analyses of the repository.
    pub analysis: Analysis,
    /// Items of the last one, the highest score first.
    pub items: Vec<ListedItem>,
}

/// An open pull request or issue, judged now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ListedItem {
    /// What the analysis found.
    pub item: AnalysedItem,
    /// Interest of users: 3 for each user, 2 for each review, 1 for each comment and reaction, each counted up to 20.
    pub score: u32,
    /// Time since a user acted.
    pub staleness: Staleness,
    /// Who acts next.
    pub waiting_on: WaitingOn,
}
