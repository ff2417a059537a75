//! A project's settings, its repositories and their forges.

pub mod access;
pub mod budget;
mod check;
mod columns;
pub mod commits;
mod defaults;
pub(crate) mod endpoint;
pub mod forge;
pub mod hook;
pub mod labels;
pub mod naming;
pub(crate) mod notice_event;
pub mod plan;
mod priority;
pub mod schedule;
pub mod secret;
mod source;
pub mod spending;
pub mod task;
pub mod template;
pub mod token;
mod tool_choice;
pub mod tracker;
pub mod usage;

pub use crate::text::setting_fault::SettingFault;
pub use check::validate_change;
pub use columns::ColumnChange;
pub use priority::{PRIORITY_OFFSET, Priority};
pub use source::Source;
pub use tool_choice::ToolChoice;

use crate::agent::checks::{Checks, CommandOverrides, Setup};
use crate::agent::commands::CommandPolicy;
use crate::agent::{Agent, ModelSecrets};
use crate::project::budget::{Budget, MAX_USD_MICROS, format_usd};
use crate::project::commits::CommitSettings;
use crate::project::task::{TaskCapacity, TaskSize};
use crate::project::tracker::TrackerSettings;
use crate::text::id::{IntegrationId, ProjectId, RepositoryName};
use crate::text::setting_fault::fault;
use crate::text::{is_line, truncate};
use endpoint::Endpoint;
use labels::{FORGE_TOKEN_LABEL, check_labels};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::time::Duration;

/// The largest limit of a project's running jobs.
const MAX_PROJECT_LIMIT: u32 = 500;
/// The largest limit of a repository's running jobs.
pub const MAX_REPOSITORY_LIMIT: u32 = 100;

pub const DEFAULT_SUSPENSION_LIMIT: Duration = Duration::from_secs(7 * 24 * 3_600);

/// Shortest wait after which an unclaimed job fails: three starts of a task take as long.
const MIN_UNCLAIMED_SECS: u64 = 900;

/// How long a job may stay Ready before it fails, if its project states no other time.
pub const DEFAULT_UNCLAIMED_LIMIT: Duration = Duration::from_secs(24 * 3_600);

pub const MAX_HOLD_REASON_CHARS: usize = 200;

const MAX_HOLDER_CHARS: usize = 64;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Project {
    /// The short name.
    pub id: ProjectId,
    /// The display name.
    pub name: String,
    pub settings: Settings,
    /// The highest number of a deleted ticket `PROJECT-NUMBER`, because its jobs and branches remain.
    #[serde(default)]
    pub deleted_number: u64,
    /// Raised by every write. A change names the revision that it is based on.
    pub rev: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The columns of the board, and the ticket statuses with a meaning for Pullyard.
    #[serde(deserialize_with = "columns::deserialize_statuses")]
    pub statuses: Statuses,
    /// Whether a ticket that enters the trigger status gets a job.
    pub auto_create: bool,
    /// Whether a review that requests changes gets a job that revises the pull request.
    pub revise_on_review: bool,
    /// Whether reviews wait for the running job, and for an hour after a revision began. One job covers all of them.
    pub coalesce: bool,
    /// Reviews of pull requests by agents.
    pub review: AgentReviewSettings,
    pub compute: Compute,
    /// Time in the queue after which a task runs a job, with `compute=runners_then_fargate`. Units: seconds.
    pub overflow_after_secs: u64,
    /// The size of new jobs' Fargate tasks.
    pub task_size: TaskSize,
    /// The capacity of new jobs' Fargate tasks.
    pub task_capacity: TaskCapacity,
    /// Labels that each job requires of its self-hosted runner.
    pub labels: BTreeSet<String>,
    /// The repository for tickets that name none.
    pub default_repository: Option<RepositoryName>,
    /// The agent of repositories that name none: its code (docs/agents.md lists them) or `auto`. None means
    /// `auto`: the first that is installed where a job runs and has a key.
    pub agent: Option<String>,
    /// The model of that agent, in the agent's spelling. None means the agent's default.
    pub model: Option<String>,
    /// Limits of a job.
    pub limits: Limits,
    pub analysis: AnalysisSettings,
    pub offline: OfflinePolicy,
    pub resume: Resume,
    /// The user who holds the project. A held project starts no jobs.
    pub held_by: Option<String>,
    /// The holder's reason.
    pub held_reason: Option<String>,
    /// The daily budget of all jobs.
    pub budget: Budget,
    /// Our account in the ticket tool. Its events are echoes of our own changes.
    pub tool_account: Option<String>,
    /// The ticket tool that Pullyard calls. None: the board, or a tool that only sends events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tracker: Option<TrackerSettings>,
    /// The secrets that authenticate agents to their models, by kind. For other kinds, a runner uses its environment.
    pub model_secrets: ModelSecrets,
    /// Commands that run before the agent, unless the repository has its own.
    pub setup: Setup,
    /// Commands that check the agent's work, unless the repository has its own.
    pub checks: Checks,
    /// The commands that are allowed in `setup` and `checks`.
    pub command_policy: CommandPolicy,
    /// What sandboxed agents and commands may connect to, besides the model: domains and registries.
    pub egress: Vec<String>,
    /// The author of commits and the key that signs them.
    pub commits: CommitSettings,
    /// The endpoints that receive notices about jobs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notifications: Vec<Endpoint>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            statuses: Statuses::default(),
            auto_create: false,
            revise_on_review: true,
            coalesce: true,
            review: AgentReviewSettings::default(),
            compute: Compute::Fargate,
            overflow_after_secs: 120,
            task_size: TaskSize::Medium,
            task_capacity: TaskCapacity::Fargate,
            labels: BTreeSet::new(),
            default_repository: None,
            agent: None,
            model: None,
            limits: Limits::default(),
            analysis: AnalysisSettings::default(),
            offline: OfflinePolicy::Fail,
            resume: Resume::Prefer,
            held_by: None,
            held_reason: None,
            budget: Budget::default(),
            tool_account: None,
            tracker: None,
            model_secrets: ModelSecrets::default(),
            setup: Setup::default(),
            checks: Checks::default(),
            command_policy: CommandPolicy::default(),
            egress: Vec::new(),
            commits: CommitSettings::default(),
            notifications: Vec::new(),
        }
    }
}

