//! Adds, lists, tests, enables and deletes the endpoints of a project.

use super::endpoint_state::load_state;
use super::{parse_url, send, setup_url};
use crate::admin::secrets::{check_secret_kind, set_secret};
use crate::admin::update_project::{update_project, update_project_names};
use crate::allowed_names::{check_new_secrets, list_own_project};
use crate::{Context, Error};
use pullyard_domain::project::naming::{ProjectChange, new_secrets};
use pullyard_domain::project::secret::SecretKind;
use pullyard_domain::project::{Project, validate_change};
use pullyard_domain::run::notice::{Answer, Endpoint, EndpointKind, EndpointState, Notice, NoticeData, NoticeEvent};
use pullyard_domain::text::id::{EndpointId, NoticeId, ProjectId, SecretName};
use pullyard_outbound::standard_webhooks::SigningSecret;
use pullyard_store::Write;

/// An endpoint and how messages reach it.
type EndpointWithState = (Endpoint, EndpointState);

/// Adds an endpoint, or changes an existing one, which keeps its signing secret and is enabled. A Slack URL becomes a
/// secret. Returns the signing secret of a new webhook; it is not shown again.
/// Writes: SECRET with the project if the secret is new, the secret, PROJECT, then ENDPOINT if it is disabled, failing
/// or resting.
/// Idempotent: a repeat stores the same, but does not return the secret again.
/// Errors: `NotFound` (project); `NotListed`; `Invalid`; `Cloud`; `Contended`.
pub async fn put_endpoint(
    ctx: &Context,
    change: ProjectChange<'_>,
    mut endpoint: Endpoint,
) -> Result<(EndpointWithState, Option<SigningSecret>), Error> {
    let project = change.project;
    if let Some(url) = &endpoint.url {
        parse_url(ctx, url)?;
    }
    if let Some(secret) = &endpoint.url_secret {
        check_secret_kind(ctx, SecretKind::Forge, secret, "/url_secret")?;
    }
    let found = ctx.load_project(project).await?;
    // Neither id contains a dot, so no two endpoints share the name.
    let name = SecretName::new(format!("notify.{project}.{}", endpoint.id))?;
    let (mut generated, mut value) = (None, None);
    if endpoint.kind == EndpointKind::Webhook {
        let kept = find(&found, &endpoint.id).and_then(|stored| stored.secret.clone());
        generated = kept.is_none().then(SigningSecret::generate);
        value = generated.as_ref().map(SigningSecret::expose);
        endpoint.secret = kept.or_else(|| Some(ctx.secret_name(SecretKind::Forge, &name)));
    } else if let Some(url) = endpoint.url.take() {
        endpoint.url_secret = Some(ctx.secret_name(SecretKind::Forge, &name));
        value = Some(url);
    }
    let with_endpoint = |mut project: Project| {
        let before = project.settings.clone();
        let all = &mut project.settings.notifications;
        match all.iter_mut().find(|stored| stored.id == endpoint.id) {
            Some(stored) => *stored = endpoint.clone(),
            None => all.push(endpoint.clone()),
        }
        project.settings.validate()?;
        validate_change(&before, &project.settings)?;
        Ok(project)
    };
    let (before, changed) = (found.settings.clone(), with_endpoint(found)?);
    let own = ctx.secret_name(SecretKind::Forge, &name);
    let is_new = new_secrets(&before, &changed.settings).iter().any(|(_, secret)| *secret == own);
    if is_new && value.is_some() {
        list_own_project(ctx, &own, project).await?;
    }
    // Refused names must not cost the secret its earlier value.
    check_new_secrets(ctx, change, &before, &changed.settings).await?;
    if let Some(value) = value {
        set_secret(ctx, SecretKind::Forge, &name, &value).await?;
    }
    update_project_names(ctx, change, with_endpoint).await?;
    tracing::info!(project = %project, endpoint = %endpoint.id, "endpoint stored");
    let state = load_state(ctx, project, &endpoint.id).await?;
    if state.disabled.is_some() || state.failures > 0 || state.rest_until.is_some() {
        // Failures and a rest of the former address are no facts about this one. Notices that wait keep their times.
        return Ok((enable_endpoint(ctx, project, &endpoint.id).await?, generated));
    }
    Ok(((endpoint, state), generated))
}

