//! Administration of self-hosted runners: `/v1/runners`.

use pullyard_domain::id::{InstanceId, JobId, ProjectId, RunnerId};
use pullyard_domain::time::{Timestamp, rfc3339};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What a runner is now, by its own words and by how long it was silent.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunnerStatus {
    /// It is heard and takes jobs.
    Online,
    /// It is heard and takes nothing more.
    Draining,
    /// It is silent, or said goodbye.
    Offline,
    /// It registered and was never heard of again.
    NeverHeard,
    /// It is being removed.
    Deleting,
}

/// A runner as the API shows it.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Runner {
    /// Which.
    pub id: RunnerId,
    /// Unique among runners.
    pub name: String,
    /// What it is now.
    pub status: RunnerStatus,
    /// How many jobs it runs at once.
    pub slots: u32,
    /// How many of them are taken.
    pub busy: u32,
    /// The jobs it runs, of the projects that the caller may see.
    pub jobs: Vec<RunnerJob>,
    /// The agents it can drive.
    pub capabilities: BTreeSet<String>,
    /// Its tags.
    pub labels: BTreeSet<String>,
    /// Its release.
    pub version: String,
    /// The projects whose jobs it takes; none means all.
    pub projects: Option<BTreeSet<ProjectId>>,
    /// The process that speaks for it.
    pub instance: InstanceId,
    /// When it was last heard.
    #[serde(with = "rfc3339")]
    #[cfg_attr(feature = "schema", schemars(with = "Timestamp"))]
    pub heard: Timestamp,
    /// That people want it to take nothing more.
    pub drain: Option<RunnerDrain>,
}

/// A job on a runner.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunnerJob {
    /// Which.
    pub job: JobId,
    /// Whose.
    pub project: ProjectId,
    /// The attempt.
    pub attempt: u32,
    /// Since when.
    #[serde(with = "rfc3339")]
    #[cfg_attr(feature = "schema", schemars(with = "Timestamp"))]
    pub since: Timestamp,
}

/// That people want a runner to take nothing more.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunnerDrain {
    /// The name of the token that asked.
    pub by: String,
    /// When.
    #[serde(with = "rfc3339")]
    #[cfg_attr(feature = "schema", schemars(with = "Timestamp"))]
    pub at: Timestamp,
    /// When the runner first said that it drains.
    #[serde(with = "rfc3339::option")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<Timestamp>"))]
    pub acknowledged: Option<Timestamp>,
}

/// `GET /v1/runners`: every runner that the caller may see, by name.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunnerList {
    /// They.
    pub runners: Vec<Runner>,
}

/// What people may want of a runner.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunnerOrder {
    /// Finish what it has, take nothing more.
    Drain,
    /// Take jobs again.
    Resume,
}

/// `POST /v1/runners/{runner}/commands`.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunnerCommand {
    /// What.
    pub command: RunnerOrder,
}

/// The answer to `DELETE /v1/runners/{runner}`.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunnerRemoved {
    /// Which.
    pub id: RunnerId,
    /// It is gone and its name is free; if not, its jobs are taken away first.
    pub gone: bool,
}
