//! Ticket tools, each with a row that states how its events differ.

mod board;
mod http;
mod issues;
mod jira;
mod linear;

use crate::project::Source;
use crate::project::hook::Ingress;
use crate::text::id::{IntegrationId, ProjectId, RepositoryName, TicketKey};
use crate::text::is_line;
use crate::text::setting_fault::{SettingFault, fault};
use crate::text::time::{Timestamp, WireTime};
use serde::{Deserialize, Serialize};
use std::time::Duration;

const MAX_STATUSES: usize = 60;

/// Minimum interval between two records of a working connection.
const RECORD_INTERVAL: Duration = Duration::from_secs(600);

/// The kind of a ticket tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TrackerKind {
    /// The issues of the project's repositories at a forge. The integration has the same name.
    #[serde(rename = "github_issues")]
    Issues,
    Jira,
    Linear,
    /// A program of the user that implements the contract of docs/tickets.md.
    Http,
}

impl TrackerKind {
    pub const ALL: [Self; 4] = [Self::Issues, Self::Jira, Self::Linear, Self::Http];

    const fn spec(self) -> &'static TrackerSpec {
        match self {
            Self::Issues => &issues::SPEC,
            Self::Jira => &jira::SPEC,
            Self::Linear => &linear::SPEC,
            Self::Http => &http::SPEC,
        }
    }

    /// The name that users see.
    pub const fn label(self) -> &'static str {
        if matches!(self, Self::Http) { "Own tool" } else { self.spec().label }
    }

    /// The name in commands, requests and paths.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Issues => "github_issues",
            Self::Jira => "jira",
            Self::Linear => "linear",
            Self::Http => "http",
        }
    }

    /// Whether the tool counts both as one label. Labels of issues and of Linear keep their first spelling.
    pub fn is_same_label(self, one: &str, other: &str) -> bool {
        one == other || matches!(self, Self::Issues | Self::Linear) && one.to_lowercase() == other.to_lowercase()
    }

    /// The tool's word for a scope.
    pub const fn scope_word(self) -> &'static str {
        if matches!(self, Self::Linear) { "team" } else { "project" }
    }

    /// Whether the tool has projects or teams, which list their statuses, and a credential of its own.
    pub const fn has_scopes(self) -> bool {
        matches!(self, Self::Jira | Self::Linear)
    }

    /// Whether Pullyard reads tickets from the tool. The others only send events.
    pub const fn is_readable(self) -> bool {
        !matches!(self, Self::Http)
    }
}

/// A connection to a ticket tool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tracker {
    pub id: IntegrationId,
    pub kind: TrackerKind,
    pub url: String,
    /// The id of the site, for a scoped token of Jira.
    pub cloud_id: Option<String>,
    /// The account of the credential; `None` if the kind has none of its own.
    pub account: Option<ToolAccount>,
    /// The full name of the secret with its credential.
    pub secret: String,
    /// The full name of the secret that signs the deliveries of the tool's webhook.
    pub hook_secret: Option<String>,
    pub created: Timestamp,
    /// The last success.
    pub last_ok: Option<Timestamp>,
    /// The last failure, if no success followed.
    pub problem: Option<String>,
    /// No call before this time.
    pub rest_until: Option<Timestamp>,
    pub rev: u64,
}

/// Pullyard's account in a tool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolAccount {
    /// The author of our own change has one of these ids.
    pub ids: Vec<String>,
    pub name: String,
    /// A person's own changes start jobs, so its id recognizes no change of ours.
    pub is_person: bool,
}

impl Tracker {
    /// A connection that was never used. `secret` is the full name of the secret with its credential.
    pub fn new(id: IntegrationId, kind: TrackerKind, url: String, secret: String, created: Timestamp) -> Self {
        Self {
            id,
            kind,
            url,
            cloud_id: None,
            account: None,
            secret,
            hook_secret: None,
            created,
            last_ok: None,
            problem: None,
            rest_until: None,
            rev: 0,
        }
    }

