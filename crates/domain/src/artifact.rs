//! Artifacts: what an attempt leaves behind that is too large for an event, and which of it may be kept.
//!
//! The objects themselves are in a bucket; here is what is known of them. All of one attempt's are one value, so
//! that its limits are a sum over what is there, decided in one place and proven by one revision.

use crate::id::{ArtifactId, ArtifactName, JobId, Sha256Hex};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How large one artifact may be. Units: bytes.
pub const LARGEST: u64 = 64 << 20;
/// How large all of an attempt may be together. Units: bytes.
pub const LARGEST_TOGETHER: u64 = 256 << 20;
/// How many an attempt may keep.
pub const MOST: usize = 50;
/// How long artifacts are kept: as long as the attempt's record and its events.
pub const KEPT: Duration = Duration::from_secs(90 * 24 * 3_600);

/// What an artifact is.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// What setting up the work folder printed.
    SetupOutput,
    /// What the agent and its tools printed.
    AgentOutput,
    /// The agent's last word.
    FinalMessage,
    /// What a check printed.
    CheckOutput,
    /// What the attempt changed, as git says it.
    Patch,
    /// What went between the agent and its provider, as it came.
    ProviderPayload,
    /// What another attempt can go on from.
    Checkpoint,
}

impl Kind {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 7] = [
        Self::Patch,
        Self::FinalMessage,
        Self::AgentOutput,
        Self::SetupOutput,
        Self::CheckOutput,
        Self::ProviderPayload,
        Self::Checkpoint,
    ];

    /// As the wire and the table write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SetupOutput => "setup_output",
            Self::AgentOutput => "agent_output",
            Self::FinalMessage => "final_message",
            Self::CheckOutput => "check_output",
            Self::Patch => "patch",
            Self::ProviderPayload => "provider_payload",
            Self::Checkpoint => "checkpoint",
        }
    }

    /// As people read it.
    pub fn words(self) -> &'static str {
        match self {
            Self::SetupOutput => "Setup output",
            Self::AgentOutput => "Agent output",
            Self::FinalMessage => "Final message",
            Self::CheckOutput => "Check output",
            Self::Patch => "Patch",
            Self::ProviderPayload => "Provider payload",
            Self::Checkpoint => "Checkpoint",
        }
    }
}

/// What a runner says of something that it wants kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// What it is.
    pub kind: Kind,
    /// What it is called; once per attempt and kind.
    pub name: ArtifactName,
    /// How large it is. Units: bytes.
    pub size_bytes: u64,
    /// What is in it.
    pub sha256: Sha256Hex,
}

/// Something kept, or about to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// Which.
    pub id: ArtifactId,
    /// What it is.
    pub kind: Kind,
    /// What it is called.
    pub name: ArtifactName,
    /// How large it is. Units: bytes.
    pub size_bytes: u64,
    /// What is in it.
    pub sha256: Sha256Hex,
    /// When its place was made.
    pub at: Timestamp,
    /// Its object was seen in the bucket.
    #[serde(default, skip_serializing_if = "is_false")]
    pub stored: bool,
}

fn is_false(value: &bool) -> bool {
    !value
}

/// Everything that one attempt keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifacts {
    /// The job.
    pub job: JobId,
    /// The attempt.
    pub attempt: u32,
    /// In the order in which their places were made.
    pub kept: Vec<Artifact>,
    /// When the last place was made: from then on it is kept for [`KEPT`].
    pub at: Timestamp,
    /// Raised by every write.
    #[serde(default)]
    pub rev: u64,
}

/// What becomes of an offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reserved {
    /// It gets a place: this is to be stored.
    Place(Artifacts, Artifact),
    /// It has one since an earlier offer of the same.
    Before(Artifact),
}

/// Why something gets no place, or is not to be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is larger than [`LARGEST`].
    TooLarge,
    /// The attempt's would be larger than [`LARGEST_TOGETHER`].
    TooLargeTogether,
    /// The attempt has [`MOST`] already.
    TooMany,
    /// The name stands for other content.
    Differs,
    /// It has a place, and nothing is there.
    NotThere,
}

