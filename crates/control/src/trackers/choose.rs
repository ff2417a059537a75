//! Chooses the ticket tool of a project.

use crate::admin::update_project::update_project;
use crate::poll::tool_poll::start_polling;
use crate::tickets::settle_ticket::wake_unsynced_tickets;
use crate::trackers::client::{ToolClient, connect_client, to_field_fault};
use crate::trackers::load_tracker;
use crate::{Context, Error};
use pullyard_domain::forge::Auth;
use pullyard_domain::hook::Ingress;
use pullyard_domain::id::{IntegrationId, ProjectId};
use pullyard_domain::project::{Project, Settings};
use pullyard_domain::tracker::{ToolChoice, ToolScope, ToolStatus, Tracker, TrackerKind, TrackerSettings};
use pullyard_tracker::Error as ToolError;

/// A project with its new tool, and sentences about it for users.
#[derive(Debug)]
pub struct ChosenTool {
    pub project: Project,
    pub report: Vec<String>,
}

/// A project or team as its tool has it.
struct Scope {
    key: String,
    statuses: Vec<ToolStatus>,
    /// Why there is no webhook.
    hook: Result<(), String>,
}

/// Makes a connection the tool of a project. Its tickets on the board remain there.
/// Writes: the project; POLL of the tool; the tool's webhook.
/// Idempotent: a repeat keeps what it does not name.
/// Errors: `NotFound` (project, tool); `Invalid`; `Contended`.
pub async fn use_tracker(ctx: &Context, project: &ProjectId, choice: ToolChoice) -> Result<ChosenTool, Error> {
    let connection = load_tracker(ctx, &choice.connection).await?;
    let before = ctx.load_project(project).await?.settings.tracker.filter(|tool| tool.connection == connection.id);
    let scope = match connection.kind.has_scopes() {
        true => {
            let key = Some(&choice.scope).filter(|scope| !scope.is_empty());
            let key = key.or(before.as_ref().map(|tool| &tool.scope)).map_or("", String::as_str);
            Some(load_scope(ctx, &connection, key).await?)
        }
        false => None,
    };
    let is_same = |tool: &&TrackerSettings| scope.as_ref().is_none_or(|scope| tool.scope == scope.key);
    let account = load_own_account(ctx, &connection).await?;
    let changed = update_project(ctx, project, |project| {
        let Settings { tracker, tool_account, statuses, .. } = project.settings.clone();
        let known = tracker.filter(|known| known.connection == connection.id);
        let closed = known.as_ref().filter(is_same).map(|_| &statuses.closed);
        let chosen = match &scope {
            Some(scope) => choice.choose_from(&scope.statuses, &statuses, closed)?,
            None => choice.choose(statuses),
        };
        let mut tool = known.unwrap_or_else(|| TrackerSettings::new(connection.kind, connection.id.clone()));
        match &scope {
            Some(scope) => {
                tool.scope.clone_from(&scope.key);
                tool.ingress = if scope.hook.is_ok() { Ingress::Both } else { Ingress::Poll };
                tool.statuses = scope.statuses.iter().map(|status| [status.id.clone(), status.name.clone()]).collect();
            }
            None if !choice.scope.is_empty() => tool.scope.clone_from(&choice.scope),
            None => {}
        }
        let tool_account = account.clone().unwrap_or(tool_account);
        let settings = Settings { tracker: Some(tool), tool_account, statuses: chosen, ..project.settings };
        settings.validate()?;
        Ok(Project { settings, ..project })
    })
    .await?;
    wake_unsynced_tickets(ctx, project).await?;
    let mut report = Vec::new();
    if let Some(scope) = &scope {
        start_polling(ctx, project, &connection.id, before.as_ref().filter(is_same).is_none()).await?;
        report = describe(&connection, scope, &changed.settings);
    }
    Ok(ChosenTool { project: changed, report })
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

/// Errors: `Invalid` for settings with a tool that is not connected, or with a field that its kind does not have.
pub(crate) async fn check_tool(ctx: &Context, settings: &Settings) -> Result<(), Error> {
    let Some(tool) = &settings.tracker else { return Ok(()) };
    let invalid = |pointer, fault| Err(Error::Invalid { pointer, fault });
    match ctx.store.load_tracker(&tool.connection).await? {
        None => invalid("/tracker/connection", format!("there is no ticket tool {}", tool.connection)),
        Some(connection) if connection.kind == TrackerKind::Http && tool.ingress != Ingress::Both => {
            invalid("/tracker/ingress", "your own tool sends its events; remove this field".into())
        }
        Some(_) => Ok(()),
    }
}

/// The author of Pullyard's own changes, unless a person has the same account. `None` for a user's own tool, for which
/// a setting names it.
async fn load_own_account(ctx: &Context, connection: &Tracker) -> Result<Option<Option<String>>, Error> {
    Ok(match connection.kind {
        TrackerKind::Http => None,
        TrackerKind::Issues => {
            let integration = ctx.load_integration(&connection.id).await?;
            Some(matches!(integration.auth, Auth::App { .. }).then_some(integration.account.login))
        }
        TrackerKind::Jira | TrackerKind::Linear => {
            Some(connection.account.as_ref().and_then(|account| account.own_id()).cloned())
        }
    })
}

async fn load_scope(ctx: &Context, connection: &Tracker, key: &str) -> Result<Scope, Error> {
    let client = connect_for_user(ctx, connection).await?;
    let statuses = load_statuses(&client, connection.kind, key).await?;
    let hook = install_hook(ctx, connection, &client, key).await;
    Ok(Scope { key: key.to_owned(), statuses, hook })
}

async fn connect_for_user(ctx: &Context, connection: &Tracker) -> Result<ToolClient, Error> {
    connect_client(ctx, connection).await.map_err(|failure| to_field_fault("/connection", &failure.error))
}

/// The tool's projects or teams; or the statuses of the named one, in the tool's order.
/// Errors: `NotFound`; `Invalid` with the tool's refusal.
pub async fn list_tool(
    ctx: &Context,
    id: &IntegrationId,
    scope: &str,
) -> Result<(Vec<ToolScope>, Vec<ToolStatus>), Error> {
    let connection = load_tracker(ctx, id).await?;
    if !connection.kind.has_scopes() {
        return Ok((Vec::new(), Vec::new()));
    }
    let client = connect_for_user(ctx, &connection).await?;
    if !scope.is_empty() {
        return Ok((Vec::new(), load_statuses(&client, connection.kind, scope).await?));
    }
    let scopes = client.list_scopes().await.map_err(|error| to_field_fault("/connection", &error))?;
    Ok((scopes, Vec::new()))
}

/// Errors: `Invalid` for an unknown scope, with the tool's scopes.
async fn load_statuses(client: &ToolClient, kind: TrackerKind, scope: &str) -> Result<Vec<ToolStatus>, Error> {
    let found = match scope {
        "" => Err(ToolError::NotFound),
        scope => client.list_statuses(scope).await,
    };
    if found != Err(ToolError::NotFound) {
        return found.map_err(|error| to_field_fault("/scope", &error));
    }
    let known = client.list_scopes().await.map_err(|error| to_field_fault("/connection", &error))?;
    let known = known.into_iter().map(|scope| scope.id).collect::<Vec<_>>().join(", ");
    let fault = format!("name a {} of {}, one of: {known}", kind.scope_word(), kind.label());
    Err(Error::Invalid { pointer: "/scope", fault })
}

/// Each scope has a webhook of its own, because the tools filter by scope.
async fn install_hook(ctx: &Context, connection: &Tracker, client: &ToolClient, scope: &str) -> Result<(), String> {
    if !ctx.pages_url().starts_with("https://") {
        return Err("Pullyard has no public address".into());
    }
    let secret = connection.hook_secret.as_deref().unwrap_or_default();
    let secret = ctx.secrets.get(secret).await.map_err(|error| error.to_string())?;
    let url = format!("{}?scope={scope}", hook_url(ctx, connection));
    match client.install_hook(scope, &url, &secret).await {
        Err(ToolError::Refused { .. }) => Err("the account may not install webhooks".into()),
        result => result.map_err(|error| error.to_string()),
    }
}

/// Where the tool sends its deliveries or events.
pub fn hook_url(ctx: &Context, connection: &Tracker) -> String {
    format!("{}/webhooks/{}/{}", ctx.pages_url(), connection.kind.as_str(), connection.id)
}

fn describe(connection: &Tracker, scope: &Scope, settings: &Settings) -> Vec<String> {
    let (kind, key) = (connection.kind, &scope.key);
    let host = connection.url.split_once("://").map_or(&*connection.url, |(_, host)| host);
    let closed = settings.statuses.closed.iter().cloned().collect::<Vec<_>>().join(", ");
    let closed = if closed.is_empty() { "none" } else { &closed };
    let account = connection.account.as_ref();
    let name = account.map_or("", |account| &account.name);
    let mut lines = vec![
        format!("{} at {host}, {} {key}, as {name}.", kind.label(), kind.scope_word()),
        format!("{} statuses mapped; closed: {closed}.", scope.statuses.len()),
        match &scope.hook {
            Ok(()) => "Webhook installed and signed; a poll every 5 minutes finds what it misses.".to_owned(),
            Err(reason) => format!("No webhook, because {reason}; a poll every minute finds changes."),
        },
    ];
    if account.is_some_and(|account| account.is_person) {
        lines.push(format!("{name} is a person's account: its moves in {} start jobs like everyone's.", kind.label()));
    }
    lines
}