/// Errors: `NotFound` (project).
pub async fn list_endpoints(ctx: &Context, project: &ProjectId) -> Result<Vec<EndpointWithState>, Error> {
    let mut endpoints = Vec::new();
    for endpoint in ctx.load_project(project).await?.settings.notifications {
        let state = load_state(ctx, project, &endpoint.id).await?;
        endpoints.push((endpoint, state));
    }
    Ok(endpoints)
}

/// Sends a message to an endpoint, also to a disabled one. Changes nothing. Returns whether it was accepted, and the
/// answer, or why there was none.
/// Errors: `NotFound`; `Cloud`; `Store`.
pub async fn test_endpoint(ctx: &Context, project: &ProjectId, id: &EndpointId) -> Result<(bool, String), Error> {
    let (endpoint, now) = (load_endpoint(ctx, project, id).await?, ctx.clock.now());
    let (sentence, help) = ("This is a test of Pullyard.", "Nothing to do.");
    let data = NoticeData::new(project.clone(), sentence, help, setup_url(ctx, project));
    let message = NoticeId::for_endpoint(project, id, NoticeEvent::Test.as_str(), now);
    let notice = Notice::to_endpoints(message, NoticeEvent::Test, data, [id.clone()], now);
    let (answer, detail) = send(ctx, &endpoint, &notice).await?;
    Ok((answer == Answer::Accepted, detail))
}

/// Lets a disabled endpoint receive notices again. Dead ones stay dead until a user sends them again.
/// Writes: ENDPOINT over its `rev`.
/// Idempotent: a repeat stores the same.
/// Errors: `NotFound`; `Contended`.
pub async fn enable_endpoint(ctx: &Context, project: &ProjectId, id: &EndpointId) -> Result<EndpointWithState, Error> {
    let mut rounds = ctx.retries(id);
    loop {
        let endpoint = load_endpoint(ctx, project, id).await?;
        let state = load_state(ctx, project, id).await?.enable();
        if ctx.store.put_endpoint_state(&state).await? == Write::Applied {
            tracing::info!(project = %project, endpoint = %id, "endpoint enabled");
            return Ok((endpoint, state));
        }
        rounds.backoff().await?;
    }
}

/// Deletes an endpoint. Its waiting notices end when they are due; its secrets remain.
/// Writes: ENDPOINT deleted over its `rev`, then PROJECT.
/// Idempotent: a repeat returns `NotFound`.
/// Errors: `NotFound`; `Contended`.
pub async fn delete_endpoint(ctx: &Context, project: &ProjectId, id: &EndpointId) -> Result<EndpointWithState, Error> {
    let mut rounds = ctx.retries(id);
    loop {
        let endpoint = load_endpoint(ctx, project, id).await?;
        let state = load_state(ctx, project, id).await?;
        if ctx.store.delete_endpoint_state(&state).await? == Write::Applied {
            let without = |mut project: Project| {
                project.settings.notifications.retain(|stored| stored.id != *id);
                Ok(project)
            };
            update_project(ctx, project, without).await?;
            tracing::info!(project = %project, endpoint = %id, "endpoint deleted");
            return Ok((endpoint, state));
        }
        rounds.backoff().await?;
    }
}

fn find<'a>(project: &'a Project, id: &EndpointId) -> Option<&'a Endpoint> {
    project.settings.notifications.iter().find(|endpoint| endpoint.id == *id)
}

async fn load_endpoint(ctx: &Context, project: &ProjectId, id: &EndpointId) -> Result<Endpoint, Error> {
    let project = ctx.load_project(project).await?;
    find(&project, id).cloned().ok_or_else(|| Error::not_found("endpoint", id))
}
