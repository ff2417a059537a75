//! Projects and their repositories: `/v1/projects…`.

use crate::limits;
use pullyard_domain::agent::Agent;
use pullyard_domain::agent::checks::CommandOverrides;
use pullyard_domain::project::Settings;
use pullyard_domain::project::budget::Budget;
use pullyard_domain::project::tracker::{TrackerKind, TrackerSettings};
use pullyard_domain::text::id::{IntegrationId, ProjectId, RepositoryName};
use pullyard_domain::text::time::{Timestamp, WireTime};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;

/// Body of `POST /v1/projects`. Idempotent: by its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateProject {
    /// Short name.
    pub id: ProjectId,
    /// Display name.
    #[schemars(length(min = 1, max = limits::NAME), regex(pattern = limits::LINE))]
    pub name: String,
    /// Settings; absent ones have their defaults.
    #[serde(default)]
    pub settings: Settings,
}

/// Body of `PATCH /v1/projects/{id}`. Idempotent: by its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RenameProject {
    /// New display name.
    #[schemars(length(min = 1, max = limits::NAME), regex(pattern = limits::LINE))]
    pub name: String,
}

/// Body of `POST /v1/projects/{id}/columns/rename`. Idempotent: a repeat continues an incomplete rename.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RenameColumn {
    /// Present name.
    #[schemars(length(min = 1, max = limits::STATUS), regex(pattern = limits::LINE))]
    pub from: String,
    /// New name.
    #[schemars(length(min = 1, max = limits::STATUS), regex(pattern = limits::LINE))]
    pub to: String,
}

/// Answer to `POST /v1/projects/{id}/columns/rename`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RenamedColumn {
    /// Tickets that this call moved to the new name. No job started.
    pub moved_tickets: u32,
    /// False if tickets of the old name are left; the board shows them in a column of that name. Repeat the call.
    pub complete: bool,
    /// The columns in their order.
    pub columns: Vec<String>,
}

/// A project as the API shows it. To replace its settings, send them to `PUT /v1/projects/{id}/settings`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Project {
    /// Short name.
    pub id: ProjectId,
    /// Display name.
    pub name: String,
    /// Known settings. Unknown ones are ignored, because the server may be newer than the command line.
    #[serde(deserialize_with = "deserialize_known_settings")]
    pub settings: Settings,
    /// For `If-Match: "REVISION"`.
    pub revision: u64,
}

/// A project with all settings from the server, including those unknown to this version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RawProject {
    /// Short name.
    pub id: ProjectId,
    /// Display name.
    pub name: String,
    /// Settings, including unknown ones.
    pub settings: Value,
    /// Revision for `If-Match`.
    pub revision: u64,
}

fn deserialize_known_settings<'de, D: Deserializer<'de>>(settings: D) -> Result<Settings, D::Error> {
    parse_known_settings(Value::deserialize(settings)?).map_err(serde::de::Error::custom)
}

/// The settings known to this version. Errors: a known setting has an unknown value.
pub fn parse_known_settings(mut settings: Value) -> Result<Settings, serde_json::Error> {
    let mut known = serde_json::to_value(Settings::default())?;
    // Absent by default, so that the defaults do not contain its fields.
    let tool = IntegrationId::new("tool").map(|id| TrackerSettings::new(TrackerKind::Http, id));
    known["tracker"] = serde_json::to_value(tool.ok())?;
    retain_known(&mut settings, &known);
    serde_json::from_value(settings)
}

/// Removes unknown settings. Relies on the defaults, which contain every field of each group.
fn retain_known(settings: &mut Value, known: &Value) {
    if let (Value::Object(settings), Value::Object(known)) = (settings, known) {
        settings.retain(|name, _| known.contains_key(name));
        settings.iter_mut().for_each(|(name, value)| retain_known(value, &known[name]));
    }
}

/// Answer to `GET /v1/projects?after=CURSOR`, by id. Contains only projects that the token may access.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ProjectPage {
    /// At most 50.
    pub projects: Vec<Project>,
    /// Cursor of the next page; null on the last page.
    pub next: Option<String>,
}

/// Answer to `DELETE /v1/projects/{id}`. Jobs and decisions stay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct DeletedProject {
    /// Project id.
    pub id: ProjectId,
    /// Tickets that this call deleted, at most 100.
    pub tickets: u32,
    /// The project is gone. If false, it has more tickets: repeat the call.
    pub deleted: bool,
    /// Result of removing the webhook at its ticket tool, with the place to delete it if it remains.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<String>,
}

/// Body of `POST /v1/projects/{id}/hold`, after which the project starts no jobs until it is released.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HoldProject {
    /// Reason, shown to users.
    #[schemars(length(min = 1, max = pullyard_domain::project::MAX_HOLD_REASON_CHARS), regex(pattern = limits::LINE))]
    pub reason: String,
}