/// The columns of the board, and the ticket statuses with a meaning for Pullyard, in the ticket tool's spelling.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Statuses {
    /// The status after a failed or cancelled job.
    pub todo: String,
    /// The status that starts a job when a ticket enters it.
    pub trigger: String,
    /// The status after a completed job.
    pub completion: String,
    /// The status after the merge of the ticket's pull request, if the ticket is still in `completion`. None: `Done`, if
    /// that is a column.
    pub merged: Option<String>,
    /// The status after a close without a merge, if the ticket is still in `completion`. None: `todo`.
    pub unmerged: Option<String>,
    /// Statuses of closed tickets: reviews of their pull requests start no job.
    pub closed: BTreeSet<String>,
    /// The board's columns in their order. Absent or empty: the statuses with a meaning, and `allow_others` is true.
    #[serde(default)]
    pub columns: Vec<String>,
    /// Whether tickets may have a status that is no column. The board shows it after the columns.
    #[serde(default)]
    pub allow_others: bool,
}

impl Default for Statuses {
    fn default() -> Self {
        Self {
            todo: "Todo".into(),
            trigger: "AI Processing".into(),
            completion: "In Review".into(),
            merged: None,
            unmerged: None,
            closed: ["Closed".to_owned(), "Done".to_owned()].into(),
            columns: ["Todo", "AI Processing", "In Review", "Done", "Closed"].map(str::to_owned).into(),
            allow_others: false,
        }
    }
}

/// Reviews of pull requests by agents.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AgentReviewSettings {
    pub when: ReviewWhen,
}

/// The events after which an agent reviews a pull request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReviewWhen {
    /// A user's request.
    #[default]
    Asked,
    /// The pull request was opened.
    Opened,
    /// A commit was pushed to it.
    Pushed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Compute {
    /// One Fargate task per attempt.
    Fargate,
    /// Self-hosted runners claim the jobs.
    Runners,
    /// Self-hosted runners claim the jobs. A task runs a job without labels that no runner has claimed in time.
    RunnersThenFargate,
}

impl Compute {
    pub fn uses_runners(self) -> bool {
        self != Self::Fargate
    }

    pub fn uses_tasks(self) -> bool {
        self != Self::Runners
    }
}

