//! Calls a ticket tool through its stored connection, and records the connection's health.

use crate::admin::rotate_secret::previous_version;
use crate::admin::test_integration::test_integration;
use crate::notify::refused_tool::notify_refusal;
use crate::trackers::call_error::CallError;
use crate::trackers::client::connect_client;
use crate::trackers::issues::IssueTicket;
use crate::{Context, Error};
use pullyard_domain::project::Settings;
use pullyard_domain::project::tracker::{ToolAccount, Tracker, TrackerKind};
use pullyard_domain::text::id::{ProjectId, TicketKey};
use pullyard_domain::text::time::Timestamp;
use pullyard_store::Write;
use pullyard_tracker::{Applied, Desired, Error as ToolError, OwnTool, Snapshot, Subject, ToolClient};

#[derive(Debug)]
pub(crate) enum Tool {
    Own(OwnTool),
    Issue(Box<IssueTicket>),
    /// With the key of the ticket.
    Scoped(ToolClient, TicketKey),
}

/// A client for one ticket.
pub(crate) async fn connect(
    ctx: &Context,
    connection: &Tracker,
    ticket: (&ProjectId, &TicketKey),
    settings: &Settings,
) -> Result<Tool, CallError> {
    match connection.kind {
        TrackerKind::Http => Ok(Tool::Own(connect_own(ctx, connection).await?)),
        TrackerKind::Issues => {
            let issue = IssueTicket::connect(ctx, connection, ticket, &settings.statuses).await?;
            Ok(Tool::Issue(Box::new(issue)))
        }
        TrackerKind::Jira | TrackerKind::Linear => {
            // The account may see other projects, whose tickets are not this project's.
            if !settings.tracker.as_ref().is_some_and(|tool| tool.has_ticket(ticket.1)) {
                return Err(ToolError::NotFound.into());
            }
            Ok(Tool::Scoped(connect_client(ctx, connection).await?, ticket.1.clone()))
        }
    }
}

/// During a rotation, messages are signed with each value of the secret.
async fn connect_own(ctx: &Context, connection: &Tracker) -> Result<OwnTool, ToolError> {
    let load = async {
        let versions = ctx.secrets.versions(&connection.secret).await?;
        let previous = previous_version(ctx, &connection.secret, &versions).await?;
        Ok((versions.current, previous))
    };
    let (current, previous) = load.await.map_err(|error: Error| {
        let reason = error.to_string();
        if error.is_transient() { ToolError::Unreachable { reason } } else { ToolError::Unexpected { reason } }
    })?;
    let values = std::iter::once(&current).chain(&previous).map(|version| &*version.value);
    OwnTool::new(ctx.outbound.clone(), &connection.url, values)
}

/// Changes nothing in the tool. Returns the account of the credential, if the kind has one.
pub(crate) async fn test(ctx: &Context, connection: &Tracker) -> Result<Option<ToolAccount>, CallError> {
    match connection.kind {
        TrackerKind::Jira | TrackerKind::Linear => Ok(Some(connect_client(ctx, connection).await?.account().await?)),
        TrackerKind::Http => {
            connect_own(ctx, connection).await?.test("test", ctx.clock.now()).await?;
            Ok(None)
        }
        TrackerKind::Issues => {
            let to_error = |error: Error| ToolError::Unreachable { reason: error.to_string() };
            let summary = test_integration(ctx, &connection.id).await.map_err(to_error)?.summarize(&connection.id);
            let failed = |reason| CallError::from(ToolError::Unexpected { reason });
            if summary.works { Ok(None) } else { Err(failed(summary.sentence)) }
        }
    }
}

impl Tool {
    pub(crate) async fn apply(
        &self,
        subject: &Subject,
        desired: &Desired,
        now: Timestamp,
    ) -> Result<Applied, ToolError> {
        match self {
            Self::Own(tool) => tool.apply(subject, desired, now).await,
            Self::Issue(issue) => issue.apply(desired).await,
            Self::Scoped(client, key) => client.apply(key.as_str(), desired).await,
        }
    }

    /// Errors: `NotFound` for a tool that cannot be read.
    pub(crate) async fn read(&self, now: Timestamp) -> Result<Snapshot, ToolError> {
        match self {
            Self::Own(_) => Err(ToolError::NotFound),
            Self::Issue(issue) => issue.read().await,
            Self::Scoped(client, key) => client.read(key.as_str(), now).await,
        }
    }
}

/// Records a call in the connection's health, except a failure that concerns only the ticket.
/// Writes: TRACKERS if the health changed and no other call wrote it first; NOTICE of a refusal.
pub(crate) async fn record_call(ctx: &Context, connection: &Tracker, failure: Option<&CallError>) -> Result<(), Error> {
    let is_of_ticket = failure.is_some_and(|failure| failure.error.is_of_ticket());
    if is_of_ticket || record_test(ctx, connection, failure).await? == Write::Stale {
        return Ok(());
    }
    // Once for each rest, because it reads all projects.
    if let Some(CallError { error: ToolError::Refused { status, .. }, .. }) = failure {
        notify_refusal(ctx, connection, *status).await;
    }
    Ok(())
}

/// Writes: TRACKERS as above. `Stale` if it is unchanged.
pub(crate) async fn record_test(
    ctx: &Context,
    connection: &Tracker,
    failure: Option<&CallError>,
) -> Result<Write, Error> {
    let now = ctx.clock.now();
    let problem = failure.map(|failure| failure.error.to_string());
    let rest_until = failure.and_then(|failure| failure.rest).map(|rest| now.plus(rest));
    match connection.record_call(problem.as_deref(), rest_until, now) {
        Some(changed) => Ok(ctx.store.put_tracker(&changed).await?),
        None => Ok(Write::Stale),
    }
}
