//! Connects ticket tools, which belong to all projects, and chooses the tool of a project.

use super::projects::project_to_wire;
use super::tickets::TicketQuery;
use crate::routes::prelude::*;
use pullyard_control::{AddedTracker, ChosenTool, NewTracker, TrackerView};
use pullyard_domain::project::ToolChoice;
use pullyard_domain::project::access::Object;
use pullyard_domain::text::id::{IntegrationId, TicketKey};
use pullyard_entry::openapi::CreatedResponse;
use pullyard_entry::resolve_ticket_key;
use pullyard_protocol::ticket::Ticket;
use pullyard_protocol::tracker::{ChosenTracker, CreateTracker, CreatedTracker, DeletedTracker};
use pullyard_protocol::tracker::{ToolList, Tracker, Trackers};

pub(crate) async fn list(caller: Caller<scope::ReadAllProjects>) -> Result<Json<Trackers>, Problem> {
    let trackers = control::list_trackers(&caller.ctx).await?;
    Ok(Json(Trackers { trackers: trackers.into_iter().map(tracker_to_wire).collect() }))
}

pub(crate) async fn show(
    caller: Caller<scope::ReadAllProjects>,
    Path(id): Path<IntegrationId>,
) -> Result<Json<Tracker>, Problem> {
    let (view, unsynced) = control::show_tracker(&caller.ctx, &id).await?;
    Ok(Json(Tracker { unsynced, ..tracker_to_wire(view) }))
}

fn tracker_to_wire(TrackerView { tracker, last_delivery }: TrackerView) -> Tracker {
    Tracker { last_delivery, ..tracker.into() }
}

pub(crate) async fn create(
    caller: Caller<scope::AdminAllProjects>,
    StrictJson(new): StrictJson<CreateTracker>,
) -> Result<CreatedResponse<CreatedTracker>, Problem> {
    let CreateTracker { id, kind, url, secret, cloud_id } = new;
    let new = NewTracker { id, kind, url, secret, cloud_id, credential: None };
    let AddedTracker { tracker, signing_secret } = control::add_tracker(&caller.ctx, new).await?;
    let webhook_url = control::hook_url(&caller.ctx, &tracker);
    Ok(CreatedResponse(CreatedTracker { tracker: tracker.into(), signing_secret, webhook_url }))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub(crate) struct ScopeQuery {
    /// The key of a project or team; absent: the answer lists them.
    #[serde(default)]
    scope: String,
}

pub(crate) async fn statuses(
    caller: Caller<scope::AdminAllProjects>,
    Path(id): Path<IntegrationId>,
    Query(ScopeQuery { scope }): Query<ScopeQuery>,
) -> Result<Json<ToolList>, Problem> {
    let (scopes, statuses) = control::list_tool(&caller.ctx, &id, &scope).await?;
    Ok(Json(ToolList { scopes, statuses }))
}

pub(crate) async fn test(
    caller: Caller<scope::AdminAllProjects>,
    Path(id): Path<IntegrationId>,
) -> Result<Json<Tracker>, Problem> {
    Ok(Json(control::test_tracker(&caller.ctx, &id).await?.into()))
}

pub(crate) async fn delete(
    caller: Caller<scope::AdminAllProjects>,
    Path(id): Path<IntegrationId>,
) -> Result<Json<DeletedTracker>, Problem> {
    let control::DeletedTracker { tracker, report } = control::delete_tracker(&caller.ctx, &id).await?;
    Ok(Json(DeletedTracker { tracker: tracker.into(), report }))
}

pub(crate) async fn choose(
    ProjectCaller { caller, project }: ProjectCaller<scope::Admin>,
    StrictJson(choice): StrictJson<ToolChoice>,
) -> Result<Json<ChosenTracker>, Problem> {
    // The account may see more projects of the tool than this project.
    if control::is_new_tool(&caller.ctx, &project, &choice).await? {
        caller.authorize(Object::Deployment)?;
    }
    Ok(Json(choice_to_wire(control::use_tracker(&caller.ctx, &project, choice).await?)))
}

pub(crate) async fn choose_none(
    ProjectCaller { caller, project }: ProjectCaller<scope::Admin>,
) -> Result<Json<ChosenTracker>, Problem> {
    Ok(Json(choice_to_wire(control::unuse_tracker(&caller.ctx, &project).await?)))
}

fn choice_to_wire(ChosenTool { project, report }: ChosenTool) -> ChosenTracker {
    ChosenTracker { project: project_to_wire(project), report }
}

pub(crate) async fn sync(
    caller: Caller<scope::Jobs>,
    Path(path): Path<TicketKey>,
    Query(TicketQuery { project, key }): Query<TicketQuery>,
) -> Result<Json<Ticket>, Problem> {
    caller.authorize_project(&project)?;
    let key = resolve_ticket_key(path, key)?;
    control::sync_ticket(&caller.ctx, &project, &key).await?;
    Ok(Json(wire::ticket(control::ticket_view(&caller.ctx, &project, &key).await?)))
}
