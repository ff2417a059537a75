//! The plan file of a run: its keys, from which the JSON Schema and the checks of form follow, and its faults.

mod check;
mod graph;
mod name;
mod old_names;
mod parameter;
mod project;
mod roles;
mod shape;
mod spawn;
mod starts;

pub(crate) use check::check_added_steps;
pub use parameter::{BRANCH_RULE, Parameter, ParameterKind, is_base, is_branch};
pub use roles::{Role, built_in_role};
pub use shape::schema;
pub use spawn::SpawnRequest;
pub use starts::{StartEvents, StartedBy};

use crate::project::Priority;
use crate::project::budget::parse_usd_micros;
use crate::text::parse_seconds;
use roles::BUILT_IN_ROLES;
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};
use std::collections::BTreeMap;
use std::time::Duration;

/// A larger file is refused. Units: bytes.
pub const MAX_FILE_BYTES: usize = 64 * 1024;
/// Nested lists and mappings.
pub const MAX_DEPTH: usize = 12;
/// Mappings, lists, keys and values.
pub const MAX_NODES: usize = 5_000;
/// Bounds the JSON pointers of a document.
pub const MAX_KEY_BYTES: usize = 100;
/// The check of a plan stops here.
pub const MAX_FAULTS: usize = 100;
/// A message shows at most this many faults.
pub const MAX_SHOWN_FAULTS: usize = 20;
pub const MAX_STEPS: usize = 50;
/// The plan of `pullyard runs init` as JSON.
pub const CONTRIBUTOR_PLAN: &str = include_str!("plan/contributor.json");
pub const MAX_NAME_CHARS: usize = 80;
const MAX_TEXT_BYTES: usize = 16 * 1024;
const MAX_NEEDS: usize = 20;
const MAX_ALL_NEEDS: usize = 500;
const MAX_COMMANDS: usize = crate::agent::commands::MAX_COMMANDS;
const MAX_ROLES: usize = 50;
const MAX_PARAMETERS: usize = 30;
const MAX_GROUP_LIMIT: u32 = 50;
const MAX_PARAMETER_BYTES: usize = 4 * 1024;
const MAX_WALL: Duration = Duration::from_secs(7 * 24 * 3_600);
const NAME_PATTERN: &str = "^[a-z][a-z0-9-]{0,39}$";

/// A plan: steps for agents, which work in the order of their needs.
// Readers of a stored plan ignore unknown keys; only `Plan::parse` refuses them. An unknown word of an enumeration makes
// the plan unreadable for an older program, which then leaves the run as it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["name", "steps"]))]
pub struct Plan {
    /// Display name, or `{param: NAME}`.
    #[schemars(schema_with = "parameter::text_or_parameter::<80>")]
    pub name: String,
    /// Repository in which all steps work, as owner/name or `{param: NAME}` (default: the project's).
    #[schemars(schema_with = "parameter::text_or_parameter::<300>")]
    pub repository: Option<String>,
    /// Branch from which the work starts, or `{param: NAME}` (default: the repository's).
    #[schemars(schema_with = "parameter::text_or_parameter::<200>")]
    pub base: Option<String>,
    /// Starts that a template allows (default: hand).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 4))]
    pub started_by: Vec<StartedBy>,
    /// Events of a webhook that start a template.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on: Option<StartEvents>,
    /// Keys that get the values of parameters at the start: `repository: {param: repo}`.
    #[serde(skip)]
    pub from_parameters: BTreeMap<&'static str, String>,
    /// Values that each start of the plan sets. Every prompt gets them as a quoted block.
    #[schemars(extend("maxProperties" = MAX_PARAMETERS))]
    pub parameters: BTreeMap<String, Parameter>,
    /// Keys of every step that neither the step nor its role sets.
    pub defaults: StepKeys,
    /// Named keys for steps, in addition to planner, implementer, reviewer, fixer and manager.
    #[schemars(extend("maxProperties" = MAX_ROLES))]
    pub roles: BTreeMap<String, Role>,
    /// The steps. A step starts when its needs have ended.
    #[schemars(length(min = 1, max = MAX_STEPS))]
    pub steps: Vec<PlanStep>,
    /// Steps that have a job at once (default: 4).
    #[schemars(range(min = 1, max = MAX_STEPS))]
    pub concurrency_limit: Option<u32>,
    /// Runs of the project with the same group, of which only some work at once (default: no group).
    pub concurrency: Option<Concurrency>,
    /// Priority of the run's jobs, and of the run in its group (default: normal).
    pub priority: Option<Priority>,
    /// Limits of the run.
    pub limits: RunLimits,
    /// The rest of the run after a step has failed (default: stop).
    pub on_failure: Option<OnFailure>,
    /// The pull request of the shared branch (default: open).
    pub pull_request: Option<PullRequestForm>,
    /// Whether the completion of the run is notified, as all other ends are (default: nothing).
    pub on_complete: Option<OnComplete>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct RunLimits {
    /// Time of the whole run, such as 90m, 6h or 2d; at most 7d (default: 24h).
    pub wall: Option<String>,
    /// Cost of the whole run in US dollars (default: no limit). Every step then needs a limit of its own.
    pub cost_usd: Option<Number>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["group"]))]
