//! Issues of a forge as tickets: a label for each status, and the state `closed`.

use crate::forge::forge_client;
use crate::trackers::call_error::CallError;
use crate::{Context, Error};
use pullyard_domain::project::Statuses;
use pullyard_domain::project::tracker::{Tracker, TrackerKind};
use pullyard_domain::text::id::{IntegrationId, ProjectId, RepositoryName, TicketKey};
use pullyard_domain::text::time::Timestamp;
use pullyard_forge::{Actor, Error as ForgeError, ErrorKind, Issue, IssueChange, IssueChangeKind, IssueClient};
use pullyard_tracker as tracker;
use pullyard_tracker::{Applied, Change, Desired, Error as ToolError, Snapshot, Step};

/// An issue, by its key `owner/name#12`.
#[derive(Debug)]
pub(crate) struct IssueTicket {
    client: IssueClient,
    repository: String,
    number: u64,
    statuses: Statuses,
}

/// The status of an issue, and the change that led to it. `None` if none did since its creation.
struct Current<'a> {
    status: String,
    change: Option<&'a IssueChange>,
}

pub(crate) fn parse_key(key: &TicketKey) -> Option<(RepositoryName, u64)> {
    let (repository, number) = key.as_str().rsplit_once('#')?;
    Some((RepositoryName::new(repository).ok()?, number.parse().ok()?))
}

pub(crate) fn issue_key(repository: &RepositoryName, number: u64) -> Option<TicketKey> {
    TicketKey::new(format!("{repository}#{number}")).ok()
}

/// Whether the project's tickets are issues at this integration. A connection of another kind may have its name.
pub(crate) async fn has_issues_as_tickets(
    ctx: &Context,
    project: &ProjectId,
    integration: &IntegrationId,
) -> Result<bool, Error> {
    let tool = ctx.store.load_project(project).await?.and_then(|project| project.settings.tracker);
    if tool.is_none_or(|tool| tool.connection != *integration) {
        return Ok(false);
    }
    Ok(ctx.store.load_tracker(integration).await?.is_some_and(|found| found.kind == TrackerKind::Issues))
}

impl IssueTicket {
    /// Errors: `NotFound` unless the project connects the repository through this integration; `TicketBusy` while the
    /// integration does not list the project.
    pub(crate) async fn connect(
        ctx: &Context,
        connection: &Tracker,
        (project, key): (&ProjectId, &TicketKey),
        statuses: &Statuses,
    ) -> Result<Self, CallError> {
        let (name, number) = parse_key(key).ok_or(ToolError::NotFound)?;
        let load = async {
            let repository = ctx.store.load_repository_by_name(project, &name).await?;
            let Some(repository) = repository.filter(|found| found.integration == connection.id) else {
                return Ok(None);
            };
            let integration = ctx.load_integration(&connection.id).await?;
            let client = forge_client(ctx, &integration, &repository).await?.into_issue_client();
            Ok(client.map(|client| (client, repository.name.to_string())))
        };
        let found = load.await.map_err(|error| match error {
            Error::Forge(error) => to_tool_error(&error),
            // Only this ticket is affected: other projects may use the connection.
            Error::NotListed { .. } => ToolError::TicketBusy { reason: "the integration does not list the project" },
            error => ToolError::Unreachable { reason: error.to_string() },
        })?;
        let (client, repository) = found.ok_or(ToolError::NotFound)?;
        Ok(Self { client, repository, number, statuses: statuses.clone() })
    }

    pub(crate) async fn read(&self) -> Result<Snapshot, ToolError> {
        let (issue, changes) = self.load().await?;
        let Current { status, change } = self.find_status(&issue, &changes);
        let author = |actor: &Option<Actor>| {
            actor.as_ref().map(|actor| tracker::Actor { id: actor.login.clone(), name: actor.login.clone() })
        };
        let (id, at, actor) = match change {
            Some(change) => (change.id.to_string(), change.at.millis(), author(&change.actor)),
            None => (Change::CREATED.into(), issue.created_at.millis(), author(&issue.author)),
        };
        let at = Timestamp::from_millis(at);
        let change = Change { id, at, earliest: at, actor, from: None };
        let key = format!("{}#{}", self.repository, self.number);
        let Issue { title, body, labels, url, .. } = issue;
        Ok(Snapshot { key, title, body, labels, status, url, change })
    }

