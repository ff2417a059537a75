//! A project's settings, its repositories and the forges they live on.

mod check;
mod defaults;

pub use crate::setting_fault::SettingFault;
pub use check::check_change;

use crate::agent::{Agent, ModelSecrets};
use crate::auth::Auth;
use crate::budget::Budget;
use crate::checks::{Checks, OwnCommands, Setup};
use crate::commands::CommandPolicy;
use crate::commits::Commits;
use crate::id::{IntegrationId, ProjectId, RepositoryName};
use crate::task::{TaskCapacity, TaskSize};
use crate::text::clipped;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::time::Duration;

/// How long a job stands still before it is ended, where its project says nothing else: a week.
pub const REST_AT_MOST: Duration = Duration::from_secs(7 * 24 * 3_600);

/// The longest reason for a hold. Units: characters.
pub const LONGEST_HOLD: usize = 200;

/// The longest name of who holds a project. Units: characters.
const LONGEST_NAME: usize = 64;

/// A project.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Project {
    /// Its short name.
    pub id: ProjectId,
    /// Its name for people.
    pub name: String,
    /// How it works.
    pub settings: Settings,
    /// Raised by every write; a change names the revision it saw.
    pub rev: u64,
}

/// How a project works. The defaults are the published ones.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The ticket statuses that mean something.
    pub statuses: Statuses,
    /// A ticket that enters the trigger status gets a job.
    pub auto_create: bool,
    /// A review that requests changes gets a job that revises the pull request.
    pub revise_on_review: bool,
    /// Reviews that come while a job runs, or within the hour after a revision began, wait and are covered by one job.
    pub coalesce: bool,
    /// Where jobs run.
    pub compute: Compute,
    /// How big the Fargate tasks of new jobs are.
    pub task_size: TaskSize,
    /// Which capacity the Fargate tasks of new jobs are started on.
    pub task_capacity: TaskCapacity,
    /// The repository of tickets that name none.
    pub default_repository: Option<RepositoryName>,
    /// The agent of its repositories that name none: `claude_code`, `codex` or `auto`. None is `auto`, whichever of
    /// the two is installed where a job runs.
    pub agent: Option<String>,
    /// The model of that agent, as the agent names it; its own default if none.
    pub model: Option<String>,
    /// What a job may use up.
    pub limits: Limits,
    /// What becomes of a job whose runner died while the agent worked.
    pub offline: OfflinePolicy,
    /// What becomes of a job where its agent's session can't be found again, after a rest or while it works.
    pub resume: Resume,
    /// Nothing new starts while set; who set it.
    pub held_by: Option<String>,
    /// Why it is held, in that person's words.
    pub held_reason: Option<String>,
    /// What its jobs may use up on each day.
    pub budget: Budget,
    /// Our account in the ticket tool: what it does is our own echo.
    pub tool_account: Option<String>,
    /// The secrets that agents prove themselves with to their models, by what they are. A runner uses those of
    /// its own environment where none is named here.
    pub model_secrets: ModelSecrets,
    /// What is run before the agent, where the repository has nothing of its own.
    pub setup: Setup,
    /// What is run on the agent's work, where the repository has nothing of its own.
    pub checks: Checks,
    /// Which commands may stand among them.
    pub command_policy: CommandPolicy,
    /// Whose name stands on commits, and which key signs them.
    pub commits: Commits,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            statuses: Statuses::default(),
            auto_create: false,
            revise_on_review: false,
            coalesce: true,
            compute: Compute::Fargate,
            task_size: TaskSize::Medium,
            task_capacity: TaskCapacity::Fargate,
            default_repository: None,
            agent: None,
            model: None,
            limits: Limits::default(),
            offline: OfflinePolicy::Fail,
            resume: Resume::Prefer,
            held_by: None,
            held_reason: None,
            budget: Budget::default(),
            tool_account: None,
            model_secrets: ModelSecrets::default(),
            setup: Setup::default(),
            checks: Checks::default(),
            command_policy: CommandPolicy::default(),
            commits: Commits::default(),
        }
    }
}

