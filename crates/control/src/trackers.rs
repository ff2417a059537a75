//! Connects ticket tools, tests them, and chooses the tool of a project.

pub(crate) mod issues;
pub(crate) mod look;
pub(crate) mod signed_events;
pub(crate) mod tool;

use crate::admin::secrets::check_secret_kind;
use crate::admin::update_project::update_project;
use crate::tickets::settle_ticket::wake_unsynced_tickets;
use crate::{Context, Error, set_secret};
use pullyard_domain::denial::Denial;
use pullyard_domain::forge::Auth;
use pullyard_domain::id::{IntegrationId, ProjectId, SecretName, TicketKey};
use pullyard_domain::project::{Project, Settings};
use pullyard_domain::secret::SecretKind;
use pullyard_domain::ticket::SyncFault;
use pullyard_domain::tracker::{ToolChoice, Tracker, TrackerKind, TrackerSettings};
use pullyard_outbound::standard_webhooks::SigningSecret;
use pullyard_store::Write;
use tool::record_call;

#[derive(Clone, Debug)]
pub struct NewTracker {
    pub id: IntegrationId,
    pub kind: TrackerKind,
    /// The address of a user's own tool.
    pub url: Option<String>,
    /// The full name of the secret; `None` to generate a signing secret.
    pub secret: Option<String>,
}

/// A new connection, and the signing secret that was generated for it.
#[derive(Clone, Debug)]
pub struct AddedTracker {
    pub tracker: Tracker,
    pub signing_secret: Option<String>,
}

/// Writes: TRACKER; a signing secret, if none is named.
/// Errors: `NameTaken`; `NotFound` (integration); `Invalid` for an address or a secret that cannot be used.
pub async fn add_tracker(ctx: &Context, new: NewTracker) -> Result<AddedTracker, Error> {
    let NewTracker { id, kind, url, secret } = new;
    if ctx.store.load_tracker(&id).await?.is_some() {
        return Err(Error::NameTaken { resource: "ticket tool", name: id.to_string() });
    }
    let (url, secret, signing_secret) = match kind {
        TrackerKind::Http => prepare_own_tool(ctx, &id, url.unwrap_or_default(), secret).await?,
        TrackerKind::Issues => {
            let integration = ctx.load_integration(&id).await?;
            if !integration.kind.spec().has_issues {
                let fault = format!("{id} is on {}, whose issues cannot be tickets", integration.kind.label());
                return Err(Error::Invalid { pointer: "/id", fault });
            }
            (integration.api_url, String::new(), None)
        }
    };
    let created = ctx.clock.now();
    let tracker = Tracker { id, kind, url, secret, created, last_ok: None, problem: None, rest_until: None, rev: 0 };
    match ctx.store.put_tracker(&tracker).await? {
        Write::Applied => {
            tracing::info!(tracker = %tracker.id, "ticket tool connected");
            Ok(AddedTracker { tracker, signing_secret })
        }
        Write::Stale => Err(Error::NameTaken { resource: "ticket tool", name: tracker.id.to_string() }),
    }
}

/// Returns the address, the name of the secret, and a new signing secret if none is named.
async fn prepare_own_tool(
    ctx: &Context,
    id: &IntegrationId,
    url: String,
    secret: Option<String>,
) -> Result<(String, String, Option<String>), Error> {
    let invalid = |fault: String| Error::Invalid { pointer: "/url", fault };
    ctx.outbound.parse_url(&url).map_err(|error| invalid(error.to_string()))?;
    if let Some(secret) = secret {
        check_secret_kind(ctx, SecretKind::Forge, &secret, "/secret")?;
        return Ok((url, secret, None));
    }
    let value = SigningSecret::generate().expose();
    let name = SecretName::new(format!("tracker-{id}"))?;
    Ok((url, set_secret(ctx, SecretKind::Forge, &name, &value).await?.secret, Some(value)))
}

/// Errors: `NotFound`.
pub async fn load_tracker(ctx: &Context, id: &IntegrationId) -> Result<Tracker, Error> {
    ctx.store.load_tracker(id).await?.ok_or_else(|| Error::not_found("ticket tool", id))
}