/// Limits of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Time from the claim to the end. Units: seconds.
    pub wall_secs: u64,
    /// Time without an event from the agent. Units: seconds.
    pub stall_secs: u64,
    /// How often a job is requeued after platform faults.
    pub requeues: u32,
    /// Cost of one attempt, by the sandbox's proxy or the agent. None: half of what the job reserved of its ticket's
    /// limit. Units: millionths of a US dollar.
    pub cost_usd_micros: Option<u64>,
    /// Requests to the model in one attempt. None means no limit.
    pub turns: Option<u32>,
    /// Time that a job may wait for an answer or stay paused. Units: seconds.
    pub input_secs: u64,
    /// Time after which a job fails that no runner has claimed and no task has started. Units: seconds.
    pub unclaimed_secs: u64,
    /// Jobs of the project that run at once; further ones wait. None means no limit.
    pub running_jobs: Option<u32>,
    /// Money that all jobs of a ticket may use; at least `budget.usd_micros_per_job` applies. Null means no limit.
    /// Units: millionths of a US dollar.
    pub ticket_usd_micros: Option<u64>,
    /// Jobs that a ticket may have. Null means no limit.
    pub ticket_jobs: Option<u32>,
}

const DEFAULT_TICKET_USD_MICROS: u64 = 50_000_000;

impl Default for Limits {
    fn default() -> Self {
        Self {
            wall_secs: 3_600,
            stall_secs: 900,
            requeues: 2,
            cost_usd_micros: None,
            turns: None,
            input_secs: DEFAULT_SUSPENSION_LIMIT.as_secs(),
            unclaimed_secs: DEFAULT_UNCLAIMED_LIMIT.as_secs(),
            running_jobs: None,
            ticket_usd_micros: Some(DEFAULT_TICKET_USD_MICROS),
            ticket_jobs: Some(20),
        }
    }
}

impl Limits {
    pub fn max_unclaimed(&self) -> Duration {
        Duration::from_secs(self.unclaimed_secs)
    }
}

/// Analyses of pull requests and issues.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AnalysisSettings {
    /// An analysis starts no agent that would exceed it. Units: millionths of a US dollar.
    pub cost_usd_micros: u64,
}

impl Default for AnalysisSettings {
    fn default() -> Self {
        Self { cost_usd_micros: 1_000_000 }
    }
}

/// The effect of a runner's death while the agent works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OfflinePolicy {
    Fail,
    /// The job is requeued, up to the limit.
    Requeue,
}

/// The effect of a lost agent session, after a suspension or during the work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Resume {
    /// The agent starts a new session with the questions and answers so far. The job's log records this.
    #[default]
    Prefer,
    /// The job fails.
    Require,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Repository {
    pub project: ProjectId,
    /// The forge of the repository.
    pub integration: IntegrationId,
    /// The forge's id, which survives renames; may exceed 2^53. Derived from the UUID if the forge has no numbers.
    pub id: u64,
    /// `owner/name`, or `workspace/slug`, in the forge's spelling.
    pub name: RepositoryName,
    /// The base of new work and of its pull requests.
    pub default_branch: String,
    /// The URL for git over HTTPS.
    pub clone_url: String,
    /// The agent of the repository, or the marker that its project chooses one.
    pub agent: Agent,
    /// Whether jobs may change files in `.github/workflows`, which run with the repository's secrets.
    #[serde(default)]
    pub workflows: bool,
    /// Commands around the agent that replace the project's.
    #[serde(default, skip_serializing_if = "CommandOverrides::is_none")]
    pub commands: CommandOverrides,
    /// Jobs that run at once, besides the project's limit. None means no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running_jobs: Option<u32>,
    /// Labels that its jobs require of a self-hosted runner, besides the project's. With `forge-token`, attempts use the
    /// runner's token of the forge.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub labels: BTreeSet<String>,
}

impl Repository {
    /// Whether its attempts use the forge's token of their runner, and get none of the control plane.
    pub fn uses_runner_token(&self) -> bool {
        self.labels.contains(FORGE_TOKEN_LABEL)
    }

    pub fn resolve_agent(self, settings: &Settings) -> Self {
        Self { agent: self.agent.resolve(settings), ..self }
    }
}

impl Settings {
    pub fn overflow_after(&self) -> Duration {
        Duration::from_secs(self.overflow_after_secs)
    }

    /// The settings with the project's only repository as default; `None` if it has a default or other repositories.
    pub fn with_only_repository(&self, repositories: &[Repository]) -> Option<Self> {
        match repositories {
            [only] if self.default_repository.is_none() => {
                Some(Self { default_repository: Some(only.name.clone()), ..self.clone() })
            }
            _ => None,
        }
    }

