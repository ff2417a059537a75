//! Calls of a self-hosted runner between jobs: `POST /v1/runners` and `POST /v1/runners/{runner}/{heartbeat,claim}`.
//! They use a runner token (`rnt_`). A token and a name identify a runner, `instance` identifies its process. A
//! replaced process gets 409 `runner_replaced`. For a claimed job, `run-job` calls `start` with the claim's id and
//! bootstrap token. Runners receive only durations, because clocks differ.

use crate::limits;
pub use pullyard_domain::agent::runner::RunnerIsolation;
pub use pullyard_domain::agent::runner::order::{OrderKind, OrderReport, OrderState, Updates};
use pullyard_domain::text::id::{ClaimId, InstanceId, JobId, OrderId, RunnerId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeSet;

/// Registers a runner, or a new process of a known one. Idempotent: by `instance`.
///
/// Errors: 409 `runner_live` while another process of this name is online; stop it, or use another name. 409
/// `name_taken` if a runner of another token has the name; with `check_only`, `name_used` if another instance has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RegisterRequest {
    /// Unique among runners; 1 to 64 letters, digits, `-`, `_` and `.`.
    #[schemars(regex(pattern = r"^[A-Za-z0-9._-]{1,64}$"))]
    pub name: String,
    /// This process.
    pub instance: InstanceId,
    /// Agents that it can run, such as `command`; at least one.
    #[schemars(length(min = 1, max = limits::LABELS), inner(length(min = 1, max = limits::LABEL), regex(pattern = limits::LINE)))]
    pub capabilities: BTreeSet<String>,
    /// Labels that jobs may require.
    #[serde(default)]
    #[schemars(length(max = limits::LABELS), inner(length(min = 1, max = limits::LABEL), regex(pattern = limits::LINE)))]
    pub labels: BTreeSet<String>,
    /// Release.
    #[schemars(length(min = 1, max = limits::STATUS), regex(pattern = limits::LINE))]
    pub version: String,
    /// Number of jobs that it runs at once, 1 to 12.
    #[schemars(range(min = 1, max = 12))]
    pub slots: u32,
    /// Jobs that survived an earlier process of this runner. The restart does not fail them.
    #[serde(default)]
    #[schemars(length(max = limits::ACTIVE_JOBS))]
    pub active: BTreeSet<JobId>,
    /// Isolation of its agents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isolation: Option<RunnerIsolation>,
    /// Silence after which the runner counts as Offline and loses its jobs, 90 to 3,600; 90 if absent. Units: seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 90, max = 3_600))]
    pub offline_after_secs: Option<u64>,
    /// Whether its program can be replaced from afar. A program that carries out no orders omits it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updates: Option<Updates>,
    /// Only check whether this instance may use the name, and store nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub check_only: bool,
}

/// Answer to a registration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "Registered")]
pub struct RegisterAnswer {
    /// Id of the runner in the other routes.
    pub runner: RunnerId,
    /// Heartbeat interval without a job. Units: seconds.
    pub heartbeat_idle_secs: u64,
    /// Heartbeat interval with a job. Units: seconds.
    pub heartbeat_busy_secs: u64,
    /// After this silence the runner counts as Offline and loses its jobs. Units: seconds.
    pub offline_after_secs: u64,
    /// Wait before the first claim, and after a claim without a job. Units: milliseconds.
    pub poll_ms: u64,
    /// The runner's mailbox. With a free slot, a runner may wait at `GET /v1/wake` with this text in the header
    /// `Pullyard-Mailbox` and claim on each hint, instead of polling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mailbox: Option<String>,
}

/// A heartbeat with the runner's jobs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeartbeatRequest {
    /// This process.
    pub instance: InstanceId,
    /// All running jobs. A job that the runner claimed over a minute ago and omits here is ended as `runner_crashed`.
    #[schemars(length(max = limits::ACTIVE_JOBS))]
    pub active: BTreeSet<JobId>,
    /// The runner finishes its jobs and takes no more.
    #[serde(default)]
    pub draining: bool,
    /// Last heartbeat of this process. The runner is Offline at once and loses only the jobs that it has not ended.
    #[serde(default)]
    pub last: bool,
    /// Progress of the order in an earlier answer, until an answer omits that order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<OrderReport>,
}

/// Answer to a heartbeat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct HeartbeatAnswer {
    /// Time until the next heartbeat. Units: seconds.
    pub next_secs: u64,
    /// An administrator requests that the runner takes no more jobs.
    pub drain: bool,
    /// The jobs of `active` that the runner does not hold any more. It kills their processes unless they exit.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub ended: BTreeSet<JobId>,
    /// An order of an administrator. A runner confirms it as `accepted`, and begins when an answer repeats it so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<HeartbeatOrder>,
}

/// An order to a runner that has not ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct HeartbeatOrder {
    /// Its id in reports.
    pub id: OrderId,
    /// Kind.
    // `None` for one of a newer control plane.
    #[serde(deserialize_with = "parse_known")]
    #[schemars(with = "OrderKind")]
    pub kind: Option<OrderKind>,
    /// The release of an update.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// `wanted` or `accepted`.
    // `None` for one of a newer control plane.
    #[serde(deserialize_with = "parse_known")]
    #[schemars(with = "OrderState")]
    pub state: Option<OrderState>,
}

/// An unknown value must not make the whole answer unreadable.
fn parse_known<'de, T: DeserializeOwned, D: Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
    Ok(serde_json::from_value(serde_json::Value::deserialize(from)?).ok())
}

/// Requests a job. Idempotent: by `claim_id`; a repeat returns the same job, so a lost answer is harmless.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClaimRequest {
    /// This process.
    pub instance: InstanceId,
    /// Chosen by the runner for this claim, and reused until the claim is answered.
    pub claim_id: ClaimId,
}

/// Answer to a claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ClaimAnswer {
    /// The job, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<ClaimedJob>,
    /// The runner no longer holds the job of this `claim_id`. The id never gets another job: claim with a new one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub spent: bool,
    /// Without a job: wait before the next claim. Units: milliseconds.
    pub poll_ms: u64,
}

/// A claimed job.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ClaimedJob {
    /// Job id.
    pub job: JobId,
    /// Number of the attempt.
    pub attempt: u32,
    /// A credential; `start` exchanges it, with the claim's id, for the assignment and its lease.
    pub bootstrap: String,
}

debug_only!(ClaimedJob { job, attempt });