    /// The pull request's own text links the issue. The status comes last: it ends the work of a repeat.
    pub(crate) async fn apply(&self, desired: &Desired) -> Result<Applied, ToolError> {
        let (issue, changes) = self.load().await?;
        let (client, name, number) = (&self.client, self.repository.as_str(), self.number);
        let is_shown = |badge: &String| issue.labels.iter().any(|label| is_same_label(label, badge));
        let is_wanted = |label: &String| desired.badge.as_ref().is_some_and(|badge| is_same_label(label, badge));
        let is_ours = |label: &String| desired.badges.iter().any(|badge| is_same_label(label, badge));
        let result = async {
            for label in issue.labels.iter().filter(|label| is_ours(label) && !is_wanted(label)) {
                client.remove_label(name, number, label).await?;
            }
            if let Some(badge) = desired.badge.as_ref().filter(|badge| !is_shown(badge)) {
                client.add_label(name, number, badge).await?;
            }
            if let Some(comment) = &desired.comment {
                let marker = format!("<!-- {} -->", desired.message);
                let comments = client.issue_comments(name, number).await?;
                if !comments.items.iter().any(|comment| comment.body.contains(&marker)) {
                    client.create_comment(name, number, &format!("{comment}\n\n{marker}")).await?;
                }
            }
            match &desired.step {
                Some(step) => self.move_issue(&issue, &changes, step).await,
                None => Ok(Applied::Shown),
            }
        };
        result.await.map_err(|error: ForgeError| match to_tool_error(&error) {
            // The issue was read before.
            ToolError::Unexpected { reason } => ToolError::WriteRefused { reason },
            error => error,
        })
    }

    /// Adds the label first: a crash before the others are removed leaves the newest one, which counts.
    async fn move_issue(&self, issue: &Issue, changes: &[IssueChange], step: &Step) -> Result<Applied, ForgeError> {
        let current = self.find_status(issue, changes).status;
        let is_closed = self.statuses.is_closed(&step.to);
        // The state does not show which closed status it is.
        let is_there = current == step.to || is_closed && !issue.is_open;
        if !is_there && current != step.expected {
            return Ok(Applied::Moved { status: current });
        }
        let (client, name, number) = (&self.client, self.repository.as_str(), self.number);
        let needs_label = !is_closed && step.to != self.statuses.todo;
        if needs_label && !issue.labels.iter().any(|label| is_same_label(label, &step.to)) {
            client.add_label(name, number, &step.to).await?;
        }
        for label in issue.labels.iter().filter(|label| self.column(label).is_some_and(|column| *column != step.to)) {
            client.remove_label(name, number, label).await?;
        }
        if issue.is_open == is_closed {
            client.set_issue_open(name, number, !is_closed).await?;
        }
        Ok(Applied::Shown)
    }

    async fn load(&self) -> Result<(Issue, Vec<IssueChange>), ToolError> {
        let (name, number) = (self.repository.as_str(), self.number);
        let loaded = tokio::try_join!(self.client.issue(name, number), self.client.issue_changes(name, number));
        let (issue, changes) = loaded.map_err(|error| to_tool_error(&error))?;
        Ok((issue, changes.items))
    }

    /// The column of a label. GitHub returns the spelling of the repository, not the case of our request.
    fn column(&self, label: &str) -> Option<&String> {
        self.statuses.columns.iter().find(|column| is_same_label(column, label))
    }

    /// Closed, or the label of a status that was added last, or todo.
    fn find_status<'a>(&self, issue: &Issue, changes: &'a [IssueChange]) -> Current<'a> {
        let is_of_status = |change: &&IssueChange| match &change.kind {
            IssueChangeKind::Labeled { label } | IssueChangeKind::Unlabeled { label } => self.column(label).is_some(),
            IssueChangeKind::Closed | IssueChangeKind::Reopened => true,
        };
        let newest = changes.iter().rev().find(is_of_status);
        if !issue.is_open {
            let closed = self.statuses.columns.iter().find(|column| self.statuses.is_closed(column));
            let change = changes.iter().rev().find(|change| change.kind == IssueChangeKind::Closed);
            return Current { status: closed.cloned().unwrap_or_else(|| "Closed".into()), change };
        }
        let added = changes.iter().rev().find_map(|change| match &change.kind {
            IssueChangeKind::Labeled { label } if issue.labels.iter().any(|shown| is_same_label(shown, label)) => {
                Some((self.column(label)?, change))
            }
            _ => None,
        });
        match (added, issue.labels.iter().find_map(|label| self.column(label))) {
            (Some((column, change)), _) => Current { status: column.clone(), change: Some(change) },
            (None, Some(column)) => Current { status: column.clone(), change: newest },
            (None, None) => Current { status: self.statuses.todo.clone(), change: newest },
        }
    }
}

/// GitHub's labels are unique without regard to case.
fn is_same_label(one: &str, other: &str) -> bool {
    TrackerKind::Issues.is_same_label(one, other)
}

fn to_tool_error(error: &ForgeError) -> ToolError {
    let reason = error.to_string();
    match error.kind() {
        ErrorKind::Missing => ToolError::NotFound,
        ErrorKind::Denied => ToolError::Refused { status: 403, reason },
        ErrorKind::RateLimited { retry_after } => ToolError::Resting { after: retry_after },
        ErrorKind::Unavailable => ToolError::Unreachable { reason },
        ErrorKind::Refused | ErrorKind::Unknown => ToolError::Unexpected { reason },
    }
}
