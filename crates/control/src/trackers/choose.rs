//! Chooses the ticket tool of a project.

use crate::admin::columns::find_ticket;
use crate::admin::update_project::update_project;
use crate::corrupt::{load_all_projects, load_readable_tracker};
use crate::poll::tool_poll::{TOOL, continue_polling, start_polling, update_webhook};
use crate::tickets::settle_ticket::wake_unsynced_tickets;
use crate::trackers::client::{call_for_user, connect_client, to_field_fault};
use crate::{Context, Error};
use pullyard_domain::project::hook::Ingress;
use pullyard_domain::project::hook::poll_progress::WebhookHealth;
use pullyard_domain::project::tracker::{ToolScope, ToolStatus, Tracker, TrackerKind, TrackerSettings};
use pullyard_domain::project::{Project, Settings, ToolChoice};
use pullyard_domain::text::id::{IntegrationId, ProjectId};
use pullyard_domain::ticket::Ticket;
use pullyard_tracker::{Error as ToolError, ToolClient, hook_place};

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
}

/// Whether the choice names another connection or scope than the project has, so that the project may reach tickets
/// that it could not reach before.
pub async fn is_new_tool(ctx: &Context, project: &ProjectId, choice: &ToolChoice) -> Result<bool, Error> {
    let known = ctx.load_project(project).await?.settings.tracker;
    Ok(!known.is_some_and(|tool| {
        tool.connection == choice.connection && (choice.scope.is_empty() || choice.scope == tool.scope)
    }))
}

/// Makes a connection the tool of a project. Its tickets on the board remain there.
/// Writes: POLL of the tool; the project; the tool's webhook; the project again if that was installed. Before, it
/// removes the webhook of the former scope, which a repeat after the project's write would not know.
/// Idempotent: a repeat leaves the settings that it does not name unchanged.
/// Errors: `NotFound` (project, tool); `Invalid`, also after a concurrent choice; `ToolUnavailable`; `Contended`.
pub async fn use_tracker(ctx: &Context, project: &ProjectId, choice: ToolChoice) -> Result<ChosenTool, Error> {
    let connection = ctx.load_tracker(&choice.connection).await?;
    let stored = ctx.load_project(project).await?;
    let before = stored.settings.tracker.as_ref().filter(|tool| tool.connection == connection.id);
    let before_scope = before.map(|tool| tool.scope.clone());
    let (former, earlier) = (stored.settings.tracker.clone(), stored.settings.clone());
    let change = async |scope: Option<&Scope>| {
        update_project(ctx, project, |project| to_changed(project, &connection, &choice, scope)).await
    };
    if !connection.kind.has_scopes() {
        // Checked before the first write.
        to_changed(stored, &connection, &choice, None)?;
        let removed = remove_hook(ctx, project, former.filter(|_| before_scope.is_none())).await?;
        if connection.kind == TrackerKind::Issues {
            start_polling(ctx, project, &connection, "", before_scope.as_deref().map(|_| "")).await?;
        }
        let project = change(None).await?;
        wake_unsynced_tickets(ctx, &project.id).await?;
        return Ok(ChosenTool { project, report: removed.into_iter().collect() });
    }
    let key = Some(&choice.scope).filter(|scope| !scope.is_empty()).or(before.map(|tool| &tool.scope));
    let key = key.map_or("", String::as_str).to_owned();
    let client = connect_for_user(ctx, &connection).await?;
    let scope = Scope { statuses: load_statuses(ctx, &client, connection.kind, &key).await?, key };
    let (is_known, is_used) = (before.is_some(), before.is_some_and(|tool| tool.scope == scope.key));
    // Checked before the first write.
    to_changed(stored, &connection, &choice, Some(&scope))?;
    check_other_projects(ctx, project, &connection, &scope).await?;
    if !is_used {
        check_new_scope(ctx, project, &connection, &scope).await?;
    }
    let removed = remove_hook(ctx, project, former.filter(|_| !is_used)).await?;
    let start = start_polling(ctx, project, &connection, &scope.key, before_scope.as_deref());
    // An earlier scope is polled until the settings name the new one. The poll of an earlier use begins again before
    // that, because its look at old changes would start jobs.
    let chosen = if is_known {
        let chosen = change(Some(&scope)).await?;
        start.await?;
        chosen
    } else {
        start.await?;
        change(Some(&scope)).await?
    };
    if let Err(mut refusal) = check_other_projects(ctx, project, &connection, &scope).await {
        // Another project has chosen the scope at the same time. Both would start a job for each move.
        let tool = earlier.tracker.as_ref().filter(|tool| tool.is_scoped());
        let undo = async {
            update_project(ctx, project, |project| Ok(undo_choice(project, &earlier, &chosen.settings))).await?;
            match tool {
                Some(tool) => continue_polling(ctx, project, tool).await,
                None => Ok(()),
            }
        };
        let undone = undo.await;
        if let Err(error) = &undone {
            tracing::warn!(error = %error, project = %project, "choice of a ticket tool not undone: {error}");
        }
        if (removed.is_some() || undone.is_err())
            && let (Error::Invalid { fault, .. }, Some(TrackerSettings { connection, scope, .. })) =
                (&mut refusal, tool)
        {
            let repeat = format!("`pullyard trackers use {connection} --scope {scope} --project {project}`");
            fault.push_str(&format!("; the earlier tool may have lost its webhook, so use it again now: {repeat}"));
        }
        return Err(refusal);
    }
    let hook = install_hook(ctx, &connection, &client, &scope.key).await;
    let ingress = if hook.is_ok() { Ingress::Both } else { Ingress::Poll };
    let to_installed = |known: WebhookHealth, now| {
        Some(WebhookHealth { installed: hook.is_ok().then_some(now), missed: None, ..known })
    };
    update_webhook(ctx, project, &connection.id, to_installed).await?;
    let project = update_project(ctx, project, |project| with_ingress(project, &connection, &scope, ingress)).await?;
    wake_unsynced_tickets(ctx, &project.id).await?;
    let mut report = describe(&connection, &scope, hook, &project.settings);
    report.extend(removed);
    Ok(ChosenTool { project, report })
}