impl Refusal {
    /// Stable, for programs.
    pub fn code(self) -> &'static str {
        match self {
            Self::TooLarge => "artifact_too_large",
            Self::TooLargeTogether => "artifacts_too_large",
            Self::TooMany => "too_many_artifacts",
            Self::Differs => "artifact_differs",
            Self::NotThere => "artifact_missing",
        }
    }

    /// What is so.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::TooLarge => "An artifact may have 64 MiB.",
            Self::TooLargeTogether => "The artifacts of an attempt may have 256 MiB together.",
            Self::TooMany => "An attempt may keep 50 artifacts.",
            Self::Differs => "The attempt keeps something else under this kind and name.",
            Self::NotThere => "Its bytes are not there: they are on their way, or its upload was cut off.",
        }
    }
}

/// Why a checkpoint that was kept is not to be had.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhyMissing {
    /// It has a place, and its bytes never came.
    NotUploaded,
    /// It is older than [`KEPT`].
    Expired,
    /// Agents have worked in more retries since than are looked through.
    TooFarBack,
    /// A reason of a newer server: a runner that can't read its answer would ask until the attempt's time is over. Ours
    /// never says it.
    #[cfg_attr(feature = "schema", schemars(skip))]
    #[serde(other)]
    Unknown,
}

impl WhyMissing {
    /// As people read it, after "because".
    pub fn words(self) -> &'static str {
        match self {
            Self::NotUploaded => "its upload did not come to its end",
            Self::Expired => "it was kept for 90 days, and these are over",
            Self::TooFarBack => "agents have worked in more retries since than are looked through",
            Self::Unknown => "the reason is one that this version does not know",
        }
    }
}

impl Artifacts {
    /// Those of an attempt that kept nothing so far.
    pub fn none(job: JobId, attempt: u32, now: Timestamp) -> Self {
        Self { job, attempt, kept: Vec::new(), at: now, rev: 0 }
    }

    /// Makes a place for an offer, or finds the one it has.
    ///
    /// Idempotent: by kind and name.
    pub fn reserve(&self, offer: &Offer, now: Timestamp) -> Result<Reserved, Refusal> {
        let id = ArtifactId::of(&self.job, self.attempt, offer.kind, &offer.name);
        if let Some(before) = self.find(&id) {
            let same = before.size_bytes == offer.size_bytes && before.sha256 == offer.sha256;
            return if same { Ok(Reserved::Before(before.clone())) } else { Err(Refusal::Differs) };
        }
        if offer.size_bytes > LARGEST {
            return Err(Refusal::TooLarge);
        }
        if self.kept.len() >= MOST {
            return Err(Refusal::TooMany);
        }
        if self.size_bytes().saturating_add(offer.size_bytes) > LARGEST_TOGETHER {
            return Err(Refusal::TooLargeTogether);
        }
        let made = Artifact {
            id,
            kind: offer.kind,
            name: offer.name.clone(),
            size_bytes: offer.size_bytes,
            sha256: offer.sha256.clone(),
            at: now,
            stored: false,
        };
        let kept = self.kept.iter().chain([&made]).cloned().collect();
        Ok(Reserved::Place(Self { kept, at: now, ..self.clone() }, made))
    }

    /// The same with the object of one of them seen; none if that is known, or there is no such one.
    pub fn seen(&self, id: &ArtifactId) -> Option<Self> {
        let mut next = self.clone();
        let unseen = next.kept.iter_mut().find(|artifact| artifact.id == *id && !artifact.stored)?;
        unseen.stored = true;
        Some(next)
    }

    /// One of them.
    pub fn find(&self, id: &ArtifactId) -> Option<&Artifact> {
        self.kept.iter().find(|artifact| artifact.id == *id)
    }

    /// What another attempt can go on from, the newest first.
    pub fn checkpoints(&self) -> impl Iterator<Item = &Artifact> {
        self.kept.iter().rev().filter(|artifact| artifact.kind == Kind::Checkpoint)
    }

    /// Whether they are over: what is not deleted yet is not there any more either.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.at.plus(KEPT) <= now
    }

    /// How large all of them are together. Units: bytes.
    pub fn size_bytes(&self) -> u64 {
        self.kept.iter().fold(0, |sum, artifact| sum.saturating_add(artifact.size_bytes))
    }
}

/// The key of an artifact's object in its bucket. Nobody chooses any part of it.
pub fn object_key(job: &JobId, attempt: u32, artifact: &ArtifactId) -> String {
    format!("{OBJECTS}{job}/{attempt:04}/{artifact}")
}

/// What the keys of all artifacts' objects begin with.
pub const OBJECTS: &str = "artifacts/";

#[cfg(test)]
mod tests;