/// Answer to `GET /v1/projects/{id}/budget`: the daily limits and today's use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct BudgetUse {
    /// Project.
    pub project: ProjectId,
    /// Limits from the settings.
    pub budget: Budget,
    /// Current day in UTC: `2026-11-20`.
    pub day: String,
    /// Start of the next day.
    #[serde(with = "WireTime")]
    pub until: Timestamp,
    /// Jobs created under a budget, without those that ended before an agent worked.
    pub jobs: u32,
    /// Reserved by jobs that have not ended. Units: millionths of a US dollar.
    pub reserved_usd_micros: u64,
    /// Spent by ended jobs. Units: millionths of a US dollar.
    pub spent_usd_micros: u64,
}

/// Body of `POST /v1/projects/{id}/repositories`, which connects a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AddRepository {
    /// Forge of the repository.
    pub integration: IntegrationId,
    /// `owner/name`.
    pub name: RepositoryName,
    /// Agent of the repository; absent: the project's.
    #[serde(default = "Agent::project_default")]
    pub agent: Agent,
    /// Jobs may change files under `.github/workflows`. An App's token then requests that permission.
    #[serde(default)]
    pub workflows: bool,
    /// Setup and check commands that replace the project's.
    #[serde(default, skip_serializing_if = "CommandOverrides::is_none")]
    pub commands: CommandOverrides,
    /// Jobs of the repository that run at once, at most 100. Absent: unchanged; 0: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 100))]
    pub running_jobs: Option<u32>,
    /// Labels that its jobs require of a runner, at most 10 with the project's. With `forge-token`, attempts use the
    /// runner's token of the forge. Absent: unchanged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = pullyard_domain::project::labels::MAX_LABELS))]
    pub labels: Option<BTreeSet<String>>,
}

impl AddRepository {
    /// With the project's commands, and without the permission to change workflows.
    pub fn new(integration: IntegrationId, name: RepositoryName, agent: Agent) -> Self {
        let commands = CommandOverrides::default();
        Self { integration, name, agent, workflows: false, commands, running_jobs: None, labels: None }
    }
}

/// A connected repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Repository {
    /// Forge of the repository.
    pub integration: IntegrationId,
    /// Id at the forge.
    pub id: u64,
    /// `owner/name` as the forge spells it.
    pub name: RepositoryName,
    /// Branch that the work starts from and that pull requests target.
    pub default_branch: String,
    /// URL for git over HTTPS.
    pub clone_url: String,
    /// Agent of the repository; `project` for the project's.
    pub agent: Agent,
    /// Jobs may change files under `.github/workflows`.
    #[serde(default)]
    pub workflows: bool,
    /// Setup and check commands that replace the project's.
    #[serde(default)]
    pub commands: CommandOverrides,
    /// Jobs of the repository that run at once; absent: only the project's limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running_jobs: Option<u32>,
    /// Labels that its jobs require of a runner, besides the project's. With `forge-token`, attempts use the runner's
    /// token of the forge.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub labels: BTreeSet<String>,
}

/// Answer to `GET /v1/projects/{id}/repositories`, without pages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Repositories {
    /// By forge.
    pub repositories: Vec<Repository>,
}

/// Answer to `DELETE /v1/projects/{id}/repositories/{owner}/{name}`. The repository at the forge stays unchanged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RemovedRepository {
    /// Forge of the repository.
    pub integration: IntegrationId,
    /// `owner/name` as stored in the project.
    pub name: RepositoryName,
    /// It was the project's `default_repository`, which is null now.
    pub was_default: bool,
}

/// Answer to `POST /v1/projects/{id}/repositories/{owner}/{name}/test`, which changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RepositoryTest {
    /// Jobs have every required permission that can be checked.
    pub works: bool,
    /// Result as a sentence.
    pub sentence: String,
    /// Advice.
    pub help: String,
    /// All features; empty if the repository is not visible.
    pub features: Vec<FeatureTest>,
}

/// A feature of Pullyard in a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Feature {
    /// Find the repository, and read a reviewer's permission.
    Repository,
    /// Fetch and push branches.
    Push,
    /// Push changes of files under `.github/workflows`.
    Workflows,
    /// Open pull requests, read reviews, answer comments, request another review.
    PullRequests,
    /// Resolve a conversation of a review.
    Conversations,
    /// Read commands in comments and labels, and write the comment with the decision.
    Comments,
    /// Set the status of a commit.
    Statuses,
    /// Create and repair the webhooks of a repository.
    Hooks,
}

/// Test result of a feature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct FeatureTest {
    /// Feature.
    pub feature: Feature,
    /// Description of the feature.
    pub description: String,
    /// Required permissions, as `name: level`.
    pub permissions: Vec<String>,
    /// Whether the feature works.
    pub verdict: FeatureVerdict,
    /// Missing permission, or why the feature was not tested.
    pub note: Option<String>,
}

/// Whether a feature works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FeatureVerdict {
    /// Works.
    Works,
    /// A permission is missing.
    Missing,
    /// Unknown: only a change in the repository could test it.
    Unknown,
    /// Not needed here.
    NotNeeded,
}