/// The ticket statuses that mean something, in the ticket tool's spelling.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Statuses {
    /// Where tickets go back to when the work failed.
    pub todo: String,
    /// Entering it makes a job.
    pub trigger: String,
    /// Where tickets go when the work is done.
    pub completion: String,
    /// A ticket in one of these is closed: reviews of its pull request start nothing.
    pub closed: BTreeSet<String>,
}

impl Default for Statuses {
    fn default() -> Self {
        Self {
            todo: "Todo".into(),
            trigger: "AI Processing".into(),
            completion: "In Review".into(),
            closed: ["Closed".to_owned(), "Done".to_owned()].into(),
        }
    }
}

impl Statuses {
    /// A ticket in this status is closed. A status that means something else here is not.
    pub fn is_closed(&self, status: &str) -> bool {
        let used = [&self.todo, &self.trigger, &self.completion];
        self.closed.contains(status) && !used.iter().any(|used| *used == status)
    }
}

/// Where a project's jobs run.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compute {
    /// One Fargate task per attempt.
    Fargate,
    /// Runners of the project's own claim them.
    Runners,
}

/// What a job may use up.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// From the claim to the end. Units: seconds.
    pub wall_secs: u64,
    /// Without any event from the agent. Units: seconds.
    pub stall_secs: u64,
    /// How often a platform fault may put a job back.
    pub requeues: u32,
    /// Of one attempt, by the agent's own count. None is no limit. Units: millionths of a US dollar.
    pub cost_usd_micros: Option<u64>,
    /// Requests to the model in one attempt. None is no limit.
    pub turns: Option<u32>,
    /// Of the attempt's work folder. None is no limit. Units: MiB.
    pub disk_mib: Option<u64>,
    /// How long a job may wait for an answer or stay paused. Units: seconds.
    pub input_secs: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            wall_secs: 3_600,
            stall_secs: 900,
            requeues: 2,
            cost_usd_micros: None,
            turns: None,
            disk_mib: None,
            input_secs: REST_AT_MOST.as_secs(),
        }
    }
}

/// What becomes of a job whose runner died while the agent worked.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OfflinePolicy {
    /// It fails, and the ticket says so.
    Fail,
    /// It goes back, as often as the limit allows.
    Requeue,
}

/// What becomes of a job where its agent's session can't be found again, after a rest or while it works.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resume {
    /// Its agent begins anew, is told what was asked and answered, and its log says so.
    #[default]
    Prefer,
    /// It fails.
    Require,
}

/// The kinds of forge that can be connected.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ForgeKind {
    /// github.com or GitHub Enterprise Server.
    #[serde(rename = "github")]
    GitHub,
    /// Bitbucket Cloud; a Data Center speaks another language.
    #[serde(rename = "bitbucket")]
    Bitbucket,
}

impl ForgeKind {
    /// As people read it.
    pub fn words(self) -> &'static str {
        match self {
            Self::GitHub => "GitHub",
            Self::Bitbucket => "Bitbucket",
        }
    }

    /// As it is written on the wire and on command lines.
    pub fn code(self) -> &'static str {
        match self {
            Self::GitHub => "github",
            Self::Bitbucket => "bitbucket",
        }
    }

    /// For what is stored without it.
    pub(crate) fn is_github(&self) -> bool {
        *self == Self::GitHub
    }

    /// The kind of this name.
    pub fn of_code(code: &str) -> Option<Self> {
        [Self::GitHub, Self::Bitbucket].into_iter().find(|kind| kind.code() == code)
    }

    /// The REST base that is meant where none is named.
    pub fn usual_api_url(self) -> &'static str {
        match self {
            Self::GitHub => "https://api.github.com",
            Self::Bitbucket => "https://api.bitbucket.org/2.0",
        }
    }

    /// The forge whose API is at this address, as people read it. One on this machine, as the demo's is, only speaks
    /// as this kind does.
    pub fn at(self, api_url: &str) -> String {
        let address = api_url.split_once("://").map_or(api_url, |(_, address)| address);
        let authority = address.split('/').next().unwrap_or_default();
        let host = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, _)) => host,
            None => authority.split(':').next().unwrap_or_default(),
        };
        let is_ours = |host: &str| host.starts_with("127.") && host.chars().all(|c| c == '.' || c.is_ascii_digit());
        match (self, host) {
            (_, "localhost" | "::1") => "The local forge".into(),
            (_, host) if is_ours(host) => "The local forge".into(),
            (Self::GitHub, "api.github.com") | (Self::Bitbucket, "api.bitbucket.org") => self.words().into(),
            (_, host) => format!("{} at {host}", self.words()),
        }
    }

    /// Whether one person asks for changes of a pull request once at a time: whoever asks again took back what they had
    /// asked before, or a push did, and says it with their next request.
    pub fn has_one_request_each(self) -> bool {
        match self {
            Self::GitHub => false,
            Self::Bitbucket => true,
        }
    }

    /// Whether it says what became of its deliveries, and makes one again that did not arrive.
    pub fn lists_deliveries(self) -> bool {
        match self {
            Self::GitHub => true,
            Self::Bitbucket => false,
        }
    }
}