pub struct Concurrency {
    /// Name of the group.
    #[schemars(length(min = 1, max = MAX_NAME_CHARS))]
    pub group: String,
    /// Runs of the group that work at once (default: 1). The others wait.
    #[schemars(range(min = 1, max = MAX_GROUP_LIMIT))]
    pub limit: Option<u32>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// No further step starts, and running steps end by themselves.
    #[default]
    Stop,
    /// Only the steps that need the failed one are skipped.
    Continue,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PullRequestForm {
    /// The first step that writes opens it.
    #[default]
    Open,
    /// The first step that writes opens it as a draft.
    Draft,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnComplete {
    /// The project's endpoints receive `run.completed`.
    Notify,
    /// No endpoint receives a message.
    #[default]
    Nothing,
}

/// A task for an agent, or a question to a user.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["name"]))]
pub struct PlanStep {
    /// Unique name: lower-case letters, digits and dashes.
    #[schemars(regex(pattern = NAME_PATTERN))]
    pub name: String,
    /// Role whose keys apply where the step has none: planner, implementer, reviewer, fixer, manager, or one of `roles`.
    pub role: Option<String>,
    /// Steps that must have ended before.
    #[schemars(length(max = MAX_NEEDS))]
    pub needs: Vec<String>,
    /// Outcomes of needed steps that this step requires. With another outcome, it is skipped.
    #[schemars(extend("maxProperties" = MAX_NEEDS))]
    pub when: BTreeMap<String, Outcomes>,
    /// Task of the agent. A step has a prompt or a question.
    pub prompt: Option<String>,
    /// Question to a user, who approves or refuses. A refusal is a failure.
    pub approve: Option<String>,
    #[serde(flatten)]
    pub keys: StepKeys,
}

/// One outcome, or a list of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(untagged)]
pub enum Outcomes {
    One(String),
    Any(Vec<String>),
}

impl Outcomes {
    pub fn as_slice(&self) -> &[String] {
        match self {
            Self::One(outcome) => std::slice::from_ref(outcome),
            Self::Any(outcomes) => outcomes,
        }
    }
}

/// The keys that a step shares with roles and `defaults`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct StepKeys {
    /// Agent: claude_code, codex, command or auto (default: the repository's, else the project's).
    pub agent: Option<String>,
    /// Model, by the agent's own name for it.
    pub model: Option<String>,
    /// Commands before the agent (default: the repository's, else the project's).
    #[schemars(length(max = MAX_COMMANDS))]
    pub setup: Option<Vec<String>>,
    /// Commands that check the work (default: the repository's, else the project's).
    #[schemars(length(max = MAX_COMMANDS))]
    pub checks: Option<Vec<String>>,
    /// Limits of each job, not above the project's.
    pub limits: StepLimits,
    /// Whether the agent may change files (default: workspace_write).
    pub sandbox: Option<StepSandbox>,
    /// Whether an unchanged tree is a failure (default: required).
    pub changes: Option<StepChanges>,
    /// Branch of the step's commit (default: shared).
    pub branch: Option<StepBranch>,
    /// Words of which the agent chooses one, for `when` of later steps.
    #[schemars(length(min = 2, max = 8))]
    pub outcomes: Option<Vec<String>>,
    /// Further jobs after failures of a machine, a provider, an agent or a check (default: 0).
    #[schemars(range(max = 5))]
    pub retries: Option<u32>,
    /// Whether the run continues after a failure as if the step were done (default: false).
    pub allow_failure: Option<bool>,
    /// Steps that the agent may add to the run.
    pub spawn: Option<SpawnLimits>,
}

/// A limit of a newer program is refused, because a step without it could cost more.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StepLimits {
    /// Time of a job, such as 30m or 2h.
    pub wall: Option<String>,
    /// Time without an event of the agent, such as 10m.
    pub stall: Option<String>,
    /// Turns of the agent.
    #[schemars(range(min = 1, max = 10_000))]
    pub turns: Option<u32>,
    /// Cost of a job in US dollars.
    pub cost_usd: Option<Number>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StepSandbox {
    /// The agent changes files, and Pullyard publishes the change.
    WorkspaceWrite,
    /// The agent answers and changes nothing.
    ReadOnly,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StepChanges {
    /// An unchanged tree is a failure.
    Required,
    /// An unchanged tree completes the step.
    Optional,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StepBranch {
    /// One commit on the branch of the run.
    Shared,
    /// A branch of its own, which later steps receive as a patch.
    Own,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct SpawnLimits {
    /// Steps in one turn (default: 8).
    #[schemars(range(min = 1, max = MAX_STEPS))]
    pub most: u32,
    /// Turns of the agent that adds them, of which the last adds none (default: 5).
    #[schemars(range(min = 2, max = 20))]
    pub turns: u32,
    /// Roles of the added steps (default: implementer).
    #[schemars(length(min = 1, max = 20))]
    pub roles: Vec<String>,
}

impl Default for SpawnLimits {
    fn default() -> Self {
        Self { most: 8, turns: 5, roles: vec!["implementer".into()] }
    }
}

/// A fault of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PlanFault {
    /// JSON pointer, in a request that of its body: `/plan/steps/3/needs/0`, `/params/task`, `/repository`.
    pub pointer: String,
    /// The fault, without the end of a sentence.
    pub fault: String,
}

impl PlanFault {
    pub fn new(pointer: impl Into<String>, fault: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), fault: fault.into() }
    }
}

impl std::fmt::Display for PlanFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.pointer.as_str() {
            "" => f.write_str(&self.fault),
            pointer => write!(f, "{} at `{pointer}`", self.fault),
        }
    }
}

