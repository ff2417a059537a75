//! Artifacts, attempts and contexts of jobs.
//! A runner reserves an artifact, uploads it to the returned URL and confirms the upload. Users list artifacts; `GET
//! /v1/jobs/{id}/artifacts/{artifact}` redirects to the bucket.

use crate::job::Explanation;
use pullyard_domain::job::AgentReport;
use pullyard_domain::job::artifact::ArtifactKind;
pub use pullyard_domain::job::artifact::NewArtifact;
use pullyard_domain::text::id::{ArtifactId, ArtifactName, JobId, RepositoryName, RunnerId, Sha256Hex};
use pullyard_domain::text::time::{OptionalWireTime, Timestamp, WireTime};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Answer to a reservation.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "ArtifactPlace")]
pub struct ArtifactUpload {
    /// Id of the artifact.
    pub id: ArtifactId,
    /// Upload URL, absent if the artifact is stored already. A credential, valid for 15 minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub put_url: Option<String>,
    /// Headers to send with the upload, unchanged.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
}

debug_only!(ArtifactUpload { id });

/// A stored or reserved artifact of an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Artifact {
    /// Artifact id.
    pub id: ArtifactId,
    /// Attempt that created it.
    pub attempt: u32,
    /// Kind of artifact.
    pub kind: ArtifactKind,
    /// Name, unique in an attempt and kind.
    pub name: ArtifactName,
    /// Size. Units: bytes.
    pub size_bytes: u64,
    /// Hash of the content.
    pub sha256: Sha256Hex,
    /// Time of the reservation.
    #[serde(with = "WireTime")]
    pub at: Timestamp,
    /// The upload was verified. If false, it is incomplete or was never made.
    pub stored: bool,
}

/// Answer to `GET /v1/jobs/{id}/artifacts`, oldest attempt first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Artifacts {
    /// All artifacts that have not expired.
    pub artifacts: Vec<Artifact>,
}

/// An attempt of a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Attempt {
    /// Number.
    pub attempt: u32,
    /// Self-hosted runner that ran it; null on Fargate.
    pub runner: Option<RunnerId>,
    /// Fargate task that ran it.
    pub task: Option<String>,
    /// Time of the claim.
    #[serde(with = "WireTime")]
    pub started: Timestamp,
    /// End; null while it runs.
    #[serde(with = "OptionalWireTime")]
    pub ended: Option<Timestamp>,
    /// Outcome.
    pub how: AttemptOutcome,
    /// Why it failed, or was requeued.
    pub failure: Option<Explanation>,
    /// Agent and its usage; null if none started or the runner sent no report.
    pub work: Option<AgentReport>,
    /// Cost, if known. Includes the estimated part, `work.about_usd_micros`. Units: millionths of a US dollar.
    pub spent_usd_micros: Option<u64>,
}

/// Outcome of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AttemptOutcome {
    /// Not ended.
    Running,
    /// Its work is in a pull request.
    Completed,
    /// It failed, and so did the job.
    Failed,
    /// It was cancelled with its job.
    Cancelled,
    /// A platform fault ended it, and its job was requeued.
    Requeued,
    /// Its agent asked a question. The job waits for the answer or has continued with it.
    Asked,
    /// A user paused its job.
    Paused,
}

/// Answer to `GET /v1/jobs/{id}/attempts`, oldest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Attempts {
    /// Job id.
    pub job: JobId,
    /// Recorded attempts that have not expired, and the running one.
    pub attempts: Vec<Attempt>,
}

/// Answer to `GET /v1/jobs/{id}/context`: the agent's context, frozen before the job began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct JobContext {
    /// Job id.
    pub job: JobId,
    /// Hash of the context.
    pub hash: String,
    /// Repository of the job.
    pub repository: RepositoryName,
    /// Branch that the work starts from.
    pub base: String,
    /// Complete prompt.
    pub prompt: String,
}