    pub fn validate(&self) -> Result<(), SettingFault> {
        self.statuses.validate()?;
        if !self.held_by.as_deref().is_none_or(columns::is_name) {
            return fault("/held_by", "use 1 to 64 printable characters");
        }
        if !self.held_reason.as_deref().is_none_or(|reason| is_line(reason, MAX_HOLD_REASON_CHARS)) {
            return fault("/held_reason", "use 1 to 200 printable characters");
        }
        if !self.tool_account.as_deref().is_none_or(columns::is_name) {
            return fault("/tool_account", "use 1 to 64 printable characters");
        }
        self.tracker.as_ref().map_or(Ok(()), TrackerSettings::validate)?;
        let limits = &self.limits;
        let (requeues, turns) = (Some(u64::from(limits.requeues)), limits.turns.map(u64::from));
        let running = limits.running_jobs.map(u64::from);
        let cost_rule = "use $0.01 to $1,000 (10000 to 1000000000 millionths), or no limit";
        let ticket_rule = "use $0.01 to $1,000,000 (10000 to 1000000000000 millionths), or no limit";
        for (pointer, limit, allowed, rule) in [
            ("/limits/wall_secs", Some(limits.wall_secs), 60..=86_400, "use 60 to 86400 seconds (24 hours)"),
            ("/limits/stall_secs", Some(limits.stall_secs), 10..=86_400, "use 10 to 86400 seconds (24 hours)"),
            ("/limits/requeues", requeues, 0..=10, "use 0 to 10"),
            ("/limits/cost_usd_micros", limits.cost_usd_micros, 10_000..=1_000_000_000, cost_rule),
            ("/analysis/cost_usd_micros", Some(self.analysis.cost_usd_micros), 10_000..=1_000_000_000, cost_rule),
            ("/limits/ticket_usd_micros", limits.ticket_usd_micros, 10_000..=MAX_USD_MICROS, ticket_rule),
            ("/limits/ticket_jobs", limits.ticket_jobs.map(u64::from), 1..=10_000, "use 1 to 10000, or no limit"),
            ("/limits/turns", turns, 1..=10_000, "use 1 to 10000, or no limit"),
            ("/limits/running_jobs", running, 1..=u64::from(MAX_PROJECT_LIMIT), "use 1 to 500, or no limit"),
            (
                "/limits/unclaimed_secs",
                Some(limits.unclaimed_secs),
                MIN_UNCLAIMED_SECS..=604_800,
                "use 900 to 604800 seconds (7 days)",
            ),
            ("/overflow_after_secs", Some(self.overflow_after_secs), 60..=3_600, "use 60 to 3600 seconds (1 hour)"),
            ("/limits/input_secs", Some(limits.input_secs), 60..=2_592_000, "use 60 to 2592000 seconds (30 days)"),
        ] {
            if limit.is_some_and(|limit| !allowed.contains(&limit)) {
                return fault(pointer, rule);
            }
        }
        // The default does not fail: the reservation of a job applies if it is more.
        let is_low = |limit| limit != DEFAULT_TICKET_USD_MICROS && limit < self.budget.usd_micros_per_job;
        if limits.ticket_usd_micros.is_some_and(is_low) {
            return fault(
                "/limits/ticket_usd_micros",
                format!("use at least the reservation of one job, {}", format_usd(self.budget.usd_micros_per_job)),
            );
        }
        let needed = self.overflow_after_secs + MIN_UNCLAIMED_SECS;
        if self.compute == Compute::RunnersThenFargate && limits.unclaimed_secs < needed {
            let rule = format!("at this `overflow_after_secs`, `limits.unclaimed_secs` must be at least {needed}");
            return fault("/overflow_after_secs", rule);
        }
        check_labels(&self.labels).or_else(|message| fault("/labels", message))?;
        if self.labels.contains(FORGE_TOKEN_LABEL) {
            return fault(
                "/labels",
                "use `pullyard repos set OWNER/NAME --credentials runner` in place of `forge-token`",
            );
        }
        check::validate_agent(self)?;
        check::validate_commands(self)?;
        check::validate_egress(self)?;
        check::validate_commits(self)?;
        Endpoint::validate_all(&self.notifications)?;
        self.budget.check()
    }

    pub fn normalize(self) -> Self {
        if self.held_by.is_some() { self } else { self.release() }
    }

    /// Holds the project. The first holder stays its holder.
    pub fn hold(mut self, by: &str, reason: &str) -> Self {
        if self.held_by.is_none() {
            (self.held_by, self.held_reason) = (Some(truncate(by, MAX_HOLDER_CHARS)), Some(reason.to_owned()));
        }
        self
    }

    pub fn release(self) -> Self {
        Self { held_by: None, held_reason: None, ..self }
    }
}

#[cfg(test)]
mod tests;
