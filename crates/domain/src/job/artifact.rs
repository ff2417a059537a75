//! Artifacts: outputs of an attempt that are too large for an event, and the limits for storing them.
//! The objects are in a bucket; these types are their metadata. All artifacts of an attempt share one table item, so
//! that one conditional write enforces the limits of the sum.

use crate::text::code::coded_enum;
use crate::text::id::{ArtifactId, ArtifactName, JobId, Sha256Hex};
use crate::text::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

pub const MAX_SIZE_BYTES: u64 = 64 << 20;
pub const MAX_TOTAL_BYTES: u64 = 256 << 20;
pub const MAX_COUNT: usize = 50;
pub const RETENTION: Duration = Duration::from_secs(90 * 24 * 3_600);

coded_enum! {
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
    #[schemars(rename = "Kind")]
    pub enum ArtifactKind {
        SetupOutput = "setup_output", "Setup output";
        /// Output of the agent and its tools.
        AgentOutput = "agent_output", "Agent output";
        FinalMessage = "final_message", "Final message";
        CheckOutput = "check_output", "Check output";
        /// The attempt's changes as a git diff.
        Patch = "patch", "Patch";
        /// The raw exchange between the agent and its provider.
        ProviderPayload = "provider_payload", "Provider payload";
        /// A state from which another attempt can resume.
        Checkpoint = "checkpoint", "Checkpoint";
    }
}

/// Body of `POST …/attempts/{n}/artifacts`, which reserves an artifact. Idempotent: by kind, name and content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "ReserveArtifact")]
#[serde(deny_unknown_fields)]
pub struct NewArtifact {
    /// Kind of artifact.
    pub kind: ArtifactKind,
    /// Name, unique in an attempt and kind.
    pub name: ArtifactName,
    /// Size. Units: bytes.
    #[schemars(range(max = MAX_SIZE_BYTES))]
    pub size_bytes: u64,
    /// Hash of the content.
    pub sha256: Sha256Hex,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    pub id: ArtifactId,
    pub kind: ArtifactKind,
    pub name: ArtifactName,
    pub size_bytes: u64,
    pub sha256: Sha256Hex,
    pub at: Timestamp,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stored: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifacts {
    pub job: JobId,
    pub attempt: u32,
    pub kept: Vec<Artifact>,
    pub at: Timestamp,
    pub rev: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArtifactReservation {
    New(Artifacts, Artifact),
    Existing(Artifact),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArtifactRefusal {
    TooLarge,
    TotalTooLarge,
    TooMany,
    Conflict,
    Missing,
}

impl ArtifactRefusal {
    pub fn code(self) -> &'static str {
        match self {
            Self::TooLarge => "artifact_too_large",
            Self::TotalTooLarge => "artifacts_too_large",
            Self::TooMany => "too_many_artifacts",
            Self::Conflict => "artifact_differs",
            Self::Missing => "artifact_missing",
        }
    }

    pub fn sentence(self) -> &'static str {
        match self {
            Self::TooLarge => "An artifact may have at most 64 MiB.",
            Self::TotalTooLarge => "The artifacts of an attempt may have at most 256 MiB together.",
            Self::TooMany => "An attempt may have at most 50 artifacts.",
            Self::Conflict => "The attempt already has a different artifact of this kind and name.",
            Self::Missing => "The artifact is not stored: its upload is still running or was interrupted.",
        }
    }
}

/// Why a reserved checkpoint is unavailable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "WhyMissing")]
#[serde(rename_all = "snake_case")]
pub enum MissingReason {
    NotUploaded,
    Expired,
    /// More agents worked in later retries than the server follows back.
    TooFarBack,
    /// A reason that only a newer server sends. Without this variant, the runner could not parse the answer and would
    /// repeat its request until the attempt's time limit.
    #[schemars(skip)]
    #[serde(other)]
    Unknown,
}

impl MissingReason {
    /// For display after "because".
    pub fn label(self) -> &'static str {
        match self {
            Self::NotUploaded => "its upload did not finish",
            Self::Expired => "it expired after 90 days",
            Self::TooFarBack => "too many retries with agents followed it",
            Self::Unknown => "this version does not know the reason",
        }
    }
}

impl Artifacts {
    pub fn empty(job: JobId, attempt: u32, now: Timestamp) -> Self {
        Self { job, attempt, kept: Vec::new(), at: now, rev: 0 }
    }

    /// Reserves an artifact, or finds the earlier reservation.
    /// Idempotent: by kind, name and content. Other content of the same kind and name is a `Conflict`.
    pub fn reserve(&self, offer: &NewArtifact, now: Timestamp) -> Result<ArtifactReservation, ArtifactRefusal> {
        let id = ArtifactId::for_artifact(&self.job, self.attempt, offer.kind.as_str(), &offer.name);
        if let Some(existing) = self.find(&id) {
            let is_same = existing.size_bytes == offer.size_bytes && existing.sha256 == offer.sha256;
            return if is_same {
                Ok(ArtifactReservation::Existing(existing.clone()))
            } else {
                Err(ArtifactRefusal::Conflict)
            };
        }
        if offer.size_bytes > MAX_SIZE_BYTES {
            return Err(ArtifactRefusal::TooLarge);
        }
        if self.kept.len() >= MAX_COUNT {
            return Err(ArtifactRefusal::TooMany);
        }
        if self.size_bytes().saturating_add(offer.size_bytes) > MAX_TOTAL_BYTES {
            return Err(ArtifactRefusal::TotalTooLarge);
        }
        let artifact = Artifact {
            id,
            kind: offer.kind,
            name: offer.name.clone(),
            size_bytes: offer.size_bytes,
            sha256: offer.sha256.clone(),
            at: now,
            stored: false,
        };
        let kept = self.kept.iter().chain([&artifact]).cloned().collect();
        Ok(ArtifactReservation::New(Self { kept, at: now, ..self.clone() }, artifact))
    }

    pub fn mark_stored(&self, id: &ArtifactId) -> Option<Self> {
        let mut next = self.clone();
        let artifact = next.kept.iter_mut().find(|artifact| artifact.id == *id && !artifact.stored)?;
        artifact.stored = true;
        Some(next)
    }

    pub fn find(&self, id: &ArtifactId) -> Option<&Artifact> {
        self.kept.iter().find(|artifact| artifact.id == *id)
    }

    pub fn checkpoints(&self) -> impl Iterator<Item = &Artifact> {
        self.kept.iter().rev().filter(|artifact| artifact.kind == ArtifactKind::Checkpoint)
    }

    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.at.plus(RETENTION) <= now
    }

    pub fn size_bytes(&self) -> u64 {
        self.kept.iter().fold(0, |sum, artifact| sum.saturating_add(artifact.size_bytes))
    }
}

/// The key of an artifact's object. No part of the key is chosen by a user or runner.
pub fn object_key(job: &JobId, attempt: u32, artifact: &ArtifactId) -> String {
    format!("{OBJECT_KEY_PREFIX}{job}/{attempt:04}/{artifact}")
}

pub const OBJECT_KEY_PREFIX: &str = "artifacts/";

#[cfg(test)]
mod tests;
