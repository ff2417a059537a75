//! Plans and their runs: `/v1/plans/check`, `/v1/runs…`.

use crate::job::Explanation;
use pullyard_domain::review::pull_request::MergeMethod;
use pullyard_domain::run::{RunState, StepState};
use pullyard_domain::text::id::{EventId, JobId, ProjectId, RepositoryName, RunId};
use pullyard_domain::text::time::{OptionalWireTime, Timestamp, WireTime};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};
use std::collections::BTreeMap;

/// Body of `POST /v1/runs`: starts the run of a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StartRun {
    /// Project.
    pub project: ProjectId,
    /// Plan, as a plan file contains it; `GET /plan.schema.json` returns its schema.
    #[schemars(extend("additionalProperties" = {}))]
    pub plan: Map<String, Value>,
    /// Values of the plan's parameters.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, String>,
    /// Repository; absent: the plan's, or the project's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<RepositoryName>,
    /// Branch to start from; absent: the plan's, or the repository's default branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// Own key of the run: the same key in the same project gives the same run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<EventId>,
}

/// Body of `POST /v1/plans/check`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckPlan {
    /// Project.
    pub project: ProjectId,
    /// Plan, as a plan file contains it; `GET /plan.schema.json` returns its schema.
    #[schemars(extend("additionalProperties" = {}))]
    pub plan: Map<String, Value>,
}

/// Body of `POST /v1/runs/{run}/resume`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResumeRun {
    /// New cost limit in US dollars, for a run that has one; absent: the former limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<Number>,
}

/// Body of `POST /v1/runs/{run}/pull-request`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenPullRequest {
    /// A done step with a branch of its own.
    pub step: String,
}

/// Body of `POST /v1/runs/{run}/pull-request/merge`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MergeRun {
    /// Step whose own pull request is merged; absent: the pull request of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// How its commits are added to the base; absent: as the forge does by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<MergeMethod>,
}

/// A run as the API shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Run {
    /// Run id.
    pub id: RunId,
    /// Project.
    pub project: ProjectId,
    /// Name of its plan.
    pub name: String,
    /// State.
    pub state: RunState,
    /// Group of its plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The group, while the run waits for a place in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for_group: Option<String>,
    /// Why it failed.
    pub failure: Option<Explanation>,
    /// Whether it was cancelled before it completed. Its jobs need up to a minute to stop.
    pub cancelled: bool,
    /// Name of the user who cancelled it, or `Pullyard` or `the deletion of the project`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancelled_by: Option<String>,
    /// Name of the user who last resumed it; absent after a later cancel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resumed_by: Option<String>,
    /// Name of the token that started it.
    pub by: String,
    /// Repository of all steps.
    pub repository: Option<RepositoryName>,
    /// Its plan, with the repository and the base of this run. Only in the answer to `GET /v1/runs/{run}?plan=true`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Value>,
    /// Values of the plan's parameters. Only in the same answer.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, String>,
    /// Branch of the steps that write.
    pub branch: Option<String>,
    /// URL of its pull request, once a step has opened it.
    pub pull_request: Option<String>,
    /// Cost of its ended jobs. Units: millionths of a US dollar.
    pub spent_usd_micros: u64,
    /// Limit of the cost. Units: millionths of a US dollar.
    pub cost_limit_usd_micros: Option<u64>,
    /// Creation time.
    #[serde(with = "WireTime")]
    pub created: Timestamp,
    /// A run that still works then fails; counts from its creation or last resume.
    #[serde(with = "WireTime")]
    pub time_limit: Timestamp,
    /// End.
    #[serde(with = "OptionalWireTime")]
    pub ended: Option<Timestamp>,
    /// Its steps in the order of the plan.
    pub steps: Vec<RunStep>,
}

/// A step of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RunStep {
    /// Its name in the plan.
    pub name: String,
    /// State.
    pub state: StepState,
    /// Outcome that its agent chose.
    pub outcome: Option<String>,
    /// Its newest job.
    pub job: Option<JobId>,
    /// Number of its jobs.
    pub jobs: u32,
    /// Start of its newest job, or of its question.
    #[serde(with = "OptionalWireTime")]
    pub started: Option<Timestamp>,
    /// Time of the last change of its state.
    #[serde(with = "WireTime")]
    pub changed: Timestamp,
    /// Cost of its ended jobs. Units: millionths of a US dollar.
    pub spent_usd_micros: u64,
    /// URL of the pull request that a user opened for its own branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_request: Option<String>,
    /// Question to a user, if the step asks one. Absent in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<String>,
    /// Name of the user who approved or refused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered_by: Option<String>,
    /// Why it has this state. Absent in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<Explanation>,
}

/// Answer to `GET /v1/runs?project=P&after=CURSOR`, newest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RunPage {
    /// At most 50.
    pub runs: Vec<Run>,
    /// Cursor of the next page; null on the last page.
    pub next: Option<String>,
}