    /// The page of the tool where a user creates a ticket. `None` for a user's own tool.
    pub fn new_ticket_url(&self, default_repository: Option<&RepositoryName>) -> Option<String> {
        match self.kind {
            TrackerKind::Jira => Some(format!("{}/secure/CreateIssue!default.jspa", self.url.trim_end_matches('/'))),
            TrackerKind::Linear => Some("https://linear.new".into()),
            TrackerKind::Issues => default_repository.map(|name| issues::new_issue_url(&self.url, name)),
            TrackerKind::Http => None,
        }
    }

    /// Whether the author of a change is the account, and no person.
    pub fn is_own(&self, author: &str) -> bool {
        self.account.as_ref().is_some_and(|account| !account.is_person && account.ids.iter().any(|id| id == author))
    }

    /// The item after a call; `None` if it needs no write.
    pub fn record_call(&self, problem: Option<&str>, rest_until: Option<Timestamp>, now: Timestamp) -> Option<Self> {
        let is_known = self.problem.as_deref() == problem && self.rest_until == rest_until;
        let is_recent = self.last_ok.is_some_and(|at| now.since(at) < RECORD_INTERVAL);
        if is_known && (problem.is_some() || is_recent) {
            return None;
        }
        let last_ok = if problem.is_none() { Some(now) } else { self.last_ok };
        Some(Self { last_ok, problem: problem.map(str::to_owned), rest_until, ..self.clone() })
    }
}

/// The ticket tool of a project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrackerSettings {
    /// The connection's name.
    pub connection: IntegrationId,
    /// The tool's own project, in its spelling.
    #[serde(default)]
    pub scope: String,
    /// How Pullyard learns of changes in the tool.
    #[serde(default = "both")]
    pub ingress: Ingress,
    /// Id and name of each status. Empty: the ids are the names.
    #[serde(default)]
    pub statuses: Vec<[String; 2]>,
    /// The labels that show the end of a job.
    #[serde(default)]
    pub badges: Badges,
    /// Whether a badge comes with a comment.
    #[serde(default = "yes")]
    pub comment: bool,
}

/// A status of a tool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ToolStatus {
    /// The tool's id.
    pub id: String,
    /// The name that users see.
    pub name: String,
    /// Whether the tool counts it as done or cancelled.
    pub closes: bool,
}

/// A ticket whose wanted state its tool does not show, because a write failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct UnsyncedTicket {
    /// The project of the ticket.
    pub project: ProjectId,
    /// The key of the ticket.
    pub key: TicketKey,
    /// The time of the first failure.
    #[serde(with = "WireTime")]
    pub since: Timestamp,
    /// Why the last write failed.
    pub problem: String,
}

/// A project of Jira or a team of Linear.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ToolScope {
    /// Its key.
    pub id: String,
    /// The name that users see.
    pub name: String,
}

const fn both() -> Ingress {
    Ingress::Both
}

const fn yes() -> bool {
    true
}

/// A label that the ticket tool shows for a failed or a waiting job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Badge {
    AiFailed,
    /// The job is suspended until a user acts.
    AiWaiting,
}

impl Badge {
    pub fn display_name(self) -> &'static str {
        match self {
            Self::AiFailed => "AI Failed",
            Self::AiWaiting => "AI Waiting",
        }
    }
}

/// Labels in the ticket tool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Badges {
    /// The job failed.
    pub failed: String,
    /// The job waits for a user.
    pub waiting: String,
}

impl Default for Badges {
    fn default() -> Self {
        Self { failed: Badge::AiFailed.display_name().into(), waiting: Badge::AiWaiting.display_name().into() }
    }
}

impl Badges {
    /// The labels of a new connection.
    fn new(kind: TrackerKind) -> Self {
        match kind {
            // Its labels have no spaces.
            TrackerKind::Jira => jira::badges(),
            _ => Self::default(),
        }
    }

    pub fn label(&self, badge: Badge) -> &str {
        match badge {
            Badge::AiFailed => &self.failed,
            Badge::AiWaiting => &self.waiting,
        }
    }
}