/// Calls the tool without changing anything there, even while the connection rests.
/// Writes: the connection's health.
/// Errors: `NotFound`.
pub async fn test_tracker(ctx: &Context, id: &IntegrationId) -> Result<Tracker, Error> {
    let connection = load_tracker(ctx, id).await?;
    let result = tool::test(ctx, &connection).await;
    record_call(ctx, &connection, result.as_ref().err()).await?;
    let problem = result.err().map(|failure| failure.error.to_string());
    Ok(Tracker { problem, ..load_tracker(ctx, id).await? })
}

/// Idempotent: a repeat returns `NotFound`.
/// Errors: `NotFound`; `Contended`; `Denied` while a project uses it.
pub async fn delete_tracker(ctx: &Context, id: &IntegrationId) -> Result<Tracker, Error> {
    let tracker = load_tracker(ctx, id).await?;
    for project in ctx.store.list_all_project_ids().await? {
        let project = ctx.store.load_project(&project).await?;
        let uses_it = |project: &Project| project.settings.tracker.as_ref().is_some_and(|tool| tool.connection == *id);
        if let Some(project) = project.filter(uses_it) {
            return Err(Error::Denied(Denial::TrackerOfProject { tracker: id.clone(), project: project.id }));
        }
    }
    match ctx.store.delete_tracker(&tracker).await? {
        Write::Applied => Ok(tracker),
        Write::Stale => Err(Error::Contended { subject: id.to_string() }),
    }
}

/// Makes a connection the tool of a project. Its tickets on the board remain there.
/// Writes: the project.
/// Idempotent: a repeat stores the same.
/// Errors: `NotFound` (project, tool); `Invalid`; `Contended`.
pub async fn use_tracker(ctx: &Context, project: &ProjectId, choice: ToolChoice) -> Result<Project, Error> {
    let connection = load_tracker(ctx, &choice.connection).await?;
    // The events of a token's account are its user's, who also moves tickets.
    let account = match connection.kind {
        TrackerKind::Http => None,
        TrackerKind::Issues => {
            let integration = ctx.load_integration(&connection.id).await?;
            matches!(integration.auth, Auth::App { .. }).then_some(integration.account.login)
        }
    };
    let used = update_project(ctx, project, |project| {
        let known = project.settings.tracker.clone().filter(|known| known.connection == connection.id);
        let new = || TrackerSettings::new(connection.kind, connection.id.clone(), String::new());
        let mut tool = known.unwrap_or_else(new);
        if !choice.scope.is_empty() {
            tool.scope.clone_from(&choice.scope);
        }
        let statuses = choice.choose(project.settings.statuses.clone());
        let tool_account = account.clone().or(project.settings.tool_account);
        let settings = Settings { tracker: Some(tool), tool_account, statuses, ..project.settings };
        settings.validate()?;
        Ok(Project { settings, ..project })
    })
    .await?;
    wake_unsynced_tickets(ctx, project).await?;
    Ok(used)
}

/// Returns a project to the board.
/// Writes: the project. Idempotent.
/// Errors: `NotFound`; `Contended`.
pub async fn unuse_tracker(ctx: &Context, project: &ProjectId) -> Result<Project, Error> {
    let without =
        |project: Project| Ok(Project { settings: Settings { tracker: None, ..project.settings }, ..project });
    let left = update_project(ctx, project, without).await?;
    wake_unsynced_tickets(ctx, project).await?;
    Ok(left)
}

/// Repeats a failed write to the ticket's tool now, and reads the ticket there.
/// Writes: the ticket, if a write has failed.
/// Errors: `NotFound`; `Contended`.
pub async fn sync_ticket(ctx: &Context, project: &ProjectId, key: &TicketKey) -> Result<(), Error> {
    let mut rounds = ctx.retries(key);
    loop {
        let mut ticket = ctx.load_ticket(project, key).await?;
        let now = ctx.clock.now();
        let is_postponed = |fault: &&mut SyncFault| fault.after > now;
        if let Some(fault) = ticket.sync_fault.as_mut().filter(is_postponed) {
            fault.after = now;
            if ctx.store.update_ticket(&ticket).await? == Write::Stale {
                rounds.backoff().await?;
                continue;
            }
        }
        ctx.wake_ticket(project, key).await;
        let Some(tool) = ctx.load_project(project).await?.settings.tracker else { return Ok(()) };
        let connection = ctx.store.load_tracker(&tool.connection).await?;
        let is_readable = connection.is_some_and(|connection| connection.kind.is_readable());
        return if is_readable { ctx.wake_look(project, key).await } else { Ok(()) };
    }
}
