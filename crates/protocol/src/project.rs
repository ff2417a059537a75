//! Projects and their repositories: `/v1/projects…`.

#[cfg(feature = "schema")]
use crate::limits;
use pullyard_domain::agent::Agent;
use pullyard_domain::budget::Budget;
use pullyard_domain::checks::OwnCommands;
use pullyard_domain::id::{IntegrationId, ProjectId, RepositoryName};
use pullyard_domain::project::Settings;
use pullyard_domain::time::{Timestamp, rfc3339};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// `POST /v1/projects`. Repeating it with the same body is a repeat.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateProject {
    /// Its short name.
    pub id: ProjectId,
    /// Its name for people.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = limits::NAME), regex(pattern = limits::LINE)))]
    pub name: String,
    /// How it works; the defaults where absent.
    #[serde(default)]
    pub settings: Settings,
}

/// A project as the API shows it. `PUT /v1/projects/{id}/settings` takes the settings alone, with
/// `If-Match: "REVISION"`.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Project {
    /// Its short name.
    pub id: ProjectId,
    /// Its name for people.
    pub name: String,
    /// How it works. Who reads an answer passes over settings that it does not know: a command line is older
    /// than its deployment for a while.
    #[serde(deserialize_with = "passing_over")]
    pub settings: Settings,
    /// For `If-Match`.
    pub revision: u64,
}

/// A project with all settings from the server, including those unknown to this version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToldProject {
    /// Id.
    pub id: ProjectId,
    /// Display name.
    pub name: String,
    /// Settings, including unknown ones.
    pub settings: Value,
    /// For `If-Match`.
    pub revision: u64,
}

fn passing_over<'de, D: Deserializer<'de>>(settings: D) -> Result<Settings, D::Error> {
    known_settings(Value::deserialize(settings)?).map_err(serde::de::Error::custom)
}

/// The settings known to this version.
/// Errors: a known setting has an unknown value.
pub fn known_settings(mut told: Value) -> Result<Settings, serde_json::Error> {
    keep(&mut told, &serde_json::to_value(Settings::default())?);
    serde_json::from_value(told)
}

/// Works because the defaults contain every field of each group.
fn keep(told: &mut Value, known: &Value) {
    if let (Value::Object(told), Value::Object(known)) = (told, known) {
        told.retain(|name, _| known.contains_key(name));
        told.iter_mut().for_each(|(name, value)| keep(value, &known[name]));
    }
}

/// `GET /v1/projects?after=CURSOR`: by id, only what the token may touch.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectPage {
    /// At most 50.
    pub projects: Vec<Project>,
    /// Where the next page begins; none when this was the last.
    pub next: Option<String>,
}

/// `POST /v1/projects/{id}/hold`: nothing new starts until it is released.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HoldProject {
    /// Why, for those who meet it.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = pullyard_domain::project::LONGEST_HOLD), regex(pattern = limits::LINE)))]
    pub reason: String,
}

/// `POST /v1/projects/{id}/release`. No fields.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleaseProject {}

/// `GET /v1/projects/{id}/budget`: what its jobs may use up on each day, and what they have used up today.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetUse {
    /// Whose.
    pub project: ProjectId,
    /// The limits, as the settings have them.
    pub budget: Budget,
    /// Today, in UTC: `2026-11-20`.
    pub day: String,
    /// When the next day begins.
    #[serde(with = "rfc3339")]
    #[cfg_attr(feature = "schema", schemars(with = "Timestamp"))]
    pub until: Timestamp,
    /// Jobs that were made under a budget, but those that ended before an agent worked.
    pub jobs: u32,
    /// What jobs that have not ended reserve. Units: millionths of a US dollar.
    pub reserved_usd_micros: u64,
    /// What ended jobs spent. Units: millionths of a US dollar.
    pub spent_usd_micros: u64,
}

/// `POST /v1/projects/{id}/repositories`: connects a repository.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddRepository {
    /// The forge it lives on.
    pub integration: IntegrationId,
    /// `owner/name`.
    pub name: RepositoryName,
    /// The agent that works on it; its project chooses when absent.
    #[serde(default = "Agent::of_project")]
    pub agent: Agent,
    /// Jobs may change the files under `.github/workflows`; an App's token is then asked for the right to.
    #[serde(default)]
    pub workflows: bool,
    /// What is run around its agent, if not what its project says.
    #[serde(default, skip_serializing_if = "OwnCommands::is_none")]
    pub commands: OwnCommands,
}

/// A connected repository.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repository {
    /// The forge it lives on.
    pub integration: IntegrationId,
    /// The forge's id of it.
    pub id: u64,
    /// `owner/name` as the forge spells it.
    pub name: RepositoryName,
    /// The branch that work starts from and goes to.
    pub default_branch: String,
    /// For git over HTTPS.
    pub clone_url: String,
    /// The agent that works on it, or `project` where its project chooses.
    pub agent: Agent,
    /// Jobs may change its workflows.
    #[serde(default)]
    pub workflows: bool,
    /// What is run around its agent, if not what its project says.
    #[serde(default)]
    pub commands: OwnCommands,
}

/// `GET /v1/projects/{id}/repositories`: all of them.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repositories {
    /// By forge.
    pub repositories: Vec<Repository>,
}

/// `DELETE /v1/projects/{id}/repositories/{owner}/{name}`: it is gone from its project. At its forge nothing changes.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemovedRepository {
    /// The forge it lives on.
    pub integration: IntegrationId,
    /// `owner/name`, as its project had it.
    pub name: RepositoryName,
    /// The project's `default_repository` led to it, and is null now.
    pub was_default: bool,
}

/// `POST /v1/projects/{id}/repositories/{owner}/{name}/test`: what may be done in it. Changes nothing.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepositoryTest {
    /// Jobs find everything that they need, as far as can be told.
    pub works: bool,
    /// In words.
    pub sentence: String,
    /// What to do about it.
    pub help: String,
    /// Each feature; none when the repository can't even be seen.
    pub features: Vec<FeatureTest>,
}

/// What Pullyard does in a repository.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Feature {
    /// Find the repository, and read what a reviewer may do in it.
    Look,
    /// Fetch and push branches.
    Push,
    /// Push changes of files under `.github/workflows`.
    Workflows,
    /// Open pull requests, read reviews, answer comments, request another review.
    PullRequests,
    /// Resolve a conversation of a review.
    Threads,
    /// Read commands in comments and labels, and write the comment with the decision.
    Comments,
    /// Set the status of a commit.
    Statuses,
    /// Create and repair the webhooks of a repository.
    Hooks,
}

/// One feature in one repository.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeatureTest {
    /// Which.
    pub feature: Feature,
    /// The same in words.
    pub words: String,
    /// What it needs, as `name: level`.
    pub permissions: Vec<String>,
    /// Whether it works.
    pub verdict: FeatureVerdict,
    /// What to grant, or why that can't be told.
    pub note: Option<String>,
}

/// Whether a feature works.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FeatureVerdict {
    /// It does.
    Works,
    /// Something was not granted.
    Missing,
    /// Nobody can tell without changing something.
    Untold,
    /// It is not needed here.
    Needless,
}
