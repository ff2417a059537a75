//! Artifacts, attempts, checks and contexts of jobs.
//!
//! A runner reserves an artifact (`POST …/attempts/{n}/artifacts`), uploads it to the returned URL, and confirms it
//! (`POST …/attempts/{n}/artifacts/{id}/stored`). People list artifacts (`GET /v1/jobs/{id}/artifacts`) and are
//! redirected to one (`GET /v1/jobs/{id}/artifacts/{artifact}`).

use crate::job::Explained;
use pullyard_domain::artifact::Kind;
#[cfg(feature = "schema")]
use pullyard_domain::artifact::LARGEST;
use pullyard_domain::checks::CheckRun;
use pullyard_domain::id::{ArtifactId, ArtifactName, JobId, RepositoryName, RunnerId, Sha256Hex};
use pullyard_domain::job::Work;
use pullyard_domain::time::{Timestamp, rfc3339};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Asks for a place. Repeating it with the same kind, name and content finds the first.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReserveArtifact {
    /// What it is.
    pub kind: Kind,
    /// What it is called: once per attempt and kind.
    pub name: ArtifactName,
    /// How large it is. Units: bytes.
    #[cfg_attr(feature = "schema", schemars(range(max = LARGEST)))]
    pub size_bytes: u64,
    /// What is in it.
    pub sha256: Sha256Hex,
}

/// The place of an artifact.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactPlace {
    /// What it is called from now on.
    pub id: ArtifactId,
    /// Where it is put; absent when it is stored already. A secret for a quarter of an hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub put_url: Option<String>,
    /// What is sent with it, as it stands here.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
}

impl std::fmt::Debug for ArtifactPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ArtifactPlace").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Says that the bytes are there. No fields.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredArtifact {}

/// Something that an attempt left behind.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// Which.
    pub id: ArtifactId,
    /// The attempt that left it.
    pub attempt: u32,
    /// What it is.
    pub kind: Kind,
    /// What it is called.
    pub name: ArtifactName,
    /// How large it is. Units: bytes.
    pub size_bytes: u64,
    /// What is in it.
    pub sha256: Sha256Hex,
    /// When its place was made.
    #[serde(with = "rfc3339")]
    #[cfg_attr(feature = "schema", schemars(with = "Timestamp"))]
    pub at: Timestamp,
    /// Its bytes were seen. Else they are on their way, or never came.
    pub stored: bool,
}

/// `GET /v1/jobs/{id}/artifacts`: the first attempt's first.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifacts {
    /// All that are kept.
    pub artifacts: Vec<Artifact>,
}

/// How one attempt went.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// Its number.
    pub attempt: u32,
    /// The self-hosted runner that ran it; none on Fargate.
    pub runner: Option<RunnerId>,
    /// The Fargate task that ran it.
    pub task: Option<String>,
    /// When it was claimed.
    #[serde(with = "rfc3339")]
    #[cfg_attr(feature = "schema", schemars(with = "Timestamp"))]
    pub started: Timestamp,
    /// When it ended; none while it runs.
    #[serde(with = "rfc3339::option")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<Timestamp>"))]
    pub ended: Option<Timestamp>,
    /// `running`, `completed`, `failed`, `cancelled`, or `requeued` when its job was put back.
    pub how: AttemptOutcome,
    /// Why it failed, or was put back.
    pub failure: Option<Explained>,
    /// Which agent worked and what it took; none when none began, or its runner did not come to say.
    pub work: Option<Work>,
    /// What it cost, if that is known; what of it is only about right stands in `work`. Units: millionths of a US
    /// dollar.
    pub spent_usd_micros: Option<u64>,
}

/// How an attempt came to its end.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptOutcome {
    /// It has not.
    Running,
    /// Its work is in a pull request.
    Completed,
    /// It failed, and its job with it.
    Failed,
    /// It was cancelled, and its job with it.
    Cancelled,
    /// A platform fault ended it, and its job was put back.
    Requeued,
    /// The agent asked something; its job waits for the answer, or went on with it.
    Asked,
    /// People paused its job.
    Paused,
}

/// `GET /v1/jobs/{id}/attempts`: the first one first.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attempts {
    /// The job.
    pub job: JobId,
    /// Those that are kept, and the one that runs.
    pub attempts: Vec<Attempt>,
}

/// What came of the checks on one attempt's work.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptChecks {
    /// Its number.
    pub attempt: u32,
    /// In the order in which they were run: every check, and after a repair every check again.
    pub checks: Vec<CheckRun>,
}

/// `GET /v1/jobs/{id}/checks`: known once an attempt has ended; its events tell of them before.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checks {
    /// The job.
    pub job: JobId,
    /// Those attempts in which something was checked, the first one first.
    pub attempts: Vec<AttemptChecks>,
}

/// `GET /v1/jobs/{id}/context`: what the agent is told, frozen before the job began.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobContext {
    /// The job.
    pub job: JobId,
    /// The hash of what was frozen.
    pub hash: String,
    /// Where the work goes.
    pub repository: RepositoryName,
    /// The branch that it starts from.
    pub base: String,
    /// The whole prompt.
    pub prompt: String,
}
