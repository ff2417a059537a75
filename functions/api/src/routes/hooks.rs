//! Manages our webhooks. Callers need access to every project that a webhook serves.

use crate::routes::prelude::*;
use pullyard_control::hooks::{self as control, Drift, HookView, NewHook, Target};
use pullyard_domain::project::access::Object;
use pullyard_domain::project::hook::Webhook;
use pullyard_domain::text::id::HookName;
use pullyard_entry::openapi::CreatedResponse;
use pullyard_protocol::hook as wire;

/// Options for removing a webhook.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub(crate) struct RemovalQuery {
    /// Removes the webhook here only, for a forge that no longer accepts our calls.
    #[serde(default)]
    keep_at_forge: bool,
}

fn to_wire(view: HookView) -> wire::Hook {
    let HookView { hook, delivery_counts: counts, old_secret_until } = view;
    wire::Hook {
        url: hook.url(),
        name: hook.name,
        integration: hook.integration,
        forge: Some(hook.forge),
        project: hook.home,
        kind: hook.kind,
        secret: hook.secret,
        forge_id: hook.forge_id,
        verified_at: counts.verified_at,
        refused_at: counts.refused_at,
        refused: counts.refused,
        old_secret_until,
        template: hook.template,
    }
}

fn check_to_wire((view, drifts): (HookView, Vec<Drift>)) -> wire::HookCheck {
    let drift =
        |drift: Drift| wire::Drift { code: drift.code.into(), sentence: drift.sentence, repairable: drift.repairable };
    wire::HookCheck { hook: to_wire(view), drifts: drifts.into_iter().map(drift).collect() }
}

/// A webhook that the caller may not access counts as missing.
async fn load_visible(caller: &Caller<scope::Admin>, name: &HookName) -> Result<Webhook, Problem> {
    let hook = caller.ctx.store.load_hook(name).await?;
    let visible = hook.filter(|hook| may_access(caller, hook));
    visible.ok_or_else(|| Problem::not_found(format!("There is no hook {name}.")))
}

fn may_access(caller: &Caller<scope::Admin>, hook: &Webhook) -> bool {
    caller.authorize(Object::Webhook(hook)).is_ok()
}

pub(crate) async fn list(
    caller: Caller<scope::Admin>,
    Query(CursorQuery { after }): Query<CursorQuery>,
) -> Result<Json<wire::HookPage>, Problem> {
    let may_see = |hook: &Webhook| may_access(&caller, hook);
    let (hooks, next) = control::list_hook_views(&caller.ctx, after.as_deref(), PAGE_SIZE, may_see).await?;
    Ok(Json(wire::HookPage { hooks: hooks.into_iter().map(to_wire).collect(), next }))
}

pub(crate) async fn show(
    caller: Caller<scope::Admin>,
    Path(name): Path<HookName>,
) -> Result<Json<wire::Hook>, Problem> {
    let hook = load_visible(&caller, &name).await?;
    Ok(Json(to_wire(control::load_hook_view(&caller.ctx, hook).await?)))
}

pub(crate) async fn install(
    caller: Caller<scope::Admin>,
    StrictJson(new): StrictJson<wire::InstallHook>,
) -> Result<CreatedResponse<wire::Hook>, Problem> {
    caller.authorize_project(&new.project)?;
    // Webhooks of Apps and organizations deliver events of all projects.
    if new.repository.is_none() {
        caller.authorize_all_projects()?;
    }
    // The name may belong to another project's webhook.
    let existing = caller.ctx.store.load_hook(&new.name).await?;
    if existing.is_some_and(|hook| !may_access(&caller, &hook)) {
        return Err(Error::NameTaken { resource: "hook", name: new.name.to_string() }.into());
    }
    let target = match (new.repository, new.organisation, new.app) {
        (Some(repository), None, false) => Target::Repository(repository),
        (None, Some(login), false) => Target::Organisation(login),
        (None, None, true) => Target::App,
        _ => {
            let fault = "name exactly one of repository, organisation and app".into();
            return Err(Error::Invalid { pointer: "/repository", fault }.into());
        }
    };
    let new = NewHook {
        name: new.name,
        integration: new.integration,
        main_project: new.project,
        target,
        base_url: new.base_url,
        is_manual: new.by_hand,
        template: new.template,
    };
    let hook = control::install_hook(&caller.ctx, &new, caller.projects()).await?;
    Ok(CreatedResponse(to_wire(control::load_hook_view(&caller.ctx, hook).await?)))
}

pub(crate) async fn verify(
    caller: Caller<scope::Admin>,
    Path(name): Path<HookName>,
) -> Result<Json<wire::HookCheck>, Problem> {
    load_visible(&caller, &name).await?;
    Ok(Json(check_to_wire(control::verify_hook(&caller.ctx, &name).await?)))
}

pub(crate) async fn repair(
    caller: Caller<scope::Admin>,
    Path(name): Path<HookName>,
) -> Result<Json<wire::HookCheck>, Problem> {
    load_visible(&caller, &name).await?;
    Ok(Json(check_to_wire(control::repair_hook(&caller.ctx, &name).await?)))
}

pub(crate) async fn remove(
    caller: Caller<scope::Admin>,
    Path(name): Path<HookName>,
    Query(RemovalQuery { keep_at_forge }): Query<RemovalQuery>,
) -> Result<Json<wire::RemovedHook>, Problem> {
    load_visible(&caller, &name).await?;
    control::remove_hook(&caller.ctx, &name, keep_at_forge).await?;
    Ok(Json(wire::RemovedHook { name }))
}