/// A connected forge. It holds the names of its secrets, never a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "StoredIntegration")]
pub struct Integration {
    /// Its short name.
    pub id: IntegrationId,
    /// What it is.
    pub kind: ForgeKind,
    /// The REST base, without a trailing slash.
    pub api_url: String,
    /// How we prove who we are.
    pub auth: Auth,
    /// Our account there, an App's bot for one: its reviews never start a job.
    pub account: Account,
}

/// An integration as it may have been stored: before there were Apps, its token's secret stood alone.
#[derive(Deserialize)]
struct StoredIntegration {
    id: IntegrationId,
    kind: ForgeKind,
    api_url: String,
    #[serde(default)]
    auth: Option<Auth>,
    #[serde(default)]
    token_secret: Option<String>,
    account: Account,
}

impl TryFrom<StoredIntegration> for Integration {
    type Error = &'static str;

    fn try_from(stored: StoredIntegration) -> Result<Self, &'static str> {
        let StoredIntegration { id, kind, api_url, auth, token_secret, account } = stored;
        let auth = auth.or(token_secret.map(|secret| Auth::Token { secret }));
        Ok(Self { id, kind, api_url, auth: auth.ok_or("it names no secret")?, account })
    }
}

/// Who a token belongs to at its forge.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The forge's id; may pass 2^53. On Bitbucket made of its UUID.
    pub id: u64,
    /// The name it shows.
    pub login: String,
}

impl Account {
    /// Of a token that its forge lets in without saying whose it is, as Bitbucket does with access tokens.
    pub fn untold() -> Self {
        Self { id: 0, login: "access token".into() }
    }

    /// Whether both may be the same: what is not told contradicts nothing.
    pub fn may_be(&self, other: &Self) -> bool {
        let is_untold = |account: &Self| account.id == 0;
        self.id == other.id || is_untold(self) || is_untold(other)
    }

    /// Whether it may have written what is of this author: of one that is not told, nobody knows.
    pub fn may_have_written(&self, author: u64) -> bool {
        self.may_be(&Self { id: author, login: String::new() })
    }
}

/// A repository connected to a project.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repository {
    /// Its project.
    pub project: ProjectId,
    /// The forge it lives on.
    pub integration: IntegrationId,
    /// The forge's id of it, which survives renames; may pass 2^53. On Bitbucket made of its UUID.
    pub id: u64,
    /// `owner/name` as the forge spells it; on Bitbucket `workspace/slug`.
    pub name: RepositoryName,
    /// The branch that work starts from and goes to.
    pub default_branch: String,
    /// For git over HTTPS.
    pub clone_url: String,
    /// The agent that works on it, or that its project chooses.
    pub agent: Agent,
    /// Jobs may change the files under `.github/workflows`, which run with the repository's own secrets.
    #[serde(default)]
    pub workflows: bool,
    /// What is run around its agent, if not what its project says.
    #[serde(default, skip_serializing_if = "OwnCommands::is_none")]
    pub commands: OwnCommands,
}