impl Plan {
    /// Parses a plan and checks all rules that need no project.
    ///
    /// Errors: all faults of form, or all breaches of the other rules if the form has no fault; 1 to `MAX_FAULTS`.
    pub fn parse(mut json: Value) -> Result<Self, Vec<PlanFault>> {
        shape::check_size(&json).map_err(|fault| vec![fault])?;
        let faults = shape::check_form(&json);
        if !faults.is_empty() {
            return Err(faults);
        }
        let from_parameters = parameter::take_keys(&mut json);
        let unreadable = |error| vec![PlanFault::new("", format!("the plan is unreadable: {error}"))];
        let mut plan = Self { from_parameters, ..serde_json::from_value(json).map_err(unreadable)? };
        let mut faults = check::check(&plan);
        faults.extend(parameter::check(&plan));
        faults.truncate(MAX_FAULTS);
        if !faults.is_empty() {
            return Err(faults);
        }
        // A later version of the program does not change the roles of a run.
        let built_in = BUILT_IN_ROLES.into_iter().filter_map(|name| Some((name.to_owned(), built_in_role(name)?)));
        plan.roles.extend(built_in);
        Ok(plan)
    }

    pub fn find_step(&self, name: &str) -> Option<&PlanStep> {
        self.steps.iter().find(|step| step.name == name)
    }