/// A new scope is polled until its webhook is installed.
fn to_changed(
    project: Project,
    connection: &Tracker,
    choice: &ToolChoice,
    scope: Option<&Scope>,
) -> Result<Project, Error> {
    let Settings { tracker, statuses, .. } = project.settings.clone();
    let known = tracker.filter(|known| known.connection == connection.id);
    let mut tool = known.clone().unwrap_or_else(|| TrackerSettings::new(connection.kind, connection.id.clone()));
    let statuses = match scope {
        Some(scope) => {
            let same = known.as_ref().filter(|known| known.scope == scope.key);
            tool.ingress = same.map_or(Ingress::Poll, |same| same.ingress);
            tool.scope.clone_from(&scope.key);
            tool.statuses = scope.statuses.iter().map(|status| [status.id.clone(), status.name.clone()]).collect();
            choice.choose_from(&scope.statuses, &statuses, same)?
        }
        None => {
            if !choice.scope.is_empty() {
                tool.scope.clone_from(&choice.scope);
            }
            choice.choose(statuses)
        }
    };
    // A user who names the trigger status wants jobs to start.
    let auto_create = project.settings.auto_create || choice.trigger.is_some();
    let settings = Settings { tracker: Some(tool), statuses, auto_create, ..project.settings };
    settings.validate()?;
    Ok(Project { settings, ..project })
}

/// Restores the tool and the statuses before a choice, unless another user has changed them since.
/// The earlier webhook is removed already.
fn undo_choice(mut project: Project, earlier: &Settings, chosen: &Settings) -> Project {
    let key = |settings: &Settings| settings.tracker.clone().map(|tool| (tool.connection, tool.scope));
    let settings = &mut project.settings;
    if key(settings) == key(chosen) {
        settings.tracker.clone_from(&earlier.tracker);
        if let Some(tool) = settings.tracker.as_mut().filter(|tool| tool.is_scoped() && key(earlier) != key(chosen)) {
            tool.ingress = Ingress::Poll;
        }
        if settings.statuses == chosen.statuses {
            settings.statuses.clone_from(&earlier.statuses);
        }
        if settings.auto_create == chosen.auto_create {
            settings.auto_create = earlier.auto_create;
        }
    }
    project
}

/// Errors: `Invalid` if the project has left the scope.
fn with_ingress(mut project: Project, connection: &Tracker, scope: &Scope, ingress: Ingress) -> Result<Project, Error> {
    match &mut project.settings.tracker {
        Some(tool) if tool.connection == connection.id && tool.scope == scope.key => tool.ingress = ingress,
        _ => {
            let fault = "another user has changed the project's ticket tool meanwhile; choose it again".into();
            return Err(Error::Invalid { pointer: "/connection", fault });
        }
    }
    Ok(project)
}

