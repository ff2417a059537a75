//! Administration of self-hosted runners: `/v1/runners`.

use pullyard_domain::agent::runner::order::{OrderKind, OrderState, Updates};
use pullyard_domain::agent::runner::{OFFLINE_AFTER, RunnerIsolation};
use pullyard_domain::job::diagnosis::{RunnerFacts, RunnerPresence};
use pullyard_domain::text::id::{InstanceId, JobId, ProjectId, RunnerId};
use pullyard_domain::text::time::{OptionalWireTime, Timestamp, WireTime};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Status of a runner, from its heartbeats and their absence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunnerStatus {
    /// It sends heartbeats and takes jobs.
    Online,
    /// It sends heartbeats but takes no more jobs.
    Draining,
    /// It is silent or has signed off.
    Offline,
    /// It registered but never sent a heartbeat.
    NeverHeard,
    /// An administrator is removing it.
    Deleting,
}

/// A runner as the API shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Runner {
    /// Runner id.
    pub id: RunnerId,
    /// Unique among runners.
    pub name: String,
    /// Status.
    pub status: RunnerStatus,
    /// Number of jobs that it runs at once.
    pub slots: u32,
    /// Number of slots in use.
    pub busy: u32,
    /// Its jobs in projects that the caller may access.
    pub jobs: Vec<RunnerJob>,
    /// Agents that it can run.
    pub capabilities: BTreeSet<String>,
    /// Labels that jobs may require.
    pub labels: BTreeSet<String>,
    /// Release.
    pub version: String,
    /// Isolation of its agents; null if it reported none.
    pub isolation: Option<RunnerIsolation>,
    /// Projects that it serves; null means all.
    pub projects: Option<BTreeSet<ProjectId>>,
    /// Process that acts as the runner.
    pub instance: InstanceId,
    /// Last heartbeat.
    #[serde(rename = "heard", with = "WireTime")]
    pub last_heartbeat: Timestamp,
    /// Silence after which it counts as Offline and loses its jobs. Units: seconds.
    #[serde(default = "default_offline_after")]
    pub offline_after_secs: u64,
    /// Drain that an administrator requested.
    pub drain: Option<RunnerDrain>,
    /// Newest restart or update that an administrator requested.
    #[serde(default)]
    pub order: Option<RunnerTask>,
    /// Whether its program can be replaced from afar; null for a program that carries out no orders.
    #[serde(default)]
    pub updates: Option<Updates>,
}

fn default_offline_after() -> u64 {
    OFFLINE_AFTER.as_secs()
}

impl Runner {
    /// Whether it takes jobs of this project.
    pub fn serves(&self, project: &ProjectId) -> bool {
        self.projects.as_ref().is_none_or(|projects| projects.contains(project))
    }
}

impl<'a> From<&'a Runner> for RunnerFacts<'a> {
    fn from(runner: &'a Runner) -> Self {
        Self {
            name: &runner.name,
            presence: match runner.status {
                RunnerStatus::Online => RunnerPresence::Claims,
                RunnerStatus::Draining => RunnerPresence::Drains,
                RunnerStatus::Offline | RunnerStatus::NeverHeard | RunnerStatus::Deleting => RunnerPresence::Silent,
            },
            is_drained: runner.drain.is_some(),
            last_heartbeat: runner.last_heartbeat,
            capabilities: &runner.capabilities,
            isolation: runner.isolation.as_ref(),
        }
    }
}

/// A job on a runner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RunnerJob {
    /// Job id.
    pub job: JobId,
    /// Project of the job.
    pub project: ProjectId,
    /// Number of the attempt.
    pub attempt: u32,
    /// Since when the runner holds the job.
    #[serde(with = "WireTime")]
    pub since: Timestamp,
}

/// A request that a runner takes no more jobs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RunnerDrain {
    /// Name of the requester's token.
    pub by: String,
    /// Time of the request.
    #[serde(with = "WireTime")]
    pub at: Timestamp,
    /// When the runner first confirmed it.
    #[serde(with = "OptionalWireTime")]
    pub acknowledged: Option<Timestamp>,
}

/// A restart or an update of a runner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RunnerTask {
    /// Kind.
    pub kind: OrderKind,
    /// The release of an update.
    pub version: Option<String>,
    /// Name of the requester's token.
    pub by: String,
    /// Time of the request.
    #[serde(with = "WireTime")]
    pub at: Timestamp,
    /// State.
    pub state: OrderState,
    /// Why it failed.
    pub reason: Option<String>,
}

/// The effect of a restart on a runner with this number of jobs.
pub fn restart_effect(name: &str, jobs: u32) -> String {
    match jobs {
        0 => format!("{name} restarts with its next heartbeat, if its check passes; it runs no job."),
        1 => format!("{name} restarts with its next heartbeat, if its check passes; its running job continues."),
        n => format!("{name} restarts with its next heartbeat, if its check passes; its {n} running jobs continue."),
    }
}

impl RunnerTask {
    /// A sentence about the request and its state.
    pub fn sentence(&self) -> String {
        let name = match &self.version {
            Some(version) => format!("Update to {version}"),
            None => "Restart".to_owned(),
        };
        let state = match (self.state, &self.reason) {
            (OrderState::Wanted, _) => "not confirmed by the runner yet".to_owned(),
            (OrderState::Accepted, _) => "in progress".to_owned(),
            (OrderState::Done, _) => "done".to_owned(),
            (OrderState::Failed, None) => "failed".to_owned(),
            (OrderState::Failed, Some(reason)) => format!("failed: {reason}"),
        };
        format!("{name}, requested by {}: {state}", self.by)
    }
}

/// Answer to `GET /v1/runners`: up to 500 runners that the caller may see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RunnerList {
    /// By name.
    pub runners: Vec<Runner>,
    /// Cursor of the next page; null on the last page.
    pub next: Option<String>,
}

/// Commands to a runner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunnerOrder {
    /// Finish the current jobs and take no more.
    Drain,
    /// Take jobs again.
    Resume,
    /// Start the program again. The current jobs continue.
    Restart,
    /// Install the release `version` when the current jobs have ended.
    Update,
}

/// Body of `POST /v1/runners/{runner}/commands`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunnerCommand {
    /// Command.
    pub command: RunnerOrder,
    /// The release of an update, such as `0.3.0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^(0|[1-9]\d{0,9})(\.(0|[1-9]\d{0,9})){2}$"))]
    pub version: Option<String>,
}

impl RunnerCommand {
    /// A command without a release.
    pub fn new(command: RunnerOrder) -> Self {
        Self { command, version: None }
    }
}

/// Answer to `DELETE /v1/runners/{runner}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "RunnerRemoved")]
pub struct RemovedRunner {
    /// Runner id.
    pub id: RunnerId,
    /// It is removed and its name is free. If false, the sweeper ends its jobs first.
    pub gone: bool,
}