impl Repository {
    /// The repository as new jobs of a project with these settings have it: with the agent that works in the end.
    pub fn under(self, settings: &Settings) -> Self {
        Self { agent: self.agent.under(settings), ..self }
    }
}

impl Settings {
    /// Refuses settings that could not work: a todo or completion status that is the trigger status
    /// would make every write-back start the next job, for ever.
    pub fn check(&self) -> Result<(), SettingFault> {
        let fault = |pointer, fault: &'static str| Err(SettingFault { pointer, fault: fault.into() });
        let named = |status: &str| {
            !status.trim().is_empty() && status.chars().count() <= 64 && !status.chars().any(char::is_control)
        };
        let Statuses { todo, trigger, completion, closed } = &self.statuses;
        if !named(todo) {
            return fault("/statuses/todo", "a status is 1 to 64 printable characters");
        }
        if !named(trigger) {
            return fault("/statuses/trigger", "a status is 1 to 64 printable characters");
        }
        if !named(completion) {
            return fault("/statuses/completion", "a status is 1 to 64 printable characters");
        }
        if closed.len() > 20 || !closed.iter().all(|status| named(status)) {
            return fault("/statuses/closed", "name at most 20 statuses of 1 to 64 printable characters");
        }
        if todo == trigger {
            return fault("/statuses/todo", "it is the trigger status; a failed job would start the next one for ever");
        }
        if completion == trigger {
            return fault(
                "/statuses/completion",
                "it is the trigger status; a finished job would start the next one for ever",
            );
        }
        if !self.held_by.as_deref().is_none_or(named) {
            return fault("/held_by", "use 1 to 64 printable characters");
        }
        let said = |words: &str| {
            !words.trim().is_empty() && words.chars().count() <= LONGEST_HOLD && !words.chars().any(char::is_control)
        };
        if !self.held_reason.as_deref().is_none_or(said) {
            return fault("/held_reason", "use 1 to 200 printable characters");
        }
        if !self.tool_account.as_deref().is_none_or(named) {
            return fault("/tool_account", "use 1 to 64 printable characters");
        }
        if !(60..=86_400).contains(&self.limits.wall_secs) {
            return fault("/limits/wall_secs", "use 60 to 86400 seconds");
        }
        if !(10..=86_400).contains(&self.limits.stall_secs) {
            return fault("/limits/stall_secs", "use 10 to 86400 seconds");
        }
        if self.limits.requeues > 10 {
            return fault("/limits/requeues", "use 0 to 10");
        }
        if self.limits.cost_usd_micros.is_some_and(|most| !(10_000..=1_000_000_000).contains(&most)) {
            return fault("/limits/cost_usd_micros", "use 10000 (a cent) to 1000000000 (1,000 dollars), or null");
        }
        if self.limits.turns.is_some_and(|most| !(1..=10_000).contains(&most)) {
            return fault("/limits/turns", "use 1 to 10000, or null");
        }
        if self.limits.disk_mib.is_some_and(|most| !(16..=1_048_576).contains(&most)) {
            return fault("/limits/disk_mib", "use 16 to 1048576 MiB, or null");
        }
        if !(60..=2_592_000).contains(&self.limits.input_secs) {
            return fault("/limits/input_secs", "use 60 to 2592000 seconds (30 days)");
        }
        check::agent(self)?;
        check::commands(self)?;
        check::commits(self)?;
        self.budget.check()
    }

    /// The settings with nothing that means nothing: a reason without a hold.
    pub fn tidied(self) -> Self {
        if self.held_by.is_some() { self } else { self.released() }
    }

    /// The settings of the project while it is held. Whoever held it first is named.
    pub fn held(mut self, by: &str, reason: &str) -> Self {
        if self.held_by.is_none() {
            (self.held_by, self.held_reason) = (Some(clipped(by, LONGEST_NAME)), Some(reason.to_owned()));
        }
        self
    }

    /// The settings of the project once it is released.
    pub fn released(self) -> Self {
        Self { held_by: None, held_reason: None, ..self }
    }
}

#[cfg(test)]
mod tests;