/// Two projects would start two jobs for one move.
async fn check_other_projects(ctx: &Context, id: &ProjectId, connection: &Tracker, scope: &Scope) -> Result<(), Error> {
    let (kind, key) = (connection.kind, &scope.key);
    for project in load_all_projects(ctx).await? {
        let Some(tool) =
            project.settings.tracker.filter(|tool| project.id != *id && tool.scope.eq_ignore_ascii_case(key))
        else {
            continue;
        };
        let other = load_readable_tracker(ctx, &tool.connection).await?;
        let is_same_site = other.is_some_and(|other| other.kind == kind && other.url == connection.url);
        // Two workspaces of Linear have one address.
        if is_same_site && tool.statuses.iter().any(|[id, _]| scope.statuses.iter().any(|status| status.id == *id)) {
            let other = &project.id;
            let fault = format!(
                "the project {other} uses {key} already; one of the two must leave it: `pullyard trackers use --none --project {other}`"
            );
            return Err(Error::Invalid { pointer: "/scope", fault });
        }
    }
    Ok(())
}

/// One of the board's tickets would be taken for one of the tool.
async fn check_new_scope(ctx: &Context, id: &ProjectId, connection: &Tracker, scope: &Scope) -> Result<(), Error> {
    let (kind, key) = (connection.kind, &scope.key);
    let refuse = |fault| Err(Error::Invalid { pointer: "/scope", fault });
    let poll = ctx.store.load_poll(id, &connection.id, TOOL).await?;
    let is_earlier = poll.and_then(|poll| poll.look.since).is_some_and(|since| since < connection.created);
    let wanted = TrackerSettings { scope: key.clone(), ..TrackerSettings::new(kind, connection.id.clone()) };
    // A deleted connection had the name, perhaps at another site.
    if is_earlier && find_ticket(ctx, id, |ticket| ticket.tracker.as_ref() == Some(&connection.id)).await?.is_some() {
        return refuse(format!("an earlier connection {} had tickets; connect under a new name", connection.id));
    }
    let is_of_board = |ticket: &Ticket| ticket.tracker.is_none() && wanted.has_ticket(&ticket.key);
    match find_ticket(ctx, id, is_of_board).await? {
        Some(ticket) => {
            refuse(format!("the board has {ticket}, which is not the ticket of {key}; delete such tickets"))
        }
        None => Ok(()),
    }
}

/// Returns a project to the board.
/// Writes: the tool's webhook; the project. Idempotent.
/// Errors: `NotFound`; `Contended`.
pub async fn unuse_tracker(ctx: &Context, project: &ProjectId) -> Result<ChosenTool, Error> {
    let removed = remove_hook(ctx, project, ctx.load_project(project).await?.settings.tracker).await?;
    let without =
        |project: Project| Ok(Project { settings: Settings { tracker: None, ..project.settings }, ..project });
    let left = update_project(ctx, project, without).await?;
    wake_unsynced_tickets(ctx, project).await?;
    Ok(ChosenTool { project: left, report: removed.into_iter().collect() })
}

/// Removes the webhook that Pullyard installed for a project's tool, unless another project has its scope. Returns a
/// sentence for users.
pub(crate) async fn remove_hook(
    ctx: &Context,
    id: &ProjectId,
    tool: Option<TrackerSettings>,
) -> Result<Option<String>, Error> {
    let Some(tool) = tool.filter(|tool| tool.is_scoped() && tool.ingress == Ingress::Both) else { return Ok(None) };
    let Some(connection) = load_readable_tracker(ctx, &tool.connection).await? else { return Ok(None) };
    let has_scope = |other: &TrackerSettings| (&other.connection, &other.scope) == (&tool.connection, &tool.scope);
    let projects = load_all_projects(ctx).await?;
    let mut others = projects.iter().filter(|project| project.id != *id);
    if others.any(|other| other.settings.tracker.as_ref().is_some_and(has_scope)) {
        return Ok(None);
    }
    let url = format!("{}?scope={}", hook_url(ctx, &connection), tool.scope);
    Ok(Some(remove_hooks(ctx, &connection, &url).await))
}

/// Removes the webhooks with a URL, also with a query behind it. Returns a sentence for users.
pub(super) async fn remove_hooks(ctx: &Context, connection: &Tracker, url: &str) -> String {
    let remove = async {
        let client = connect_client(ctx, connection).await.map_err(|failure| failure.error)?;
        client.remove_hooks(url).await
    };
    match call_for_user(ctx, remove).await {
        Ok(()) => format!("The tool has no webhook to {url} any more."),
        Err(error) => {
            tracing::warn!(url, error = %error, "webhook of a ticket tool not removed");
            let place = hook_place(connection.kind);
            format!("The webhook to {url} was not removed: {error}. If the tool has it, delete it in {place}.")
        }
    }
}