    pub(crate) fn find_role(&self, name: &str) -> Option<Role> {
        self.roles.get(name).cloned().or_else(|| built_in_role(name))
    }

    /// The keys of a step: its own, then those of its role, then the defaults. A step that only reads has no commands.
    pub fn resolve(&self, step: &PlanStep) -> StepKeys {
        let role = step.role.as_deref().and_then(|name| self.find_role(name)).unwrap_or_default();
        let mut resolved = step.keys.clone().or(role.keys).or(self.defaults.clone());
        if step.approve.is_some() {
            (resolved.outcomes, resolved.branch) = (None, None);
        }
        if resolved.is_read_only() {
            (resolved.setup, resolved.checks) = (None, None);
        }
        resolved
    }

    /// The keys of a step that a manager adds.
    pub fn resolve_spawned(&self, role: &Role) -> StepKeys {
        let keys = role.keys.clone().or(self.defaults.clone());
        // The roles of added steps are checked one by one, and `defaults` sets the limits of managers alone.
        StepKeys { branch: Some(StepBranch::Own), spawn: role.keys.spawn.clone(), ..keys }
    }

    pub fn concurrency_limit(&self) -> usize {
        self.concurrency_limit.map_or(4, |limit| usize::try_from(limit).unwrap_or(MAX_STEPS))
    }

    pub fn wall_limit(&self) -> Duration {
        let wall = self.limits.wall.as_deref().and_then(parse_wall);
        wall.unwrap_or(Duration::from_secs(24 * 3_600))
    }

    pub fn cost_limit_usd_micros(&self) -> Option<u64> {
        self.limits.cost_usd.as_ref().and_then(parse_cost)
    }
}

impl StepKeys {
    fn or(self, other: Self) -> Self {
        Self {
            agent: self.agent.clone().or_else(|| other.agent.clone()),
            // A model belongs to the agent that is set with it.
            model: if self.agent.is_some() { self.model } else { self.model.or(other.model) },
            setup: self.setup.or(other.setup),
            checks: self.checks.or(other.checks),
            limits: StepLimits {
                wall: self.limits.wall.or(other.limits.wall),
                stall: self.limits.stall.or(other.limits.stall),
                turns: self.limits.turns.or(other.limits.turns),
                cost_usd: self.limits.cost_usd.or(other.limits.cost_usd),
            },
            sandbox: self.sandbox.or(other.sandbox),
            changes: self.changes.or(other.changes),
            branch: self.branch.or(other.branch),
            outcomes: self.outcomes.or(other.outcomes),
            retries: self.retries.or(other.retries),
            allow_failure: self.allow_failure.or(other.allow_failure),
            spawn: self.spawn.or(other.spawn),
        }
    }

    pub fn is_read_only(&self) -> bool {
        self.sandbox == Some(StepSandbox::ReadOnly)
    }

    pub fn cost_usd_micros(&self) -> Option<u64> {
        self.limits.cost_usd.as_ref().and_then(parse_cost)
    }
}

impl StepLimits {
    /// The lower of both limits. An invalid one of `self` stays, so that it is refused.
    pub(crate) fn at_most(self, most: Self) -> Self {
        let time =
            |own: Option<String>, most: Option<String>| own.into_iter().chain(most).min_by_key(|text| parse_wall(text));
        Self {
            wall: time(self.wall, most.wall),
            stall: time(self.stall, most.stall),
            turns: self.turns.into_iter().chain(most.turns).min(),
            cost_usd: self.cost_usd.into_iter().chain(most.cost_usd).min_by_key(parse_cost),
        }
    }
}

fn parse_wall(text: &str) -> Option<Duration> {
    parse_seconds(text, "mhd").map(Duration::from_secs)
}

/// Dollars from one cent to 1,000. Units of the result: millionths of a US dollar.
fn parse_cost(dollars: &Number) -> Option<u64> {
    parse_usd_micros(&dollars.to_string()).ok().filter(|micros| (10_000..=1_000_000_000).contains(micros))
}

#[cfg(test)]
mod tests;
