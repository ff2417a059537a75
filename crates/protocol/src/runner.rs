//! Calls of a self-hosted runner between jobs: `POST /v1/runners`, `POST /v1/runners/{runner}/heartbeat`, `POST
//! /v1/runners/{runner}/claim`.
//!
//! They use a runner token (`rnt_`). A runner is a token and a name; its process is an `instance` with a new id at
//! every start, and a replaced process gets 409 `runner_replaced`. `run-job` runs a claimed job: it calls `POST
//! /v1/jobs/{job}/attempts/{n}/start` with the claim's id and bootstrap token. Runners receive only durations, because
//! clocks differ.

#[cfg(feature = "schema")]
use crate::limits;
use pullyard_domain::id::{ClaimId, InstanceId, JobId, RunnerId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Introduces a runner, or a new process of a known one. Repeating it with the same `instance` is a repeat.
///
/// 409 `runner_live`: another process of the same name is still heard. It is not replaced; stop it, or
/// give this one another name. 409 `name_taken`: the name belongs to a runner of another token.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegisterRequest {
    /// Unique among runners; 1 to 64 letters, digits, `-`, `_` and `.`.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = r"^[A-Za-z0-9._-]{1,64}$")))]
    pub name: String,
    /// This process.
    pub instance: InstanceId,
    /// The agents it can drive: `command`, … At least one.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = limits::LABELS), inner(length(min = 1, max = limits::LABEL), regex(pattern = limits::LINE))))]
    pub capabilities: BTreeSet<String>,
    /// Tags that jobs may require.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(length(max = limits::LABELS), inner(length(min = 1, max = limits::LABEL), regex(pattern = limits::LINE))))]
    pub labels: BTreeSet<String>,
    /// Its release.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = limits::STATUS), regex(pattern = limits::LINE)))]
    pub version: String,
    /// How many jobs it runs at once, 1 to 12.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 12)))]
    pub slots: u32,
    /// Jobs whose `run-job` processes outlived an earlier process of this runner and still work:
    /// they are not failed because of the restart.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(length(max = limits::ACTIVE)))]
    pub active: BTreeSet<JobId>,
}

/// The answer to an introduction.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registered {
    /// What the runner is called in the other routes.
    pub runner: RunnerId,
    /// How often to be heard while nothing runs. Units: seconds.
    pub heartbeat_idle_secs: u64,
    /// How often to be heard while a job runs. Units: seconds.
    pub heartbeat_busy_secs: u64,
    /// Silent for this long, it counts as Offline and its jobs are failed. Units: seconds.
    pub offline_after_secs: u64,
    /// How long to wait before the first claim, and after a claim that got nothing. Units: milliseconds.
    pub poll_ms: u64,
}

/// Says that the runner lives, and what it runs.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeartbeatRequest {
    /// This process.
    pub instance: InstanceId,
    /// Every job it runs now. A job that the table gives it, older than a minute and not in here, has
    /// lost its process and is ended as `runner_crashed`.
    #[cfg_attr(feature = "schema", schemars(length(max = limits::ACTIVE)))]
    pub active: BTreeSet<JobId>,
    /// It finishes what it has and takes nothing.
    #[serde(default)]
    pub draining: bool,
    /// The last one of this process: with it the runner is Offline at once, without any job failing
    /// but those it had not ended.
    #[serde(default)]
    pub last: bool,
}

/// The answer to a heartbeat.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeartbeatAnswer {
    /// How soon to be heard again. Units: seconds.
    pub next_secs: u64,
    /// People want it to take nothing more.
    pub drain: bool,
}

/// Asks for a job. Repeating it with the same `claim_id` returns the same job, so that a lost answer
/// loses nothing.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClaimRequest {
    /// This process.
    pub instance: InstanceId,
    /// Chosen by the runner for this one claim, and used again until it is answered.
    pub claim_id: ClaimId,
}

/// The answer to a claim.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimAnswer {
    /// The job, if there was one to take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<ClaimedJob>,
    /// This claim's id has had its job, which its runner holds no more: it gets nothing ever again, and the
    /// next claim is to have another id.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub spent: bool,
    /// When there was none: how long to wait before the next claim. Units: milliseconds.
    pub poll_ms: u64,
}

/// A job that a runner has claimed.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimedJob {
    /// Which.
    pub job: JobId,
    /// The number of the attempt.
    pub attempt: u32,
    /// Exchanged, with the claim's id, for the assignment and its lease. A secret.
    pub bootstrap: String,
}

impl std::fmt::Debug for ClaimAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The bootstrap token never reaches a log.
        let job = self.job.as_ref().map(|claimed| (&claimed.job, claimed.attempt));
        f.debug_struct("ClaimAnswer")
            .field("job", &job)
            .field("spent", &self.spent)
            .field("poll_ms", &self.poll_ms)
            .finish()
    }
}