impl TrackerSettings {
    pub fn new(kind: TrackerKind, connection: IntegrationId) -> Self {
        let (scope, badges, statuses) = (String::new(), Badges::new(kind), Vec::new());
        Self { connection, scope, ingress: both(), statuses, badges, comment: true }
    }

    /// The tool's id of a status.
    pub fn status_id<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        if self.statuses.is_empty() {
            return Some(name);
        }
        self.statuses.iter().find(|[_, known]| known == name).map(|[id, _]| id.as_str())
    }

    /// The name of a status by the tool's id. An unknown one is its id.
    pub fn status_name<'a>(&'a self, id: &'a str) -> &'a str {
        self.statuses.iter().find(|[known, _]| known == id).map_or(id, |[_, name]| name)
    }

    /// Whether the tool numbers the tickets of its project or team.
    pub fn is_scoped(&self) -> bool {
        !self.statuses.is_empty()
    }

    /// Whether a ticket of Jira or Linear is in the project or team.
    pub fn has_ticket(&self, key: &TicketKey) -> bool {
        key.as_str().rsplit_once('-').is_some_and(|(scope, _)| scope.eq_ignore_ascii_case(&self.scope))
    }

    pub(crate) fn validate(&self) -> Result<(), SettingFault> {
        let Self { scope, statuses, badges, .. } = self;
        if statuses.len() > MAX_STATUSES {
            return fault("/tracker", format!("the tool has {} statuses; at most 60 can be used", statuses.len()));
        }
        let mut texts = statuses.iter().flatten().chain([&badges.failed, &badges.waiting]);
        if let Some(text) = texts.find(|text| !is_line(text, 64)) {
            let text = text.escape_debug();
            return fault(
                "/tracker",
                format!("\"{text}\" must be 1 to 64 printable characters; rename it in the tool"),
            );
        }
        if !scope.is_empty() && !is_line(scope, 64) {
            return fault("/tracker/scope", "use at most 64 printable characters");
        }
        Ok(())
    }
}

#[derive(Clone, Copy, Debug)]
pub struct TrackerSpec {
    /// The name that users see.
    pub label: &'static str,
    /// Begins the line of an event in the list of decisions; the ticket's key follows.
    pub ledger_phrase: &'static str,
    /// Another program has the ticket: its clock may differ, it sends Pullyard's own writes as events, and it may have
    /// statuses that the project has not.
    pub is_external: bool,
}

impl Source {
    /// The name that users see.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Board => board::SPEC.label,
            Self::TicketTool => http::SPEC.label,
            Self::Person => "Person",
            Self::Webhook => "Webhook",
            Self::Poll => "Poll",
            Self::Automatic => "Setting",
            Self::Schedule => "Schedule",
            Self::Submission => "Submission",
        }
    }

    /// The row of the ticket tool; `None` if the delivery is not of one.
    pub const fn tracker(self) -> Option<&'static TrackerSpec> {
        match self {
            Self::Board => Some(&board::SPEC),
            Self::TicketTool => Some(&http::SPEC),
            Self::Person | Self::Webhook | Self::Poll | Self::Automatic | Self::Schedule | Self::Submission => None,
        }
    }

    /// Whether ticket events of this source need the checks for another program's events.
    pub fn is_external(self) -> bool {
        self.tracker().is_none_or(|tracker| tracker.is_external)
    }
}

#[cfg(test)]
mod tests {
    use super::TrackerKind;

    #[test]
    fn labels_are_compared_as_the_tool_compares_them() {
        for (kind, one, other, expected) in [
            (TrackerKind::Issues, "In Review", "in review", true),
            (TrackerKind::Linear, "AI Failed", "ai failed", true),
            (TrackerKind::Issues, "In Review", "In  Review", false),
            (TrackerKind::Issues, "In Review", "İn Review", false),
            (TrackerKind::Issues, "İn Review", "İn review", true),
            (TrackerKind::Jira, "ai-failed", "AI-Failed", false),
        ] {
            assert_eq!(kind.is_same_label(one, other), expected, "{kind:?} {one} {other}");
        }
    }
}