/// Errors: `Invalid` for a tool that is not connected, or for another scope than `before`, which only `use_tracker`
/// checks and polls.
pub(crate) async fn check_tool(ctx: &Context, settings: &Settings, before: &Settings) -> Result<(), Error> {
    let Some(tool) = &settings.tracker else { return Ok(()) };
    let invalid = |pointer, fault| Err(Error::Invalid { pointer, fault });
    let Some(connection) = load_readable_tracker(ctx, &tool.connection).await? else {
        let fault = format!("there is no ticket tool {}", tool.connection);
        return if before.tracker.as_ref() == Some(tool) { Ok(()) } else { invalid("/tracker/connection", fault) };
    };
    if connection.kind == TrackerKind::Http && tool.ingress != Ingress::Both {
        return invalid("/tracker/ingress", "your own tool sends its events; remove this field".into());
    }
    let is_same = before.tracker.as_ref().is_some_and(|before| {
        let is_same_scope =
            (&before.scope, before.ingress, &before.statuses) == (&tool.scope, tool.ingress, &tool.statuses);
        before.connection == tool.connection && (is_same_scope || !connection.kind.has_scopes())
    });
    if !is_same {
        return invalid("/tracker", format!("choose it with `pullyard trackers use {}`", tool.connection));
    }
    Ok(())
}

async fn connect_for_user(ctx: &Context, connection: &Tracker) -> Result<ToolClient, Error> {
    if !connection.kind.has_scopes() {
        let fault = format!("{} has no projects to choose", connection.kind.label());
        return Err(Error::Invalid { pointer: "/connection", fault });
    }
    connect_client(ctx, connection).await.map_err(|failure| to_field_fault("/connection", failure.error))
}

/// The tool's projects or teams; or the statuses of the named one, in the tool's order.
/// Errors: `NotFound`; `Invalid` with the tool's refusal.
pub async fn list_tool(
    ctx: &Context,
    id: &IntegrationId,
    scope: &str,
) -> Result<(Vec<ToolScope>, Vec<ToolStatus>), Error> {
    let connection = ctx.load_tracker(id).await?;
    if !connection.kind.has_scopes() {
        return Ok((Vec::new(), Vec::new()));
    }
    let client = connect_for_user(ctx, &connection).await?;
    if !scope.is_empty() {
        return Ok((Vec::new(), load_statuses(ctx, &client, connection.kind, scope).await?));
    }
    let scopes = call_for_user(ctx, client.list_scopes()).await;
    let scopes = scopes.map_err(|error| to_field_fault("/connection", error))?;
    Ok((scopes, Vec::new()))
}

/// Errors: `Invalid` for an unknown scope, with the tool's scopes.
async fn load_statuses(
    ctx: &Context,
    client: &ToolClient,
    kind: TrackerKind,
    scope: &str,
) -> Result<Vec<ToolStatus>, Error> {
    let found = match scope {
        "" => Err(ToolError::NotFound),
        scope => call_for_user(ctx, client.list_statuses(scope)).await,
    };
    if found != Err(ToolError::NotFound) {
        return found.map_err(|error| to_field_fault("/scope", error));
    }
    let known = call_for_user(ctx, client.list_scopes()).await;
    let known = known.map_err(|error| to_field_fault("/connection", error))?;
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
    match call_for_user(ctx, client.install_hook(scope, &url, &secret)).await {
        Err(ToolError::Refused { status: 403, .. }) => Err("the account may not install webhooks".into()),
        result => result.map_err(|error| error.to_string()),
    }
}

/// The URL to which the tool sends deliveries or events.
pub fn hook_url(ctx: &Context, connection: &Tracker) -> String {
    format!("{}/webhooks/{}/{}", ctx.pages_url(), connection.kind.as_str(), connection.id)
}

fn describe(connection: &Tracker, scope: &Scope, hook: Result<(), String>, settings: &Settings) -> Vec<String> {
    let (kind, key) = (connection.kind, &scope.key);
    let host = connection.url.split_once("://").map_or(&*connection.url, |(_, host)| host);
    let closed = settings.statuses.closed.iter().cloned().collect::<Vec<_>>().join(", ");
    let closed = if closed.is_empty() { "none" } else { &closed };
    let account = connection.account.as_ref();
    let name = account.map_or("", |account| &account.name);
    let mut lines = vec![
        format!("{} at {host}, {} {key}, as {name}.", kind.label(), kind.scope_word()),
        format!("{} statuses mapped; closed: {closed}.", scope.statuses.len()),
        match hook {
            Ok(()) => "Webhook installed and signed; a poll every 5 minutes finds what it misses.".to_owned(),
            Err(reason) => format!("No webhook, because {reason}; a poll every minute finds changes."),
        },
    ];
    if account.is_some_and(|account| account.is_person) {
        lines.push(format!("{name} is a person's account: its moves in {} start jobs like everyone's.", kind.label()));
    }
    lines
}
